# SPDX-License-Identifier: GPL-2.0-only
"""The error rate of `rig bench`, on random numbers with fixed seeds."""

import itertools
import random
from collections.abc import Sequence

import pytest

from rig.campaigns import statistics
from rig.campaigns.statistics import Difference, Line
from rig.cli import false_differences
from rig.cli.false_differences import MACHINE
from rig.guest.qemu import Accel, Machine, Seeded


def false_percent(kind: str, noise: float, campaigns: int = 400, **options: int) -> float:
    """Percent of campaigns with equal kernels that find a difference."""
    shape = {"most": 40, "comparisons": 1, "metrics": 1} | options
    found = [
        false_differences.campaign(kind, noise, 0.0, seed=seed, **shape)[0]
        for seed in range(campaigns)
    ]
    return 100 * sum(found) / len(found)


LIMIT = 6.5
"""5 %, and 1.4 times the standard deviation of 400 simulations, which is 1.1 %."""


@pytest.mark.parametrize("kind", false_differences.KINDS)
@pytest.mark.parametrize("noise", [2, 12])
def test_equal_kernels_differ_in_5_percent_at_most(kind: str, noise: float) -> None:
    assert false_percent(kind, noise) <= LIMIT


def test_the_promise_is_for_all_comparisons_of_a_campaign_together() -> None:
    assert false_percent("normal", 5, 1000, comparisons=3, metrics=2, most=12) <= LIMIT


def test_a_real_difference_is_found() -> None:
    options = {"most": 40, "comparisons": 1, "metrics": 1}
    found = [
        false_differences.campaign("normal", 5, 10, seed=seed, **options)[0] for seed in range(100)
    ]
    assert sum(found) >= 80


def test_the_number_of_rounds_is_the_same_whatever_the_difference_is() -> None:
    """Exchanging the kernels in a round, or a difference between them, must not change it."""
    generator = random.Random(1)
    bench = false_differences.benchmark(1)
    for _ in range(200):
        noise = [(generator.gauss(100, 9), generator.gauss(100, 9)) for _ in range(14)]
        exchanged = [pair if generator.random() < 0.5 else pair[::-1] for pair in noise]
        answers = {
            statistics.narrow(
                bench, MACHINE, [({"metric0": old}, {"metric0": new}) for old, new in pairs]
            )
            for pairs in (noise, exchanged)
        }
        assert len(answers) == 1


def test_the_permutation_test_counts_all_exchanges() -> None:
    """Against the definition, and the interval has the differences that the test accepts."""
    changes = [3.0, 1.5, -0.5, 2.0, 4.0, 2.5, 1.0, 0.25]
    low, high, chance = statistics._test_permutations(changes)
    signs = list(itertools.product((1, -1), repeat=len(changes)))

    def definition(shift: float) -> float:
        moved = [change - shift for change in changes]
        sums = [sum(a * b for a, b in zip(row, moved, strict=True)) for row in signs]
        return sum(abs(value) >= abs(sum(moved)) - 1e-9 for value in sums) / len(signs)

    assert chance == definition(0)
    for inside, outside in ((low + 0.01, low - 0.01), (high - 0.01, high + 0.01)):
        assert definition(inside) > 0.05 >= definition(outside)


@pytest.mark.parametrize("rounds", [6, 8, 20])
def test_the_interval_has_the_truth_as_often_as_it_says(rounds: int) -> None:
    generator, hits = random.Random(2), 0
    for _ in range(400):
        changes = [generator.gauss(7, 3) for _ in range(rounds)]
        low, high, _ = statistics._test_permutations(changes)
        hits += low <= 7 <= high
    assert hits >= 0.93 * 400


# Seeds


SEEDED = Machine(arch="x86_64", accel=Accel.TCG, schedule=Seeded(seed=1))


def seeds(values: Sequence[tuple[float, float]]) -> Line:
    """The line of a metric with these values of each seed, before and after."""
    kept = [({"metric0": old}, {"metric0": new}) for old, new in values]
    (line,) = statistics.lines(false_differences.benchmark(1), SEEDED, kept)
    return line


def test_counts_that_follow_the_interleaving_differ_in_5_percent_at_most() -> None:
    """Any change of the code gives each seed another interleaving: a count goes up or down."""
    generator, metrics, found, alone = random.Random(3), 4, 0, 0
    bench = false_differences.benchmark(metrics)
    rounds = statistics.rounds_needed(bench, SEEDED)
    for _ in range(4000):

        def side() -> dict[str, float]:
            return {metric.name: generator.gauss(100, 9) for metric in bench.metrics}

        kept = [(side(), side()) for _ in range(rounds)]
        lines = list(statistics.lines(bench, SEEDED, kept))
        found += any(line.difference in (Difference.LOWER, Difference.HIGHER) for line in lines)
        alone += (
            statistics._test_signs(
                [
                    after - before
                    for before, after in zip(lines[0].before, lines[0].after, strict=True)
                ]
            )[2]
            <= 0.05
        )
    assert found <= 0.06 * 4000, "5 %, and three standard deviations"
    assert alone <= 0.06 * 4000


@pytest.mark.parametrize(
    ("up", "down", "same", "difference"),
    [
        (0, 3, 0, Difference.UNDECIDED),
        (0, 5, 0, Difference.UNDECIDED),
        (0, 6, 0, Difference.LOWER),
        (6, 0, 0, Difference.HIGHER),
        (0, 5, 4, Difference.UNDECIDED),
        (0, 6, 4, Difference.LOWER),
        (1, 7, 0, Difference.UNDECIDED),
        (1, 8, 0, Difference.LOWER),
        (9, 1, 0, Difference.HIGHER),
        (0, 0, 1, Difference.SAME),
        (0, 0, 6, Difference.SAME),
    ],
)
def test_the_seeds_decide_by_their_signs(
    up: int, down: int, same: int, difference: Difference
) -> None:
    """By how much does not matter: one seed of a thousand times as much is one seed."""
    values = [(10.0, 11.0)] * up + [(10.0, 9.0)] * down + [(10.0, 10.0)] * same
    line = seeds(values)
    assert line.difference is difference
    if up == 1 or down == 1:
        rare = 11.0 if up == 1 else 9.0
        odd = [(old, 1000 * (new - old) if new == rare else new) for old, new in values]
        assert seeds(odd).difference is difference


def test_the_chance_of_seeds_is_a_sign_tests() -> None:
    """Against the definition: how many of all patterns of signs are as far from even."""
    for pattern in itertools.product((-1.0, 1.0), repeat=7):
        others = itertools.product((-1, 1), repeat=7)
        far = [abs(sum(other)) >= abs(sum(pattern)) for other in others]
        assert statistics._test_signs([*pattern, 0.0])[2] == sum(far) / len(far)
