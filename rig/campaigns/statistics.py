# SPDX-License-Identifier: GPL-2.0-only
"""Decides what differs between two kernels, from rounds that measured both.

In the live schedule a permutation test on the pairs decides, corrected for the number of metrics.
In the seeded schedule both kernels have the same seed in a round, and the numbers are compared
directly.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rig.benches import benchmark
from rig.benches.benchmark import Benchmark, Metric
from rig.guest.qemu import Machine, Seeded

ALPHA = 0.05
"""Accepted chance of a false difference, over all metrics together."""
RESAMPLES = 10_000
NARROW = 5.0
"""Percent to each side of its middle: an interval this narrow needs no more rounds."""


class Difference(StrEnum):
    LOWER = "lower"
    HIGHER = "higher"
    SAME = "the same"
    UNDECIDED = "undecided"
    NOT_JUDGED = "not judged (TCG time)"
    """Times under TCG are the emulator's, not the hardware's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A metric of both kernels, with a value for each round that counts."""

    metric: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    low: float
    """`low` and `high`: 95 % interval of the difference; with seeds: smallest and greatest."""
    high: float
    chance: float
    """p-value: the chance of such a difference between equal kernels; 0 in the seeded schedule."""
    difference: Difference

    @property
    def means(self) -> tuple[float, float]:
        return sum(self.before) / len(self.before), sum(self.after) / len(self.after)

    def percent(self, change: float) -> float | None:
        """A difference in percent of the value before; None if that is 0."""
        before, _ = self.means
        return 100 * change / before if before else None


Samples = tuple[dict[str, float], dict[str, float]]
"""Metric -> value of one round: before, and after."""


def rounds_needed(bench: Benchmark, machine: Machine) -> int:
    """The fewest rounds n for which the smallest possible p-value, 2/2^n, is small enough."""
    if isinstance(machine.schedule, Seeded):
        return 1
    metrics = sum(benchmark.judged(metric, machine) for metric in bench.metrics)
    return math.ceil(math.log2(2 * metrics / ALPHA))


def can_decide(machine: Machine, rounds: int) -> bool:
    """Whether this many rounds can show a difference, if only one metric is tested."""
    if isinstance(machine.schedule, Seeded):
        return rounds > 0
    return bool(2 / 2**rounds <= ALPHA)


def lines(bench: Benchmark, machine: Machine, kept: Sequence[Samples]) -> Iterator[Line]:
    """A line for each metric that every round has on both sides."""
    measured = [
        metric
        for metric in bench.metrics
        if kept and all(metric.name in side for pair in kept for side in pair)
    ]
    lines = [_line(metric, machine, kept) for metric in measured]
    tested = [line for line in lines if line.difference is Difference.UNDECIDED]
    # Holm's correction: the smallest p-value must hold for all n metrics, the next for n - 1, …
    decided: dict[str, Difference] = {}
    for place, line in enumerate(sorted(tested, key=lambda line: line.chance)):
        if line.chance > ALPHA / (len(tested) - place):
            break
        before, after = line.means
        decided[line.metric] = Difference.LOWER if after < before else Difference.HIGHER
    for line in lines:
        yield replace(line, difference=decided.get(line.metric, line.difference))


def narrow(lines: Sequence[Line]) -> bool:
    """Whether every interval that is judged is so narrow that more rounds are not needed."""
    judged = [line for line in lines if line.difference is not Difference.NOT_JUDGED]
    ends = [(line.percent(line.low) or 0.0, line.percent(line.high) or 0.0) for line in judged]
    return all(high - low <= 2 * NARROW for low, high in ends)


def _line(metric: Metric, machine: Machine, kept: Sequence[Samples]) -> Line:
    before = tuple(pair[0][metric.name] for pair in kept)
    after = tuple(pair[1][metric.name] for pair in kept)
    changes = [new - old for old, new in zip(before, after, strict=True)]
    seeded = isinstance(machine.schedule, Seeded)
    same = not any(changes) and can_decide(machine, len(kept))
    test = _compare_exactly if seeded or same else _test_permutations
    low, high, chance, difference = test(changes)
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


TestResult = tuple[float, float, float, Difference]
"""low, high, chance, difference: the fields of a Line."""


def _compare_exactly(changes: Sequence[float]) -> TestResult:
    """LOWER or HIGHER only if every seed shows a difference in the same direction."""
    low, high = min(changes), max(changes)
    if low == high == 0:
        return low, high, 0.0, Difference.SAME
    # The seeds disagree: chance 1 keeps it undecided in lines().
    if low <= 0 <= high:
        return low, high, 1.0, Difference.UNDECIDED
    return low, high, 0.0, Difference.LOWER if high < 0 else Difference.HIGHER


def _test_permutations(changes: Sequence[float]) -> TestResult:
    """A permutation test (random signs: how often is the mean so far from 0?), and a bootstrap."""
    if len(changes) == 1:
        # One round decides nothing, and scipy refuses it. A kernel that dies may leave only one.
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
