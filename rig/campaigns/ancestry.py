# SPDX-License-Identifier: GPL-2.0-only
"""Which commits of a range are ancestors of which: a fault is in a commit and in its descendants.

A range is the commits of GOOD..BAD, numbered from 0, each after its parents. GOOD itself has the
number -1: it is an ancestor of all.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

GOOD = -1


class Ancestry:
    """Sets of commits are integers with a bit for each commit.

    Most commits follow their only parent, in a run that has one number after the other. Only the
    first commit of a run keeps a set, that of its ancestors: the 100,000 commits of ten releases
    need some 100 MB.
    """

    def __init__(self, parents: Sequence[Sequence[int]]) -> None:
        """`parents` of each commit, as numbers; parents outside of the range are left out."""
        self.parents = tuple(tuple(dict.fromkeys(above)) for above in parents)
        self._first: list[int] = []
        """For each commit, the first one of its run."""
        self._below: dict[int, int] = {}
        """For the first commit of a run, its ancestors without itself."""
        for commit, above in enumerate(self.parents):
            if any(not 0 <= parent < commit for parent in above):
                raise ValueError(f"commit {commit} comes before its parents {above}")
            if above == (commit - 1,):
                self._first.append(self._first[commit - 1])
                continue
            bits = 0
            for parent in above:
                bits |= self.of(parent)
            self._first.append(commit)
            self._below[commit] = bits
        self._spans = tuple(pairwise((*self._below, len(self.parents))))
        """The first commit of each run, and the first one after it."""

    def __len__(self) -> int:
        return len(self.parents)

    def of(self, commit: int) -> int:
        """The ancestors of a commit in the range, with the commit itself."""
        if commit == GOOD:
            return 0
        first = self._first[commit]
        return (1 << (commit + 1)) - (1 << first) | self._below[first]

    def sums(self, own: Sequence[float], groups: Sequence[tuple[int, float]]) -> list[float]:
        """For each commit the sum of `own` over its ancestors and itself.

        `groups` are the same values as sets: the commits (bits) that have a value, and the value.
        """
        totals: list[float] = []
        for first, after in self._spans:
            above, total = self.parents[first], own[first]
            if len(above) == 1:
                total += totals[above[0]]
            elif above:
                ancestors = self.of(first)
                total = sum(value * (ancestors & bits).bit_count() for bits, value in groups)
            totals.extend(accumulate(own[first + 1 : after], initial=total))
        return totals


def linear(size: int) -> Ancestry:
    """A history without merges."""
    return Ancestry([(commit - 1,) if commit else () for commit in range(size)])


def bits_of(commits: Sequence[int]) -> int:
    if not commits:
        return 0
    array = bytearray(max(commits) // 8 + 1)
    for commit in commits:
        array[commit >> 3] |= 1 << (commit & 7)
    return int.from_bytes(array, "little")
