# SPDX-License-Identifier: GPL-2.0-only
"""Floors: how much a case must have done before its pass is evidence (rule 3)."""

from collections.abc import Mapping
from dataclasses import dataclass

from rig.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """The minimum of a counter: below it, a case has proved nothing."""

    counter: str
    at_least: int
    unless: str = ""
    """A counter of the same case that is not 0 if the kernel cannot do at all what this floor asks
    for: then the floor does not hold."""

    def __post_init__(self) -> None:
        if self.at_least < 1:
            raise ConfigError(
                f"the floor of {self.counter} is {self.at_least}, which every run reaches",
                hint="set a floor of at least 1",
            )


def floors(**counters: int) -> tuple[Floor, ...]:
    """`floors(pswpout=100, writes_raced=20)`, as suites declare them."""
    return floors_unless("", **counters)


def floors_unless(unless: str, **counters: int) -> tuple[Floor, ...]:
    """The same, of what some kernels cannot do: they say so by the counter `unless`."""
    return tuple(
        Floor(counter=name, at_least=least, unless=unless) for name, least in counters.items()
    )


def below(counters: Mapping[str, int], floors: tuple[Floor, ...]) -> str:
    """The counters that are below their floors, as text; "" for none."""
    return "; ".join(
        f"{floor.counter} {counters[floor.counter]}, at least {floor.at_least} needed"
        for floor in floors
        if counters[floor.counter] < floor.at_least and not counters.get(floor.unless)
    )
