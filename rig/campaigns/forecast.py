# SPDX-License-Identifier: GPL-2.0-only
"""What a search will cost: the policy itself is run on histories whose culprit is drawn at random.

A search over a range needs a constant for the ends and for certainty, and so many builds and guests
for each halving of the range. Both are measured on two short ranges, which takes a second or two.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from rig.campaigns import rates
from rig.campaigns.ancestry import Ancestry, linear
from rig.campaigns.culprit import Costs, Culprit, Search
from rig.campaigns.rates import Runs

RUNS_MAX = 6000
SHORT, LONG = 8, 64
"""Commits of the two ranges that are simulated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """One simulated search, or the mean of several."""

    guests: float
    builds: float
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    culprit: Culprit | None
    """None if the search was given up."""
    spent: Spent


def simulate(search: Search, fails: Callable[[int], bool]) -> Simulated:
    """Run a search to its end; `fails` is one run of a commit."""
    seconds, found = 0.0, None
    while search.runs.total < RUNS_MAX and not found:
        choice = search.choose()
        if choice is None:
            break
        if choice.commit not in search.built:
            seconds += search.costs.build(choice.commit, search.previous)
            search.build(choice.commit)
        for _ in range(choice.runs):
            failed = fails(choice.commit)
            search.record(choice.commit, Runs(failed=failed, passed=not failed))
            found = search.culprit() if search.known() else None
            if found or failed:
                break
    guests, builds = search.runs.total, len(search.built)
    seconds += guests * search.costs.guest
    return Simulated(culprit=found, spent=Spent(guests=guests, builds=builds, seconds=seconds))


def culprit_at(
    ancestry: Ancestry, culprit: int, bad: float, good: float, chance: random.Random
) -> Callable[[int], bool]:
    """A history whose commits fail with the rate `bad` from the culprit on, else with `good`."""

    def fails(commit: int) -> bool:
        is_bad = commit >= 0 and ancestry.of(commit) >> culprit & 1
        return chance.random() < (bad if is_bad else good)

    return fails


def expected(size: int, costs: Costs, end: Runs, *, trials: int = 12, seed: int = 1) -> Spent:
    """The mean of the searches of a range of `size` commits that are to be expected, after these
    runs of its bad end."""
    short, long = (
        _mean(commits, costs, end, trials, random.Random(seed)) for commits in (SHORT, LONG)
    )
    steps = (math.log2(max(size, 2)) - math.log2(SHORT)) / math.log2(LONG / SHORT)

    def at(first: float, second: float) -> float:
        return max(1.0, first + steps * (second - first))

    return Spent(
        guests=at(short.guests, long.guests),
        builds=at(short.builds, long.builds),
        seconds=at(short.seconds, long.seconds),
    )


def _mean(commits: int, costs: Costs, end: Runs, trials: int, chance: random.Random) -> Spent:
    by_bad, _ = rates.posterior(end, Runs())
    sums, ancestry, spent = list(accumulate(by_bad)), linear(commits), list[Spent]()
    for _ in range(trials):
        draw = chance.random() * sums[-1]
        rate = next(rate for rate, upto in zip(rates.BAD, sums, strict=True) if upto >= draw)
        culprit = chance.randrange(commits)
        fails = culprit_at(ancestry, culprit, rate, 0.0, chance)
        # A build after another is as far as in the real range, not as near as in a short one.
        spent.append(simulate(Search(ancestry, costs), fails).spent)
    return Spent(
        guests=sum(one.guests for one in spent) / trials,
        builds=sum(one.builds for one in spent) / trials,
        seconds=sum(one.seconds for one in spent) / trials,
    )
