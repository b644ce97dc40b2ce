# SPDX-License-Identifier: GPL-2.0-only
"""Results into the files a user named: lossless, and harmless where one is /dev/stdout."""

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
    """Raise ConfigError before the work begins, rather than lose its result at the end."""
    for path in filter(None, paths):
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise ConfigError(
                f"{path} cannot be written", hint="name a file in a directory that is there"
            )


def copy(stored: Path, json: Path | None) -> None:
    """A campaign's own result, as it is stored."""
    if json:
        json.write_bytes(printable.json(stored.read_bytes()) + b"\n")


def again(stored: Path, json: Path | None, junit: Path | None) -> None:
    """The same, asked for later. Raises ConfigError for JUnit, which is of cases."""
    if junit:
        raise ConfigError(
            f"{stored.parent.name} has no cases for --junit", hint="--json has it all"
        )
    copy(stored, json)


def write(results: Sequence[RunResult], json: Path | None, junit: Path | None) -> None:
    if json:
        json.write_bytes(printable.json(_RESULTS.dump_json(tuple(results), indent=1)) + b"\n")
    if junit:
        junit.write_bytes(junit_xml.render(results))


def write_explored(explorations: Sequence[Exploration], json: Path | None) -> None:
    if json:
        json.write_bytes(printable.json(_EXPLORED.dump_json(tuple(explorations), indent=1)) + b"\n")
