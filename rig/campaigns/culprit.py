# SPDX-License-Identifier: GPL-2.0-only
"""Which commit of a range is the culprit, from runs that fail only sometimes; and what to run next.

The policy of `rig bisect`, as pure computation. Every run counts for every commit: a posterior says
how likely each one is the culprit. The next kernel, new or built before, is the one from which the
most information is expected for each second that its build and its runs take.

Two commits with the same tested descendants have the same likelihood. So commits are kept in groups
of these, and a group is judged once: no numpy is needed for a range of 100,000 commits.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from rig.campaigns import rates
from rig.campaigns.ancestry import GOOD, Ancestry, bits_of
from rig.campaigns.rates import Prospects, Runs

CONFIDENCE = 0.99
MARGIN = 0.5
"""The search goes on until this part of the doubt is left that the confidence allows: the posterior
at its end is no greater than it must be, and the priors of the rates are not exact."""
FAILURES, ALWAYS = 4, 7
"""Failures of the bad end before the search begins: then its rate is known well enough. More if
none of its runs passes: a race that fails in half of the runs must not look deterministic."""
LEVELS = 40
"""Candidates are compared by their chance to be bad in this many levels, then exactly."""
EACH = 8
"""So many of a level, which has hundreds in a range of thousands."""
LEAST = 1e-4
"""A commit that is bad with a smaller chance is no candidate."""
DEAR = 1.0
"""A build is taken to cost at least the runs that tell so many bits. With cheap builds and rates
that are hard to tell apart, the search would go on to another commit on weak evidence: more builds,
and no fewer runs."""
WEIGHTS = 4
"""The weights of a prior are rounded to so many steps for each factor of 2. A range of 20,000
commits with a weight of its own for each would have 20,000 groups, none of them a likely one."""
ENOUGH = 1e-7
"""Bits; no more is to be learnt if no run is expected to tell as much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Seconds."""

    guest: float
    """A run, divided by the number of runs that go on at the same time."""
    build: Callable[[int, int | None], float]
    """To build a commit after another one (None: after nothing)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The kernel to run next."""

    commit: int
    """GOOD for the good end."""
    runs: int
    """How many; the first failure ends them, and so does a culprit that is known earlier."""
    build: float
    """Seconds to build it; 0 if it is built."""
    chance: float
    """How likely it is bad."""
    rate: float
    """Expected bits a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Culprit:
    """The end of a search."""

    commits: tuple[int, ...]
    """One; several if skipped commits hide which of them it is; (GOOD,) if the good end is bad;
    empty if the runs cannot tell."""
    chance: float
    """That it is one of these."""


_Candidate = tuple[float, float, int]
"""Chance to be bad, seconds of its build, commit."""
_BY_BUILD = itemgetter(1)


@dataclass(slots=True)
class _Group:
    """Commits that the runs cannot tell apart: the same tested commits descend from them."""

    members: tuple[int, ...]
    """Empty for the group of the commits before the range."""
    bits: int
    weight: float
    """Prior of each member."""
    bad: set[int]
    """The tested commits that are bad if the culprit is in this group."""
    runs: Runs = field(default_factory=Runs)
    """Of those."""
    chance: float = 0.0
    """Posterior of all members together."""

    @property
    def size(self) -> int:
        return len(self.members) or 1


_Prospective = list[tuple[_Group, float, Prospects, Prospects]]
"""Groups that are likely enough, their chances, and the prospects of a bad and of a good commit."""


class Search:
    """What is known of the culprit. The last commit of the range is the bad end."""

    def __init__(
        self,
        ancestry: Ancestry,
        costs: Costs,
        *,
        prior: Sequence[float] = (),
        confidence: float = CONFIDENCE,
    ) -> None:
        """`prior` has a weight for each commit, by default 1; the good end has the weight of an
        average one."""
        if not len(ancestry) or (prior and len(prior) != len(ancestry)):
            raise ValueError("a range has commits, and a prior has a weight for each")
        self.ancestry, self.costs, self.confidence = ancestry, costs, confidence
        self.tested: dict[int, Runs] = {}
        self.runs = Runs()
        """All of them."""
        self.built: set[int] = set()
        self.skipped: set[int] = set()
        self.previous: int | None = None
        self._builds: list[float] = []
        weights = [_rounded(weight) for weight in prior] or [1.0] * len(ancestry)
        levels: dict[float, list[int]] = {}
        for commit, weight in enumerate(weights):
            levels.setdefault(weight, []).append(commit)
        self._groups = [
            _Group(tuple(members), bits_of(members), weight, set())
            for weight, members in levels.items()
        ]
        before = sum(weights) / len(weights)
        self._groups.append(_Group((), 0, before, set()))
        self._judge()

    @property
    def end(self) -> int:
        return len(self.ancestry) - 1

    # --- what happened -------------------------------------------------------------------------

    def build(self, commit: int) -> None:
        """A kernel was built."""
        self.built.add(commit)
        self.previous = commit
        self._builds = []

    def skip(self, commit: int) -> None:
        """A commit does not build, or does not boot: that says nothing of the culprit."""
        self.skipped.add(commit)
        self._builds = []

    def record(self, commit: int, runs: Runs) -> None:
        if commit not in self.tested:
            self._split(commit)
            self.tested[commit] = Runs()
        self.tested[commit] += runs
        self.runs += runs
        for group in self._groups:
            if commit in group.bad:
                group.runs += runs
        self._judge()

    def _split(self, commit: int) -> None:
        """Divide the groups into the ancestors of a commit that is tested, and others."""
        ancestors, groups = self.ancestry.of(commit), list[_Group]()
        for group in self._groups:
            inside = group.bits & ancestors
            if not group.members or inside == group.bits:
                group.bad.add(commit)
            if not group.members or inside in (0, group.bits):
                groups.append(group)
                continue
            halves = ([m for m in group.members if (inside >> m & 1) == side] for side in (1, 0))
            for members, bad in zip(halves, ({*group.bad, commit}, {*group.bad}), strict=True):
                half = _Group(tuple(members), bits_of(members), group.weight, bad, group.runs)
                groups.append(half)
        self._groups = groups

    def _judge(self) -> None:
        logs = [
            math.log(group.weight * group.size or 1e-300)
            + rates.evidence(group.runs, self._good(group))
            for group in self._groups
        ]
        top = max(logs)
        sum_ = sum(math.exp(log - top) for log in logs)
        for group, log in zip(self._groups, logs, strict=True):
            group.chance = math.exp(log - top) / sum_

    def _good(self, group: _Group) -> Runs:
        """The runs of commits that are good if the culprit is in this group."""
        bad, all_ = group.runs, self.runs
        return Runs(failed=all_.failed - bad.failed, passed=all_.passed - bad.passed)

    # --- what it says --------------------------------------------------------------------------

    def posterior(self) -> dict[int, float]:
        """How likely each commit is the culprit; GOOD: it is before the range."""
        chances = {m: g.chance / g.size for g in self._groups for m in g.members}
        return {commit: chances[commit] for commit in sorted(chances)} | {GOOD: self._before}

    @property
    def _before(self) -> float:
        return next(group.chance for group in self._groups if not group.members)

    def rates(self) -> tuple[list[float], list[float]]:
        """How likely each rate of rates.BAD is, and each of rates.UNRELATED."""
        bads, goods = [0.0] * len(rates.BAD), [0.0] * len(rates.UNRELATED)
        for group in self._groups:
            if group.chance < 1e-3:
                continue
            by_bad, by_good = rates.posterior(group.runs, self._good(group))
            bads = [sum_ + group.chance * value for sum_, value in zip(bads, by_bad, strict=True)]
            goods = [s + group.chance * value for s, value in zip(goods, by_good, strict=True)]
        return bads, goods

    def known(self) -> bool:
        """Whether the rate of the bad end is known well enough to begin."""
        runs = self.tested.get(self.end, Runs())
        return runs.failed >= (FAILURES if runs.passed else ALWAYS)

    def culprit(self) -> Culprit | None:
        """The end of the search; None if it goes on."""
        group = max(self._groups, key=lambda group: group.chance)
        if group.chance < 1 - MARGIN * (1 - self.confidence):
            return None
        if group.size > 1 and self._divisible(group):
            return None
        return Culprit(commits=group.members or (GOOD,), chance=group.chance)

    def _divisible(self, group: _Group) -> bool:
        """Whether a commit that is not skipped has some of the group as ancestors, but not all."""
        own = [0.0] * len(self.ancestry)
        for member in group.members:
            own[member] = 1.0
        counts = self.ancestry.sums(own, [(group.bits, 1.0)])
        return any(
            0 < count < group.size and commit not in self.skipped
            for commit, count in enumerate(counts)
        )

    # --- what to run next ----------------------------------------------------------------------

    def chances(self) -> list[float]:
        """How likely each commit is bad."""
        before, own = self._before, [0.0] * len(self.ancestry)
        groups = [
            (group.bits, group.chance / group.size) for group in self._groups if group.members
        ]
        for group in self._groups:
            each = group.chance / group.size
            for member in group.members:
                own[member] = each
        return [min(1.0, before + total) for total in self.ancestry.sums(own, groups)]

    def choose(self) -> Choice | None:
        """The kernel from which the most is expected a second; None if none tells anything more."""
        if not self.known() and self.end not in self.skipped:
            build = self._build_cost(self.end)
            return Choice(commit=self.end, runs=1, build=build, chance=1.0, rate=0.0)
        levels = self._levels()
        # A level is judged by the candidate that is built soonest, and the best levels exactly.
        groups = self._likely()
        dear = self._dear(groups)
        firsts: list[tuple[float, list[_Candidate]]] = []
        for level in levels.values():
            _, build, commit = min(level, key=_BY_BUILD)
            firsts.append((self._rate(groups, dear * build, commit)[0], level))
        top = max((rate for rate, _ in firsts), default=0.0)
        exact = [
            (*self._rate(groups, dear * build, commit), chance, build, commit)
            for rate, level in firsts
            if rate > 0.97 * top
            for chance, build, commit in level[:: 1 + len(level) // EACH]
        ]
        if not exact or top * self.costs.guest < ENOUGH:
            return None
        rate, runs, chance, build, commit = max(exact, key=itemgetter(0))
        if not build:
            others = (rate for rate, level in firsts if any(one[2] != commit for one in level))
            runs = self._stay(groups, commit, max(others, default=0.0))
        return Choice(commit=commit, runs=runs, build=build, chance=chance, rate=rate)

    def _likely(self) -> _Prospective:
        """The groups that are likely enough. Their chances have the sum 1: an entropy of outcomes
        that lacks 0.0001 of them is wrong by more bits than a run tells near the end."""
        likely = [group for group in self._groups if group.chance > LEAST]
        whole = sum(group.chance for group in likely)
        return [(group, group.chance / whole, *self._prospects(group)) for group in likely]

    def _prospects(self, group: _Group) -> tuple[Prospects, Prospects]:
        """If the culprit is in this group. A commit that fails often, and yet would be good, says
        something of good commits there: so each group has its own."""
        return rates.prospects(group.runs, self._good(group))

    def _dear(self, groups: _Prospective) -> float:
        """How much dearer a build is than it takes: see DEAR."""
        builds = [build for build in self._builds if 0 < build < math.inf]
        bad = 1 - sum(chance * if_bad[0].quiet for _, chance, if_bad, _ in groups)
        good = 1 - sum(chance * if_good[0].quiet for _, chance, _, if_good in groups)
        bits = rates.capacity(bad, good)
        if not builds or not bits:
            return 1.0
        return max(1.0, DEAR * self.costs.guest / bits * len(builds) / sum(builds))

    def _levels(self) -> dict[tuple[int, bool], list[_Candidate]]:
        """The candidates, by their chance to be bad and by whether they are built."""
        if not self._builds:
            self._builds = [self._build_cost(commit) for commit in range(len(self.ancestry))]
        levels = defaultdict[tuple[int, bool], list[_Candidate]](list)
        for commit, (chance, build) in enumerate(zip(self.chances(), self._builds, strict=True)):
            if chance > LEAST and build < math.inf:
                levels[int(chance * LEVELS), not build].append((chance, build, commit))
        chance, build = self._before, self._build_cost(GOOD)
        if chance > LEAST and build < math.inf:
            levels[int(chance * LEVELS), not build].append((chance, build, GOOD))
        return levels

    def _build_cost(self, commit: int) -> float:
        """Seconds; divided by the chance that it builds at all, as a failed build tells nothing."""
        if commit in self.skipped:
            return math.inf
        if commit in self.built:
            return 0.0
        return self.costs.build(commit, self.previous) / self._builds_at_all(commit)

    def _builds_at_all(self, commit: int) -> float:
        """A commit near a skipped one is often broken too, by the same mistake."""
        if not self.skipped:
            return 1.0
        nearest = min(self.skipped, key=lambda skipped: abs(skipped - commit))
        low, high = sorted((nearest, commit))
        if any(low < built < high for built in self.built):
            return 1.0
        near = [other for other in self.skipped if abs(other - nearest) <= 2 * len(self.skipped)]
        return 1 - math.exp(-(high - low) / (1 + max(near) - min(near)))

    def _telling(self, groups: _Prospective, commit: int) -> Iterable[tuple[int, float, float]]:
        """For each of HORIZONS: so many runs of this commit, the bits they tell, how many are
        needed."""
        ancestors = self.ancestry.of(commit)
        parts: list[tuple[float, Prospects]] = []
        for group, likely, if_bad, if_good in groups:
            inside = (group.bits & ancestors).bit_count() / group.size if group.members else 1.0
            if inside:
                parts.append((inside * likely, if_bad))
            if inside < 1:
                parts.append(((1 - inside) * likely, if_good))
        for place, runs in enumerate(rates.HORIZONS):
            quiet = doubt = length = 0.0
            for chance, prospects in parts:
                prospect = prospects[place]
                quiet += chance * prospect.quiet
                doubt += chance * prospect.doubt
                length += chance * prospect.length
            yield runs, rates.entropy(quiet) - doubt, length

    def _rate(self, groups: _Prospective, build: float, commit: int) -> tuple[float, int]:
        """The most bits a second that a kernel can tell, and the number of runs for it."""
        guest, best, best_runs = self.costs.guest, -1.0, 1
        for runs, information, length in self._telling(groups, commit):
            rate = information / (build + guest * length)
            if rate > best:
                best, best_runs = rate, runs
        return best, best_runs

    def _stay(self, groups: _Prospective, commit: int, other: float) -> int:
        """How many runs of a built kernel tell more a second than another kernel."""
        stay, before, spent = 1, 0.0, 0.0
        for runs, information, length in self._telling(groups, commit):
            if information - before < other * self.costs.guest * (length - spent):
                break
            stay, before, spent = runs, information, length
        return stay


def _rounded(weight: float) -> float:
    return 2 ** (round(WEIGHTS * math.log2(weight)) / WEIGHTS) if weight > 0 else 0.0
