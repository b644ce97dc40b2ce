# SPDX-License-Identifier: GPL-2.0-only
"""Performance claims of a cover letter, as numbers: patches/<series>/claims.toml."""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

import pydantic

from rig.errors import ConfigError, unknown

FILE = "claims.toml"


class Claim(pydantic.BaseModel, extra="forbid", frozen=True):
    """One number from a cover letter."""

    bench: tuple[str, ...] = pydantic.Field(min_length=1)
    """The rig's benchmarks that are the same as, or nearest to, the one in the cover letter."""
    metric: str
    """A metric that each of these benchmarks has."""
    change: float = pydantic.Field(ge=-100, allow_inf_nan=False)
    """In percent of the value before the series; -100 means that it becomes 0."""
    said: str
    """The place and the words of the claim."""
    machine: str
    """The machine that the author measured on."""


class _File(pydantic.BaseModel, extra="forbid", frozen=True):
    claim: tuple[Claim, ...]


def load(shelf: Path, series: str, metrics: Mapping[str, Collection[str]]) -> tuple[Claim, ...]:
    """The claims of a series; none if it has no claims.toml. `metrics` are those of each benchmark.

    Raises ConfigError, naming the file, if it cannot be read, or if a claim names a benchmark or a
    metric that does not exist.
    """
    # A series outside patches/ is named after its file, whose name may hold anything: no path is
    # made of it.
    path = next((path for path in shelf.glob(f"*/{FILE}") if path.parent.name == series), None)
    if path is None:
        return ()
    try:
        claims = _File.model_validate(tomllib.loads(path.read_text())).claim
        for claim in claims:
            _check(claim, metrics)
    except ValueError as error:  # the errors of tomllib and of pydantic are ValueErrors
        raise ConfigError(
            f"{path}: {error}",
            hint="a [[claim]] has bench, metric, change, said and machine: correct the file",
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}", hint=error.hint) from error
    return claims


def _check(claim: Claim, metrics: Mapping[str, Collection[str]]) -> None:
    if not claim.change:
        raise ConfigError("a change of 0 % claims nothing", hint="leave the [[claim]] out")
    for name in claim.bench:
        if name not in metrics:
            raise unknown("benchmark", name, metrics)
        if claim.metric not in metrics[name]:
            raise unknown(f"metric of {name}", claim.metric, metrics[name])
