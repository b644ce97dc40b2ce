# SPDX-License-Identifier: GPL-2.0-only
"""How long a commit takes to build after another one: make compiles what the commits between touch.

An estimate from paths alone. It only has to say that a near commit is cheaper than a far one, and
how a build compares with a guest; it is scaled by the builds that were measured.
"""

from collections.abc import Sequence
from itertools import accumulate

from rig.campaigns.ancestry import GOOD

FULL = 240.0
"""Seconds of a build without objects, until one is measured."""
LINK = 0.06
"""Of a full build: vmlinux is linked again, and what make looks at."""
SHARED = 0.25
"""A header below include/: from a few files to nearly all of them."""
OWN = 0.01
"""A header of one directory, a Makefile, a Kconfig file."""
CODE = 0.002
"""A C file; most are of drivers that the rig's kernel does not have."""
WHOLE = ("Makefile", "scripts/", "include/linux/compiler", "include/linux/kconfig.h")
"""What nearly every object depends on."""
NOTHING = (".rst", ".txt", ".yaml", ".dts", ".dtsi", ".md")


def weight(path: str) -> float:
    """The part of a full build that a change of this file costs."""
    if path.startswith(WHOLE):
        return 1.0
    if path.startswith(("Documentation/", "tools/", "samples/")) or path.endswith(NOTHING):
        return 0.0
    if path.endswith(".h"):
        return SHARED if path.startswith("include/") or "/include/" in path else OWN
    if path.endswith((".c", ".S")):
        return CODE
    return OWN


class BuildCost:
    """Seconds, by the paths that the commits of a range change."""

    def __init__(self, files: Sequence[Sequence[str]], full: float = FULL) -> None:
        """`files` of each commit of the range; `full`: seconds of a build without objects."""
        self.full = full
        self._upto = (0.0, *accumulate(sum(map(weight, paths)) for paths in files))
        """The weight of all commits up to each one; of the good end first."""
        self._expected = self._measured = 0.0

    def between(self, commit: int, previous: int | None) -> float:
        """To build a commit in the directory where another one was built (None: where none was).

        Numbers of a range are in topological order: for commits on two branches it is too much.
        """
        return self._raw(commit, previous) * self._scale

    def learn(self, seconds: float, commit: int, previous: int | None) -> None:
        """A build has taken so long."""
        self._expected += self._raw(commit, previous)
        self._measured += seconds

    def typical(self, halvings: int) -> float:
        """The mean of the builds of a bisection: each distance is half of the one before."""
        last = len(self._upto) - 2
        distances = [max(1, last >> step) for step in range(1, halvings + 1)] or [1]
        costs = [
            self.between(min(last, last // 2 + distance // 2), max(GOOD, last // 2 - distance // 2))
            for distance in distances
        ]
        return sum(costs) / len(costs)

    def _raw(self, commit: int, previous: int | None) -> float:
        if previous is None:
            return self.full
        changed = abs(self._upto[commit - GOOD] - self._upto[previous - GOOD])
        return self.full * min(1.0, LINK + changed)

    @property
    def _scale(self) -> float:
        """Measured by expected, as if one full build had been as expected."""
        ratio = (self._measured + self.full) / (self._expected + self.full)
        return min(max(ratio, 0.2), 5.0)
