# SPDX-License-Identifier: GPL-2.0-only
"""The error rate of `rig bench`, on random numbers with fixed seeds."""

import itertools
import random

import pytest

from rig.campaigns import statistics
from rig.cli import false_differences
from rig.cli.false_differences import MACHINE


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
    low, high, chance, _ = statistics._test_permutations(changes)
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
        low, high, _, _ = statistics._test_permutations(changes)
        hits += low <= 7 <= high
    assert hits >= 0.93 * 400
