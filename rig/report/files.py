# SPDX-License-Identifier: GPL-2.0-only
"""Writes results to --json and --junit: complete, and with no control characters in them."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pydantic

from rig import printable
from rig.campaigns.explore import Exploration
from rig.campaigns.results import RunResult
from rig.errors import ConfigError, InfraError
from rig.report import junit as junit_xml

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC
WHY = {errno.ENXIO: "nobody reads from this pipe", errno.EISDIR: "it is a directory"}
_EXPLORED = pydantic.TypeAdapter(tuple[Exploration, ...])
_RESULTS = pydantic.TypeAdapter(tuple[RunResult, ...])


def check(*paths: Path | None) -> None:
    """Raise ConfigError for a path that cannot be written: before the work, not after it.

    It is opened, because permissions do not tell it all. A file that was not there is not left.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
    for path in filter(None, paths):
        try:
            fresh = not path.exists()
            os.close(os.open(path, flags | (os.O_CREAT if fresh else 0), 0o666))
            if fresh:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {WHY.get(error.errno or 0) or error.strerror}",
                hint="name a file in an existing directory",
            ) from error
    if len({path.absolute() for path in filter(None, paths)}) < sum(map(bool, paths)):
        raise ConfigError("two options name the same file", hint="give each its own file")


def put(path: Path, data: bytes) -> None:
    """Write a file that the user named. Raises InfraError, which says that nothing else is lost."""
    try:
        # A pipe whose reader has gone is an error, and no reason to wait.
        with os.fdopen(os.open(path, FLAGS, 0o666), "wb") as file:
            os.set_blocking(file.fileno(), True)
            file.write(data)
    except OSError as error:
        raise InfraError(
            f"{path} cannot be written: {error.strerror}",
            hint="the result is stored all the same: rig report shows it",
        ) from error


def copy(stored: Path, json: Path | None) -> None:
    """Write the stored result of a campaign to --json."""
    if json:
        _write_json(json, stored.read_bytes())


def again(stored: Path, json: Path | None, junit: Path | None) -> None:
    """The same for `rig report`. Raises ConfigError for --junit, which needs cases."""
    if junit:
        raise ConfigError(
            f"{stored.parent.name} has no cases for --junit", hint="--json writes the whole result"
        )
    copy(stored, json)


def write(results: Sequence[RunResult], json: Path | None, junit: Path | None) -> None:
    if json:
        _write_json(json, _RESULTS.dump_json(tuple(results), indent=1))
    if junit:
        put(junit, junit_xml.render(results))


def write_explored(explorations: Sequence[Exploration], json: Path | None) -> None:
    if json:
        _write_json(json, _EXPLORED.dump_json(tuple(explorations), indent=1))


def _write_json(path: Path, document: bytes) -> None:
    put(path, printable.json(document) + b"\n")
