# SPDX-License-Identifier: GPL-2.0-only
"""The policy of `rig bisect`, on histories that are drawn at random with a fixed seed."""

import random

import pytest

from rig.campaigns import culprit, forecast, rates
from rig.campaigns.ancestry import GOOD, Ancestry, linear
from rig.campaigns.culprit import Costs, Search
from rig.campaigns.forecast import Simulated
from rig.campaigns.rates import Runs

ONE = Costs(guest=1.0, build=lambda commit, previous: 15.0)


def run(search: Search, at: int, bad: float = 1.0, good: float = 0.0, seed: int = 1) -> Simulated:
    fails = forecast.culprit_at(search.ancestry, at, bad, good, random.Random(seed))
    return forecast.simulate(search, fails)


def found(simulated: Simulated) -> tuple[int, ...]:
    return simulated.culprit.commits if simulated.culprit else ()


# What the runs say


def test_a_failure_says_that_the_culprit_is_not_newer() -> None:
    search = Search(linear(8), ONE)
    search.record(7, Runs(failed=10))
    before = search.posterior()
    assert before[3] == pytest.approx(before[7])
    search.record(3, Runs(failed=10))
    after = search.posterior()
    assert after[4] < 0.01 < after[3] == pytest.approx(after[0])
    assert sum(after.values()) == pytest.approx(1)


def test_passes_say_that_it_is_not_older_and_few_of_them_say_little() -> None:
    search = Search(linear(8), ONE)
    search.record(7, Runs(failed=10, passed=90))
    search.record(3, Runs(passed=5))
    assert 0.3 < sum(search.posterior()[commit] for commit in range(4)) < 0.45
    search.record(3, Runs(passed=75))
    assert sum(search.posterior()[commit] for commit in range(4)) < 0.01


def test_one_unrelated_failure_does_not_decide() -> None:
    search = Search(linear(8), ONE)
    search.record(7, Runs(failed=50, passed=50))
    search.record(3, Runs(failed=1, passed=99))
    assert sum(search.posterior()[commit] for commit in range(4)) < 0.001


def test_runs_count_in_any_order_and_portion() -> None:
    together, apart = Search(linear(8), ONE), Search(linear(8), ONE)
    together.record(7, Runs(failed=3, passed=5))
    together.record(2, Runs(failed=1, passed=9))
    for failed in (False, True, *[False] * 8):
        apart.record(2, Runs(failed=failed, passed=not failed))
    apart.record(7, Runs(failed=3, passed=5))
    assert apart.posterior() == pytest.approx(together.posterior())


def test_a_merge_is_bad_if_either_side_has_the_culprit() -> None:
    # 0 - 1 - 2 ----- 5
    #  \- 3 - 4 -----/
    search = Search(Ancestry([(), (0,), (1,), (0,), (3,), (2, 4)]), ONE)
    search.record(5, Runs(failed=10))
    search.record(2, Runs(passed=20))
    chances = search.posterior()
    assert {commit for commit, chance in chances.items() if chance > 0.1} == {3, 4, 5}


def test_the_search_does_not_end_as_soon_as_the_posterior_is_what_is_asked_for() -> None:
    search = Search(linear(2), ONE)
    search.record(1, Runs(failed=40, passed=60))
    ends = list[float]()
    while not search.culprit():
        search.record(0, Runs(passed=1))
        ends.append(max(search.posterior().values()))
    assert ends[-1] >= 0.995
    assert any(0.99 < chance < 0.995 for chance in ends)


# The search


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100])
def test_a_deterministic_culprit_is_found_as_by_git_bisect(size: int) -> None:
    for at in range(0, size, max(1, size // 9)):
        result = run(Search(linear(size), ONE), at)
        assert found(result) == (at,)
        # The bad end, a build for each halving, and for the oldest commit the good end.
        assert result.spent.builds <= 1 + (size - 1).bit_length() + (at == 0), at


@pytest.mark.parametrize("seed", range(6))
def test_a_race_over_merges(seed: int) -> None:
    chance = random.Random(seed)
    parents: list[tuple[int, ...]] = [()]
    for commit in range(1, 63):
        branch = chance.randrange(max(0, commit - 9), commit)
        parents.append((commit - 1, branch) if chance.random() < 0.2 else (commit - 1,))
    at = chance.randrange(63)
    result = run(Search(Ancestry(parents), ONE), at, 0.3, seed=seed)
    assert result.culprit and result.culprit.chance >= 0.99
    assert found(result) == (at,)
    assert result.spent.builds <= 13


def test_a_fault_that_the_good_end_has_too_is_not_blamed_on_the_range() -> None:
    result = forecast.simulate(Search(linear(20), ONE), lambda commit: True)
    assert found(result) == (GOOD,)


def test_skipped_commits_hide_only_what_lies_among_them() -> None:
    search = Search(linear(32), ONE)
    for commit in (15, 16, 17):
        search.skip(commit)
    assert found(run(search, 9)) == (9,)
    search = Search(linear(32), ONE)
    for commit in (15, 16, 17):
        search.skip(commit)
    result = run(search, 16)
    assert found(result) == (15, 16, 17, 18)
    assert result.culprit and result.culprit.chance >= 0.99


def test_a_commit_beside_a_broken_one_is_not_tried_next() -> None:
    search = Search(linear(64), ONE)
    search.build(63)
    search.record(63, Runs(failed=9))
    first = search.choose()
    assert first
    search.skip(first.commit)
    second = search.choose()
    assert second and 2 <= abs(second.commit - first.commit) <= 16


def test_a_commit_that_builds_ends_what_is_broken() -> None:
    seconds = []
    for built in (59, 31):
        search = Search(linear(64), ONE)
        search.build(63)
        search.record(63, Runs(failed=9))
        search.skip(30)
        search.build(built)
        seconds.append(search._build_cost(32))
    assert seconds[0] > seconds[1] == 15.0


def test_a_bad_end_that_is_not_bad_is_run_and_nothing_else() -> None:
    search = Search(linear(64), ONE)
    search.build(63)
    search.record(63, Runs(passed=200))
    choice = search.choose()
    assert choice and choice.commit == 63 and not search.known()


def test_a_commit_that_is_good_anyway_tells_nothing() -> None:
    """However unlikely the culprits are that are left out: their chances must not be missing."""
    search = Search(linear(64), ONE)
    search.record(63, Runs(failed=50, passed=950))
    search.record(20, Runs(failed=6, passed=594))
    search.record(39, Runs(failed=4, passed=396))
    search.record(40, Runs(failed=20, passed=380))
    left_out = [group for group in search._groups if 0 < group.chance <= culprit.LEAST]
    assert sum(group.chance for group in left_out) > 5e-6
    (_, information, _), *_ = search._telling(search._likely(), 20)
    assert information < 3e-5


def test_a_near_commit_that_is_built_soon_is_preferred() -> None:
    far = Costs(guest=1.0, build=lambda commit, previous: 5.0 if 38 <= commit <= 44 else 200.0)
    search = Search(linear(64), far)
    search.build(63)
    search.record(63, Runs(failed=5, passed=5))
    choice = search.choose()
    assert choice and 38 <= choice.commit <= 44
    search = Search(linear(64), ONE)
    search.build(63)
    search.record(63, Runs(failed=5, passed=5))
    choice = search.choose()
    assert choice and 28 <= choice.commit <= 37


def test_the_dearer_a_build_the_more_runs_of_it() -> None:
    runs = []
    for build in (1.0, 15.0, 500.0):
        search = Search(linear(64), Costs(guest=1.0, build=lambda commit, previous: build))  # noqa: B023
        search.build(63)
        search.record(63, Runs(failed=5, passed=45))
        choice = search.choose()
        assert choice
        runs.append(choice.runs)
    assert runs == sorted(runs)
    assert runs[0] < runs[2]


def test_commits_that_touch_the_case_are_suspected_first() -> None:
    prior = [10.0 if commit % 10 == 3 else 1.0 for commit in range(100)]
    plain = [run(Search(linear(100), ONE), 43, 0.3, seed=seed) for seed in range(4)]
    guided = [run(Search(linear(100), ONE, prior=prior), 43, 0.3, seed=seed) for seed in range(4)]
    assert all(found(result) == (43,) for result in guided)

    def cost(results: list[Simulated]) -> float:
        return sum(result.spent.seconds for result in results)

    assert cost(guided) < cost(plain)


def test_a_commit_that_cannot_be_the_culprit_is_not_named() -> None:
    prior = [0.0 if commit < 10 else 1.0 for commit in range(20)]
    search = Search(linear(20), ONE, prior=prior)
    search.record(19, Runs(failed=5))
    chances = search.posterior()
    assert max(chances[commit] for commit in range(10)) < 1e-6


def test_each_of_many_commits_may_have_its_own_weight() -> None:
    size = 20_000
    search = Search(linear(size), ONE, prior=[1 + commit / size for commit in range(size)])
    search.build(size - 1)
    search.record(size - 1, Runs(failed=9))
    choice = search.choose()
    # The newer half has 7/12 of the prior.
    assert choice and 0.5 * size < choice.commit < 0.65 * size
    chances = search.posterior()
    assert chances[size - 1] / chances[0] == pytest.approx(2, rel=0.2)


def test_a_prior_must_fit() -> None:
    with pytest.raises(ValueError, match="a prior has a weight for each"):
        Search(linear(3), ONE, prior=[1.0, 2.0])
    with pytest.raises(ValueError, match="a range has commits"):
        Search(Ancestry([]), ONE)


def test_an_interrupted_search_goes_on() -> None:
    """Stored runs give the same posterior and the same next kernel."""
    search = Search(linear(64), ONE)
    fails = forecast.culprit_at(search.ancestry, 20, 0.5, 0.0, random.Random(3))
    for _ in range(8):
        choice = search.choose()
        assert choice
        search.build(choice.commit)
        for _ in range(choice.runs):
            failed = fails(choice.commit)
            search.record(choice.commit, Runs(failed=failed, passed=not failed))
    again = Search(linear(64), ONE)
    for commit, runs in search.tested.items():
        again.build(commit)
        again.record(commit, runs)
    assert again.posterior() == pytest.approx(search.posterior())
    first, second = search.choose(), again.choose()
    assert first and second and first.commit == second.commit


# The figures, small


@pytest.mark.parametrize(
    ("bad", "good", "guests"),
    [(1.0, 0.0, 27), (0.5, 0.0, 70), (0.2, 0.0, 175), (0.2, 0.01, 250)],
)
def test_it_is_right_with_few_builds_and_guests(bad: float, good: float, guests: int) -> None:
    trials = []
    for seed in range(12):
        at = random.Random(seed).randrange(255)
        trials.append((at, run(Search(linear(255), ONE), at, bad, good, seed)))
    assert sum(found(result) == (at,) for at, result in trials) >= 11
    # 1.3 * log2(255), and half a build for so small a sample; tests/simulated/ has large ones.
    assert sum(result.spent.builds for _, result in trials) / 12 <= 1.3 * 8 + 0.5
    assert sum(result.spent.guests for _, result in trials) / 12 <= guests


def test_what_it_will_cost_is_known_in_advance() -> None:
    spent = forecast.expected(255, ONE, Runs(failed=4, passed=16))
    real = [run(Search(linear(255), ONE), 20 * seed, 0.2, 0, seed).spent for seed in range(8)]
    mean = sum(one.seconds for one in real) / 8
    assert 0.6 * mean < spent.seconds < 1.6 * mean
    assert 7 < spent.builds < 13


# Rates


def test_the_rate_of_the_bad_end() -> None:
    low, high = rates.interval(Runs(failed=10, passed=90))
    assert 0.04 < low < 0.1 < high < 0.2
    assert rates.interval(Runs(failed=1000)) == (1.0, 1.0)


def test_a_bad_commit_fails_more_often_than_a_good_one() -> None:
    same = rates.evidence(Runs(failed=5, passed=95), Runs(failed=50, passed=50))
    other = rates.evidence(Runs(failed=50, passed=50), Runs(failed=5, passed=95))
    assert other > same + 30


def test_what_is_impossible_is_not_nan() -> None:
    assert rates.evidence(Runs(failed=10**6), Runs(passed=10**6)) < 0
    by_bad, by_good = rates.posterior(Runs(failed=1, passed=10**6), Runs(failed=10**6, passed=1))
    assert all(value == value for value in (*by_bad, *by_good))
