# SPDX-License-Identifier: GPL-2.0-only
"""What a cover letter says its series gains: patches/<series>/claims.toml."""

import tomllib
from pathlib import Path

import pydantic

from rig.errors import ConfigError

FILE = "claims.toml"


class Claim(pydantic.BaseModel, extra="forbid", frozen=True):
    """One number of a cover letter's."""

    bench: tuple[str, ...]
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


def load(shelf: Path, series: str) -> tuple[Claim, ...]:
    """The claims of a series, none where nobody wrote them down.

    Raises ConfigError, naming the file, for one that cannot be read.
    """
    path = shelf / series / FILE
    if not series or not path.is_file():
        return ()
    try:
        return _File.model_validate(tomllib.loads(path.read_text())).claim
    except ValueError as error:  # TOML's and pydantic's are all of them
        raise ConfigError(f"{path}: {error}") from error
