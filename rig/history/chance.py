# SPDX-License-Identifier: GPL-2.0-only
"""Is it chance? Two exact tests, of failures among runs and of values of nights.

Rates: Fisher's test. Of N runs K failed, and n of the N are the newest. How likely have so many of
the newest failed, if failures do not know which runs are new?

Values: Mann and Whitney's test. How likely are the newest nights so high among the others, if every
order of the nights is as likely? It needs no model of the noise. A t-test would need normal noise,
and that far out in its tails, where an alarm in 200 nights is decided, noise is not normal.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

RATE_WINDOWS = (1, 2, 4, 8, 16, 32)
VALUE_WINDOWS = (4, 6, 8, 12, 16, 24, 32)
"""How many of the last nights may be the new ones. Each is a test of its own, and all share the
accepted chance; of less than 4 nights the values cannot be sure."""
REFERENCE = 90
"""At most this many nights before them are what they are compared with."""
Z = 1.959964
"""Of a 95 % interval."""


@lru_cache(maxsize=65536)
def _ways(total: int, chosen: int) -> float:
    """The logarithm of the binomial coefficient."""
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def upper(marked_new: int, new: int, marked: int, total: int, *, own: float = 1.0) -> float:
    """The chance that at least `marked_new` of the `new` are marked.

    `own`: the part of the chance of exactly so many that counts. With 0.5 (mid-p) the test is right
    on average; with 1 it is right always, and finds next to nothing if few things have a mark.
    """
    most = min(new, marked)
    least = max(marked_new, new + marked - total)
    terms = [
        math.exp(_ways(marked, count) + _ways(total - marked, new - count) - _ways(total, new))
        for count in range(least, most + 1)
    ]
    if least == marked_new:
        terms[:1] = [terms[0] * own] if terms else []
    return min(1.0, math.fsum(terms))


def none_of(more: int, failed: int, runs: int) -> float:
    """The chance that `more` runs all pass, if they fail as often as `failed` of `runs` did."""
    return math.exp(_ways(runs, failed) - _ways(runs + more, failed))


def interval(failed: int, runs: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson)."""
    if not runs:
        return 0.0, 1.0
    rate, square = failed / runs, Z * Z
    middle = (rate + square / 2 / runs) / (1 + square / runs)
    half = Z / (1 + square / runs) * math.sqrt(rate * (1 - rate) / runs + square / 4 / runs**2)
    return (max(0.0, middle - half) if failed else 0.0), (
        min(1.0, middle + half) if failed < runs else 1.0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """The newest things differ from those before."""

    first: int
    """The index of the first that is new."""
    chance: float
    """The p-value, over all windows."""
    up: bool


def rate_moved(failed: Sequence[int], runs: Sequence[int], level: float) -> Moved | None:
    """Whether the newest nights fail more often, or less often, than those before. `level` is for
    each of the two.

    `failed` of `runs` for each night, oldest first.
    """
    count = len(runs)
    best: Moved | None = None
    windows = [window for window in RATE_WINDOWS if window < count]
    for window in windows:
        start = max(0, count - window - REFERENCE)
        new, total = sum(runs[-window:]), sum(runs[start:])
        bad, marked = sum(failed[-window:]), sum(failed[start:])
        if not marked or marked == total or not new or new == total:
            continue
        up = bad * (total - new) > (marked - bad) * new
        counts = (bad, new, marked) if up else (new - bad, new, total - marked)
        chance = upper(*counts, total, own=0.5)
        chance = min(1.0, len(windows) * chance)
        if best is None or chance < best.chance:
            best = Moved(first=count - window, chance=chance, up=up)
    return best if best and best.chance <= level else None


def value_moved(values: Sequence[float], level: float, *, only_down: bool = False) -> Moved | None:
    """Whether the values of the newest nights are higher, or lower, than those before."""
    count = len(values)
    best: Moved | None = None
    windows = [window for window in VALUE_WINDOWS if window * 2 <= count]
    sides = (False,) if only_down else (True, False)
    for window in windows:
        old = sorted(values[max(0, count - window - REFERENCE) : count - window])
        for up in sides:
            against = _against(old, values[-window:], up=up)
            # Nothing near to chance is sure; and the nearer, the longer it takes to count.
            if 3 * against > window * len(old):
                continue
            chance = ordered(against, window, len(old)) * len(windows) * len(sides)
            if best is None or chance < best.chance:
                best = Moved(first=count - window, chance=min(1.0, chance), up=up)
    return best if best and best.chance <= level else None


def _against(old: Sequence[float], new: Sequence[float], *, up: bool) -> int:
    """The pairs of an old and a new value that speak against a move; equal ones do, too."""
    if up:
        return sum(len(old) - bisect_left(old, value) for value in new)
    return sum(bisect_right(old, value) for value in new)


@lru_cache(maxsize=4096)
def ordered(against: int, new: int, old: int) -> float:
    """The chance that at most so many pairs of a new and an old value are in the other order."""
    # The orders with n such pairs are the partitions of n into `new` parts of at most `old`: the
    # coefficients of Gauss's binomial, the product of (1 - q^(old + i)) / (1 - q^i).
    ways = [1, *([0] * against)]
    for part in range(1, new + 1):
        for size in range(part, against + 1):
            ways[size] += ways[size - part]
        for size in range(against, old + part - 1, -1):
            ways[size] -= ways[size - old - part]
    return sum(ways) / math.comb(new + old, new)


def slope(values: Sequence[float]) -> float:
    """The median of the slopes between all pairs (Theil and Sen)."""
    slopes = sorted(
        (values[late] - values[early]) / (late - early)
        for early in range(len(values))
        for late in range(early + 1, len(values))
    )
    return slopes[len(slopes) // 2] if slopes else 0.0
