# SPDX-License-Identifier: GPL-2.0-only
"""The two tests, against scipy's and against all orders."""

import itertools
import math
import random

import pytest

from rig.history import chance

scipy_stats = pytest.importorskip("scipy.stats")


def test_fishers_test_is_scipys() -> None:
    chosen = random.Random(1)
    for _ in range(200):
        new, old = chosen.randint(1, 80), chosen.randint(1, 900)
        bad, earlier = chosen.randint(0, new), chosen.randint(0, min(old, 40))
        table = [[bad, new - bad], [earlier, old - earlier]]
        _, expected = scipy_stats.fisher_exact(table, alternative="greater")
        assert chance.upper(bad, new, bad + earlier, new + old) == pytest.approx(expected, rel=1e-6)


def test_half_of_the_chance_of_what_was_seen() -> None:
    exact, half = chance.upper(9, 64, 10, 128), chance.upper(9, 64, 10, 128, own=0.5)
    more = chance.upper(10, 64, 10, 128)
    assert half == pytest.approx((exact + more) / 2)


def test_the_order_of_nights_is_counted_exactly() -> None:
    for new, old in ((1, 3), (2, 4), (4, 5)):
        counts: dict[int, int] = {}
        for ranks in itertools.combinations(range(new + old), new):
            others = set(range(new + old)) - {*ranks}
            against = sum(one < other for one in ranks for other in others)
            counts[against] = counts.get(against, 0) + 1
        for against in range(new * old + 1):
            expected = sum(count for pairs, count in counts.items() if pairs <= against)
            found = chance.ordered(against, new, old) * math.comb(new + old, new)
            assert found == pytest.approx(expected)


def test_mann_and_whitneys_test_is_scipys() -> None:
    chosen = random.Random(2)
    for new, old in ((4, 60), (8, 60), (16, 90), (32, 90)):
        before = [chosen.gauss(0, 1) for _ in range(old)]
        after = [chosen.gauss(1.5, 1) for _ in range(new)]
        expected = scipy_stats.mannwhitneyu(after, before, alternative="greater", method="exact")
        against = sum(one <= other for one in after for other in before)
        assert chance.ordered(against, new, old) == pytest.approx(expected.pvalue, rel=1e-6)


@pytest.mark.parametrize(("failed", "runs"), [(0, 64), (1, 64), (9, 64), (64, 64), (3, 5)])
def test_the_interval_is_scipys(failed: int, runs: int) -> None:
    found = scipy_stats.binomtest(failed, runs).proportion_ci(method="wilson")
    assert chance.interval(failed, runs) == pytest.approx((found.low, found.high), abs=1e-6)


def test_nothing_is_known_of_no_runs() -> None:
    assert chance.interval(0, 0) == (0.0, 1.0)


def test_equal_values_are_no_move() -> None:
    assert chance.value_moved([5.0] * 90, 1.0) is None
    assert chance.value_moved([5.0, 6.0] * 45, 1e-3) is None


def test_a_move_up_and_a_move_down() -> None:
    values = [100.0 + number % 9 for number in range(60)]
    up = chance.value_moved([*values, *[120.0] * 8], 1e-4)
    down = chance.value_moved([*values, *[80.0] * 8], 1e-4)
    assert up and down and (up.up, down.up) == (True, False)
    assert up.first == down.first == 60
    assert chance.value_moved([*values, *[120.0] * 8], 1e-4, only_down=True) is None


def test_the_chance_of_a_false_alarm_is_kept() -> None:
    """Of 2,000 lines without a change, judged once at 1 %, also with values of any distribution."""
    chosen = random.Random(3)
    alarms = sum(
        chance.value_moved([chosen.paretovariate(1) for _ in range(60)], 0.01) is not None
        for _ in range(2000)
    )
    assert alarms <= 32  # 20 expected at most; 32 has a chance of 0.3 %
    rates = sum(
        chance.rate_moved(
            [sum(chosen.random() < 0.05 for _ in range(8)) for _ in range(30)], [8] * 30, 0.01
        )
        is not None
        for _ in range(1000)
    )
    assert rates <= 34  # up and down, 20 expected


def test_a_slope_is_the_median_of_slopes() -> None:
    assert chance.slope([1, 2, 3, 100, 5]) == pytest.approx(1, abs=0.5)
    assert chance.slope([1]) == 0
