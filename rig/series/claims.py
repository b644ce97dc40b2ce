# SPDX-License-Identifier: GPL-2.0-only
"""What a cover letter says its series gains: patches/<series>/claims.toml."""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

import pydantic

from rig.errors import ConfigError, unknown

FILE = "claims.toml"


class Claim(pydantic.BaseModel, extra="forbid", frozen=True):
    """One number of a cover letter's."""

    bench: tuple[str, ...] = pydantic.Field(min_length=1)
    """Of the rig's: what was run there, or the nearest to it."""
    metric: str
    """Of each of these benchmarks."""
    change: float
    """In percent of what it was; -100 is `goes to 0`."""
    said: str
    """Where, in which words."""
    machine: str
    """On what."""


class _File(pydantic.BaseModel, extra="forbid", frozen=True):
    claim: tuple[Claim, ...]


def load(shelf: Path, series: str, known: Mapping[str, Collection[str]]) -> tuple[Claim, ...]:
    """The claims of a series, none where nobody wrote them down; `known` are the metrics of each
    benchmark.

    Raises ConfigError, naming the file, for one that cannot be read, or is of what nobody measures.
    """
    # A series of no shelf is called after its file, which may be called anything.
    path = next((one for one in shelf.glob(f"*/{FILE}") if one.parent.name == series), None)
    if path is None:
        return ()
    try:
        found = _File.model_validate(tomllib.loads(path.read_text())).claim
        for claim in found:
            _check(claim, known)
    except ValueError as error:  # TOML's and pydantic's are all of them
        raise ConfigError(f"{path}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}", hint=error.hint) from error
    return found


def _check(claim: Claim, known: Mapping[str, Collection[str]]) -> None:
    for name in claim.bench:
        if name not in known:
            raise unknown("benchmark", name, known)
        if claim.metric not in known[name]:
            raise unknown(f"metric of {name}", claim.metric, known[name])
