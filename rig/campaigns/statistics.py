# SPDX-License-Identifier: GPL-2.0-only
"""Decides what differs between two kernels, from rounds that measured both.

In the live schedule a permutation test on the pairs decides: it exchanges the two kernels in some
of the rounds. Three things make its error rate right for any noise, also for noise that drifts:
 - A random choice decides which kernel runs first in a round (`orders`). If the kernels are equal,
   each exchange is therefore as likely as what was measured.
 - The number of rounds depends only on numbers that no exchange changes (`narrow`).
 - The error rate is shared by all metrics of all comparisons of a campaign.
In the seeded schedule both kernels have the same seed in a round. Its counts are exact, but a count
that only follows the interleaving changes at random with any change of the code, in one seed up and
in the next one down. An exact sign test on the seeds decides there.
"""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from rig.benches import benchmark
from rig.benches.benchmark import Benchmark, Metric
from rig.guest.qemu import Machine, Seeded

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

ALPHA = 0.05
"""Accepted chance of a false difference, over all metrics of all comparisons of a campaign."""
RESAMPLES = 10_000
NARROW = 5.0
"""Percent of the value to each side: rounds whose noise gives such an interval are enough."""


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
    """`low` and `high`: 95 % interval of the difference, of this metric alone; with seeds or too
    few rounds: smallest and greatest."""
    high: float
    chance: float
    """p-value of this metric alone: the chance of such a difference between equal kernels; 0 if it
    is the same in every round."""
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


def orders(name: str) -> Iterator[tuple[int, int]]:
    """The order of each round: (0, 1) if the kernel before runs first, or (1, 0); random.

    A fixed order, such as A B B A, adds the noise of a machine whose speed drifts to the difference
    of the kernels. The order is a function of the campaign's name, and so can be checked later.
    """
    chosen = random.Random(name)
    while True:
        yield chosen.choice(((0, 1), (1, 0)))


def rounds_needed(bench: Benchmark, machine: Machine, comparisons: int = 1) -> int:
    """The fewest rounds n for which the smallest possible p-value, 2/2^n, is small enough."""
    metrics = sum(benchmark.judged(metric, machine) for metric in bench.metrics)
    return math.ceil(math.log2(2 * metrics * comparisons / ALPHA))


def can_decide(rounds: int, comparisons: int = 1) -> bool:
    """Whether this many rounds can show a difference, if only one metric is tested."""
    return bool(2 / 2**rounds <= ALPHA / comparisons)


def lines(
    bench: Benchmark, machine: Machine, kept: Sequence[Samples], comparisons: int = 1
) -> Iterator[Line]:
    """A line for each metric that every round has on both sides.

    `comparisons`: the number of comparisons in the campaign, which share ALPHA in equal parts.
    """
    lines = [_line(metric, machine, kept) for metric in _measured(bench, kept)]
    tested = [line for line in lines if line.difference is Difference.UNDECIDED]
    # Holm's correction: the smallest p-value must hold for all n metrics, the next for n - 1, …
    decided: dict[str, Difference] = {}
    for place, line in enumerate(sorted(tested, key=lambda line: line.chance)):
        if line.chance > ALPHA / comparisons / (len(tested) - place):
            break
        lower = _direction(line, machine) < 0
        decided[line.metric] = Difference.LOWER if lower else Difference.HIGHER
    for line in lines:
        yield replace(line, difference=decided.get(line.metric, line.difference))


def _direction(line: Line, machine: Machine) -> float:
    """Less than 0 if the value after is lower: by the seeds that say so, or by the means."""
    if isinstance(machine.schedule, Seeded):
        return sum(map(_sign, line.before, line.after))
    before, after = line.means
    return after - before


def _sign(before: float, after: float) -> int:
    return (after > before) - (after < before)


def _measured(bench: Benchmark, kept: Sequence[Samples]) -> list[Metric]:
    return [
        metric
        for metric in bench.metrics
        if kept and all(metric.name in side for pair in kept for side in pair)
    ]


def narrow(bench: Benchmark, machine: Machine, kept: Sequence[Samples]) -> bool:
    """Whether the noise of these rounds gives intervals so narrow that they are enough.

    The noise is estimated from each round's sum of both kernels, and never from their difference.
    The sum is the same if the two are exchanged, and a difference of the kernels only adds a
    constant to it. So the number of rounds tells nothing about the sign of a difference, and the
    test of lines() keeps its error rate. The width of the interval itself would tell something: it
    is narrow in those samples that are far from 0 by chance, compared with their noise.
    """
    return all(
        _is_narrow([pair[0][metric.name] + pair[1][metric.name] for pair in kept])
        for metric in _measured(bench, kept)
        if benchmark.judged(metric, machine)
    )


def _is_narrow(sums: Sequence[float]) -> bool:
    """Whether the 95 % interval of a difference with the variance of these sums is narrow."""
    rounds = len(sums)
    if rounds < 2:
        return False
    # From neighbouring rounds, so that a machine that slowly gets warm does not count as noise.
    squares = [(later - earlier) ** 2 for earlier, later in itertools.pairwise(sums)]
    variance = sum(squares) / len(squares) / 2
    half = _quantile(rounds) * math.sqrt(variance / rounds)
    return half <= NARROW / 100 * abs(sum(sums) / rounds / 2)


@cache
def _quantile(rounds: int) -> float:
    """Student's t for a 95 % interval. Neighbours have 2/3 of a variance's degrees of freedom."""
    from scipy import stats

    return float(stats.t.ppf(1 - 0.05 / 2, (rounds - 1) * 2 / 3))


def _line(metric: Metric, machine: Machine, kept: Sequence[Samples]) -> Line:
    before = tuple(pair[0][metric.name] for pair in kept)
    after = tuple(pair[1][metric.name] for pair in kept)
    changes = [new - old for old, new in zip(before, after, strict=True)]
    seeded = isinstance(machine.schedule, Seeded)
    if not any(changes) and (seeded or can_decide(len(kept))):
        low, high, chance, difference = 0.0, 0.0, 0.0, Difference.SAME
    else:
        low, high, chance = (_test_signs if seeded else _test_permutations)(changes)
        difference = Difference.UNDECIDED
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


TestResult = tuple[float, float, float]
"""low, high, chance: the fields of a Line."""


def _test_signs(changes: Sequence[float]) -> TestResult:
    """How often do so many seeds agree, if each one goes up or down by chance?

    Seeds without a difference do not count. From the smallest to the greatest difference is a 95 %
    interval of the median if there are six seeds.
    """
    seeds = sum(map(bool, changes))
    fewer = min(sum(change > 0 for change in changes), sum(change < 0 for change in changes))
    tail = sum(math.comb(seeds, number) for number in range(fewer + 1))
    return min(changes), max(changes), min(1.0, 2 * tail / 2**seeds)


def _test_permutations(changes: Sequence[float]) -> TestResult:
    """How often is the mean so far from 0, if the kernels are exchanged in a subset of the rounds?

    The interval is 95 %: all differences that this test does not refuse. Its ends are among the
    means of the subsets: the true difference is as likely between any two neighbours of these as
    between any others (J. Hartigan, "Using subsample values as typical values", 1969). A percentile
    bootstrap holds 89 % with 8 rounds.
    """
    import numpy

    subsets, sizes = _subsets(len(changes))
    sums = subsets @ numpy.array(changes)
    total = math.fsum(changes)
    # Less than by rounding. The empty subset, which is not in the list, is as far as the total.
    as_far = numpy.abs(total - 2 * sums) >= abs(total) * (1 - 1e-9)
    chance = (1 + int(as_far.sum())) / (1 + len(sums))
    means = numpy.sort(sums / sizes)
    outside = max(1, math.floor((1 + len(means)) * 0.05 / 2))
    low, high = float(means[outside - 1]), float(means[-outside])
    return low, high, chance


@cache
def _subsets(rounds: int) -> "tuple[NDArray[numpy.float64], NDArray[numpy.float64]]":
    """A row of zeros and ones for each subset that is not empty, or for RESAMPLES random ones; and
    the number of ones in each."""
    import numpy

    if 2**rounds <= RESAMPLES:
        members = numpy.arange(1, 2**rounds)[:, None] >> numpy.arange(rounds) & 1
    else:
        members = numpy.random.default_rng(1).integers(0, 2, (RESAMPLES, rounds))
    subsets = members[members.any(axis=1)].astype(numpy.float64)
    return subsets, numpy.asarray(subsets.sum(axis=1))
