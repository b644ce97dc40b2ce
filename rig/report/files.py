# SPDX-License-Identifier: GPL-2.0-only
"""Writes results to --json and --junit: complete, and with no control characters in them."""

from collections.abc import Sequence
from pathlib import Path

import pydantic

from rig import printable
from rig.campaigns.explore import Exploration
from rig.campaigns.results import RunResult
from rig.errors import ConfigError
from rig.report import junit as junit_xml

_EXPLORED = pydantic.TypeAdapter(tuple[Exploration, ...])
_RESULTS = pydantic.TypeAdapter(tuple[RunResult, ...])


def check(*paths: Path | None) -> None:
    """Raise ConfigError for a path that cannot be written: before the work, not after it."""
    for path in filter(None, paths):
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise ConfigError(
                f"{path} cannot be written", hint="name a file in an existing directory"
            )


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
        junit.write_bytes(junit_xml.render(results))


def write_explored(explorations: Sequence[Exploration], json: Path | None) -> None:
    if json:
        _write_json(json, _EXPLORED.dump_json(tuple(explorations), indent=1))


def _write_json(path: Path, document: bytes) -> None:
    path.write_bytes(printable.json(document) + b"\n")
