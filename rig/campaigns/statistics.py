# SPDX-License-Identifier: GPL-2.0-only
"""What differs between two kernels, from rounds of a value each on both sides.

In the live schedule a difference is what a permutation test on the paired rounds says, corrected
for the number of metrics; in the seeded one both kernels have the same seed in a round, and numbers
are compared as they are.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rig.benches import benchmark
from rig.benches.benchmark import Benchmark, Metric
from rig.guest.qemu import Machine, Seeded

ALPHA = 0.05
"""Of all metrics together: how often a difference may be claimed where there is none."""
RESAMPLES = 10_000
NARROW = 5.0
"""Percent: an interval of which more rounds would tell little, to each side of its middle."""


class Difference(StrEnum):
    LOWER = "lower"
    HIGHER = "higher"
    SAME = "the same"
    UNDECIDED = "undecided"
    NOT_JUDGED = "not of hardware"
    """Seconds under TCG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A metric on both sides, a value for each round that counts."""

    metric: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    low: float
    """Of the interval of the difference (95 %; of seeds: the least and the most)."""
    high: float
    chance: float
    """That so much differs where nothing does; 0 in the seeded schedule."""
    difference: Difference

    @property
    def means(self) -> tuple[float, float]:
        return sum(self.before) / len(self.before), sum(self.after) / len(self.after)

    def percent(self, change: float) -> float | None:
        """A difference relative to what was; None where that was nothing."""
        before, _ = self.means
        return 100 * change / before if before else None


Samples = tuple[dict[str, float], dict[str, float]]
"""Of a round, before and after."""


def rounds_needed(one: Benchmark, machine: Machine) -> int:
    """The fewest pairs with which the least chance there is, 2 of 2^n, can be small enough."""
    if isinstance(machine.schedule, Seeded):
        return 1
    metrics = sum(benchmark.judged(metric, machine) for metric in one.metrics)
    return math.ceil(math.log2(2 * metrics / ALPHA))


def can_decide(machine: Machine, rounds: int) -> bool:
    """Whether so many can decide anything, were there but one metric that changes."""
    if isinstance(machine.schedule, Seeded):
        return rounds > 0
    return bool(2 / 2**rounds <= ALPHA)


def lines(one: Benchmark, machine: Machine, kept: Sequence[Samples]) -> Iterator[Line]:
    offered = [
        metric
        for metric in one.metrics
        if kept and all(metric.name in side for pair in kept for side in pair)
    ]
    lines = [_line(metric, machine, kept) for metric in offered]
    tested = [line for line in lines if line.difference is Difference.UNDECIDED]
    # Holm's: the smallest chance must hold against all of them, the next against one less.
    decided: dict[str, Difference] = {}
    for place, line in enumerate(sorted(tested, key=lambda line: line.chance)):
        if line.chance > ALPHA / (len(tested) - place):
            break
        before, after = line.means
        decided[line.metric] = Difference.LOWER if after < before else Difference.HIGHER
    for line in lines:
        yield replace(line, difference=decided.get(line.metric, line.difference))


def narrow(found: Sequence[Line]) -> bool:
    """Whether every interval that is judged says all that is worth knowing."""
    judged = [line for line in found if line.difference is not Difference.NOT_JUDGED]
    ends = [(line.percent(line.low) or 0.0, line.percent(line.high) or 0.0) for line in judged]
    return all(high - low <= 2 * NARROW for low, high in ends)


def _line(metric: Metric, machine: Machine, kept: Sequence[Samples]) -> Line:
    before = tuple(pair[0][metric.name] for pair in kept)
    after = tuple(pair[1][metric.name] for pair in kept)
    changes = [new - old for old, new in zip(before, after, strict=True)]
    seeded = isinstance(machine.schedule, Seeded)
    same = not any(changes) and can_decide(machine, len(kept))
    told = _by_seeds if seeded or same else _by_chance
    low, high, chance, difference = told(changes)
    if not benchmark.judged(metric, machine):
        difference = Difference.NOT_JUDGED
    return Line(
        metric=metric.name,
        before=before,
        after=after,
        low=low,
        high=high,
        chance=chance,
        difference=difference,
    )


Told = tuple[float, float, float, Difference]


def _by_seeds(changes: Sequence[float]) -> Told:
    """Exact: a difference is one that every seed shows in the same direction."""
    low, high = min(changes), max(changes)
    if low == high == 0:
        return low, high, 0.0, Difference.SAME
    # What the seeds disagree about no further test makes certain: chance 1 keeps it undecided.
    if low <= 0 <= high:
        return low, high, 1.0, Difference.UNDECIDED
    return low, high, 0.0, Difference.LOWER if high < 0 else Difference.HIGHER


def _by_chance(changes: Sequence[float]) -> Told:
    """How often signs drawn by lot give a mean so far from 0, and a bootstrap interval."""
    if len(changes) == 1:
        # Either sign is as far from 0. scipy refuses it, and a kernel that dies may leave no more.
        return changes[0], changes[0], 1.0, Difference.UNDECIDED
    import numpy
    from scipy import stats

    sample, mean = (numpy.array(changes),), numpy.mean
    test = stats.permutation_test(
        sample, mean, permutation_type="samples", n_resamples=RESAMPLES, vectorized=True, rng=1
    )
    interval = stats.bootstrap(
        sample, mean, method="percentile", n_resamples=RESAMPLES, vectorized=True, rng=1
    ).confidence_interval
    return float(interval.low), float(interval.high), float(test.pvalue), Difference.UNDECIDED
