# SPDX-License-Identifier: GPL-2.0-only
"""How often a case fails: with the fault, and without it. Neither rate is known.

Both have a prior on a grid, and every number of runs is judged under all pairs of rates in which a
bad commit fails more often than a good one. A conjugate Beta prior for each (git_bayesect) is
simpler, but it cannot say that a bad commit fails more often, nor that most failures are either
deterministic or have no unrelated failures at all.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

HORIZONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numbers of runs of one kernel that are considered before it is built."""

BAD = (*(0.002 * 1.25**power for power in range(28)), 0.9, 0.95, 0.98, 1.0)
"""Possible rates of a bad commit, ascending."""
ALWAYS = 0.1
"""Prior that the failure is deterministic."""
UNRELATED = (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512)
"""Possible rates of a good commit, ascending: failures with the same signature, but another
cause."""
NEVER = 0.2
"""Prior that a good commit never fails with this signature."""
DECAY = 0.75
"""Prior of an unrelated failure's rate, relative to half that rate: nobody bisects with a case that
fails anyway."""
NOTHING = -math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """How often a case was run on something."""

    failed: int = 0
    passed: int = 0

    @property
    def total(self) -> int:
        return self.failed + self.passed

    def __add__(self, other: "Runs") -> "Runs":
        return Runs(failed=self.failed + other.failed, passed=self.passed + other.passed)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else NOTHING


def _times(count: int, log: float) -> float:
    """0 runs are no evidence, also under a rate that makes them impossible."""
    return count * log if count else 0.0


_RARE = len(BAD) - 1
_BAD_LOGS = tuple(
    (_log(ALWAYS if rate == 1 else (1 - ALWAYS) / _RARE), _log(rate), _log(1 - rate))
    for rate in BAD
)
_RELATED = len(UNRELATED) - 1
_SHARES = sum(DECAY**power for power in range(_RELATED))
_UNRELATED_LOGS = tuple(
    (
        _log(NEVER if not place else (1 - NEVER) * DECAY ** (place - 1) / _SHARES),
        _log(rate),
        _log(1 - rate),
    )
    for place, rate in enumerate(UNRELATED)
)
_BELOW = tuple(sum(rate < bad for rate in UNRELATED) for bad in BAD)
"""For each rate of a bad commit, how many rates of a good commit are smaller."""
_ABOVE = tuple(sum(bad <= rate for bad in BAD) for rate in UNRELATED)
"""For each rate of a good commit, how many rates of a bad commit are not greater."""


@lru_cache(maxsize=8192)
def _bad(failed: int, passed: int) -> tuple[float, tuple[float, ...]]:
    """The logarithm of the greatest likelihood, and all likelihoods relative to it."""
    return _scaled([w + _times(failed, y) + _times(passed, n) for w, y, n in _BAD_LOGS])


@lru_cache(maxsize=8192)
def _good(failed: int, passed: int) -> tuple[float, tuple[float, ...]]:
    return _scaled([w + _times(failed, y) + _times(passed, n) for w, y, n in _UNRELATED_LOGS])


def _scaled(logs: list[float]) -> tuple[float, tuple[float, ...]]:
    top = max(logs)
    return top, tuple(math.exp(log - top) for log in logs)


def evidence(bad: Runs, good: Runs) -> float:
    """The logarithm of the chance of these runs of bad and of good commits."""
    top_bad, bads = _bad(bad.failed, bad.passed)
    top_good, goods = _good(good.failed, good.passed)
    sums = (0.0, *accumulate(goods))
    return (
        top_bad
        + top_good
        + _log(sum(value * sums[below] for value, below in zip(bads, _BELOW, strict=True)))
    )


def posterior(bad: Runs, good: Runs) -> tuple[list[float], list[float]]:
    """How likely each of BAD is, and each of UNRELATED, after these runs."""
    _, bads = _bad(bad.failed, bad.passed)
    _, goods = _good(good.failed, good.passed)
    below = (0.0, *accumulate(goods))
    above = (0.0, *accumulate(bads))
    by_bad = [value * below[count] for value, count in zip(bads, _BELOW, strict=True)]
    by_good = [
        value * (above[-1] - above[count]) for value, count in zip(goods, _ABOVE, strict=True)
    ]
    total = sum(by_bad) or 1.0
    whole = sum(by_good) or 1.0
    return [value / total for value in by_bad], [value / whole for value in by_good]


def mean(chances: list[float], rates: tuple[float, ...]) -> float:
    return sum(chance * rate for chance, rate in zip(chances, rates, strict=True))


def interval(bad: Runs, mass: float = 0.95) -> tuple[float, float]:
    """The rate of a bad commit: an interval that holds it with this chance."""
    by_bad, _ = posterior(bad, Runs())
    tail, sums = (1 - mass) / 2, list(accumulate(by_bad))
    low = next(rate for rate, upto in zip(BAD, sums, strict=True) if upto > tail)
    high = next(rate for rate, upto in zip(BAD, sums, strict=True) if upto >= 1 - tail - 1e-12)
    return low, high


_QUIET = {
    rates: tuple(tuple((1 - rate) ** runs for rate in rates) for runs in HORIZONS)
    for rates in (BAD, UNRELATED)
}
"""For each of HORIZONS and each rate: the chance that all runs pass."""
_LENGTH = {
    rates: tuple(
        tuple((1 - (1 - rate) ** runs) / rate if rate else float(runs) for rate in rates)
        for runs in HORIZONS
    )
    for rates in (BAD, UNRELATED)
}
"""The expected number of runs if the first failure ends them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospect:
    """What to expect of HORIZONS[i] runs that the first failure ends, of a bad or good commit."""

    quiet: float
    """The chance that no run fails."""
    doubt: float
    """The entropy of that, in bits."""
    length: float
    """The expected number of runs."""


Prospects = tuple[Prospect, ...]
"""For each of HORIZONS."""


def prospects(bad: Runs, good: Runs) -> tuple[Prospects, Prospects]:
    """Of a bad commit and of a good one, after these runs."""
    by_bad, by_good = posterior(bad, good)
    return _prospects(by_bad, BAD), _prospects(by_good, UNRELATED)


def _prospects(chances: list[float], rates: tuple[float, ...]) -> Prospects:
    quiets = [min(1.0, _dot(chances, row)) for row in _QUIET[rates]]
    lengths = [_dot(chances, row) for row in _LENGTH[rates]]
    return tuple(
        Prospect(quiet=quiet, doubt=entropy(quiet), length=length)
        for quiet, length in zip(quiets, lengths, strict=True)
    )


def _dot(chances: list[float], values: tuple[float, ...]) -> float:
    return sum(map(float.__mul__, chances, values))


def entropy(chance: float) -> float:
    """Of an event with this chance, in bits."""
    if not 0 < chance < 1:
        return 0.0
    return -(chance * math.log2(chance) + (1 - chance) * math.log2(1 - chance))


def capacity(bad: float, good: float) -> float:
    """The most bits that a run tells of a commit, if a bad one and a good one fail with these
    rates."""
    doubts = entropy(bad), entropy(good)
    shares = (share / 20 for share in range(1, 20))
    return max(
        entropy(share * bad + (1 - share) * good) - share * doubts[0] - (1 - share) * doubts[1]
        for share in shares
    )
