# SPDX-License-Identifier: GPL-2.0-only
"""Runs what failed again: with the series, without it, and with its first patches only.

Both sides are run until the runs say with 99 % on which one the failure is: one run of each says
nothing of a race. The patch is searched with the policy of `rig bisect`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rig import log
from rig.campaigns import execute, failures, rates
from rig.campaigns import request as requests
from rig.campaigns.ancestry import GOOD, linear
from rig.campaigns.culprit import ALWAYS, CONFIDENCE, Costs, Search
from rig.campaigns.failures import BUILD, Failure
from rig.campaigns.rates import Runs
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.guest.qemu import SEED_MAX, Seeded
from rig.kernel.tree import TreeSpec
from rig.series import target
from rig.store import Store
from rig.verdict.blame import Blame, Culprit, Mark, Prefix, Tally
from rig.verdict.rules import Outcome

SIDE = 8 * 60
"""Seconds of guests for each side, the series and the base: then a failure stays undecided."""
RUNS_LEAST, RUNS_MOST = 4, 64
"""Runs of each side, whatever they take. Four of each decide on a failure that always comes."""
BROKEN_MOST = 6
"""Runs of a tree that may all fail by the host's fault before it is given up."""
SEARCH = 4
"""The search for the patch ends after so many times the runs of a side."""
EXACT = 16
"""A run that can have only one result, a build, counts like so many runs."""


def introduced(series: Runs, base: Runs) -> float:
    """How likely the series has introduced a failure, after these runs; else the base has it too,
    as often. Before any run both are equally likely."""
    there = rates.evidence(series + base, Runs())
    return 1 / (1 + math.exp(min(700.0, there - rates.evidence(series, base))))


class Trial:
    """The failures of a series on one machine, and the runs that say where they come from.

    Trees have the numbers of ancestry.py: GOOD is the base, 0 the series' first patch alone.
    """

    def __init__(
        self,
        context: Context,
        spec: RunSpec,
        results: Sequence[RunResult],
        wanted: tuple[Failure, ...],
        directory: Path,
    ) -> None:
        self.broken = ""
        """Why it ended early."""
        self._searched = False
        self._context, self._spec, self._directory = context, spec, directory
        self._failures = wanted
        self._end = len(spec.tree.own) - 1
        self._width = execute.side_by_side([spec] * 2)
        first = next(result for result in results if failures.of(result))
        self._guest = _seconds(first, wanted)
        self._costs = Costs(guest=self._guest / self._width, build=_builds(context.store, first))
        self._most = _between(RUNS_LEAST, int(SIDE * self._width / self._guest), RUNS_MOST)
        self._tallies: dict[tuple[Failure, int], Tally] = {}
        self._silent: dict[tuple[Failure, int], str] = {}
        """Why the runs of a tree say nothing of a failure."""
        self._started: dict[int, int] = {}
        """Runs of each tree."""
        self._searches = {each: Search(linear(self._end + 1), self._costs) for each in wanted}
        # The runs of one seed are one run.
        seeded = isinstance(spec.machine.schedule, Seeded)
        self._record(self._end, results[:1] if seeded else results, wanted)

    # --- with the series and without it --------------------------------------------------------

    def compare(self) -> None:
        """Run both sides in turn, until each failure is decided or the runs are used up."""
        spec, most = self._spec, self._most
        count = f"{len(self._failures)} failure{'s' * (len(self._failures) > 1)}"
        with log.step(f"{count} of {spec.machine.arch}: is it the series or its base?") as step:
            step.note(
                f"runs {_listed(self._failures)} on {spec.tree.beneath.label} and with the series:"
                f" at most {most} times each, {log.duration(self._guest)} a run, {self._width} at a"
                f" time, at most {log.duration(2 * most * self._costs.guest)} (--no-blame leaves it"
                " out)"
            )
            while undecided := tuple(each for each in self._failures if not self._decided(each)):
                before, after = (self._started.get(tree, 0) for tree in (GOOD, self._end))
                side, done = (GOOD, before) if before <= after else (self._end, after)
                if done >= most:
                    break
                self._run(side, undecided, min(self._at_once(undecided), most - done))
                step.progress(before + after, 2 * most)
            for failure in self._failures:
                step.note(f"{failure.name}: {self.blame(failure).mark}")

    def _decided(self, failure: Failure) -> bool:
        chance = self._introduced(failure)
        return not 1 - CONFIDENCE < chance < CONFIDENCE or (failure, GOOD) in self._silent

    def _introduced(self, failure: Failure) -> float:
        tested = self._searches[failure].tested
        return introduced(tested.get(self._end, Runs()), tested.get(GOOD, Runs()))

    # --- which patch ---------------------------------------------------------------------------

    def search(self) -> None:
        """Find the first bad patch of each failure that the series has introduced."""
        open_ = [each for each in self._failures if self._mark(each) is Mark.INTRODUCED]
        if not open_ or not self._end:
            return
        self._searched = True
        with log.step(f"Which of the {self._end + 1} patches: {_listed(open_)}") as step:
            step.note(self._forecast(open_[0]))
            limit = sum(self._started.values()) + SEARCH * self._most
            while open_ and sum(self._started.values()) < limit:
                search = self._searches[open_[0]]
                choice = None if search.culprit() and search.known() else search.choose()
                if choice is None:
                    open_.pop(0)
                    continue
                # The runs up to the first that fails; those of the whole series all count.
                width = self._at_once(open_)
                runs = width if choice.commit == self._end else min(choice.runs, width)
                self._run(choice.commit, tuple(open_), runs)

    def _forecast(self, failure: Failure) -> str:
        """Halving, with as many runs of a good kernel as show that it is good."""
        tally = self._tallies[failure, self._end]
        rate = min(tally.failed / tally.runs, 0.9)
        kernels = math.ceil(math.log2(self._end + 1))
        good = math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - rate))
        runs = max(0, ALWAYS - tally.failed) + kernels * good
        first, later = self._costs.build(0, None), self._costs.build(0, 0)
        seconds = first + (kernels - 1) * later + runs * self._costs.guest
        return (
            f"at most {kernels} kernels of its first patches, up to {log.duration(first)} for the"
            f" first, and about {runs} runs: {log.duration(seconds)}"
        )

    def _at_once(self, wanted: Sequence[Failure]) -> int:
        """A build is the same each time, and boots nothing."""
        return 1 if all(failure.name == BUILD for failure in wanted) else self._width

    # --- running -------------------------------------------------------------------------------

    def _run(self, tree: int, wanted: tuple[Failure, ...], count: int) -> None:
        first = self._started.get(tree, 0)
        specs = [self._spec_of(tree, wanted, first + number) for number in range(count)]
        name = "base" if tree == GOOD else f"patch-{tree + 1}"
        results = execute.execute(
            self._context, specs, self._directory, suffix=f"-{name}-{first + 1}"
        )
        self._record(tree, results, wanted)

    def _spec_of(self, tree: int, wanted: tuple[Failure, ...], number: int) -> RunSpec:
        spec = self._spec
        if tree == GOOD:
            source = spec.tree.beneath
        else:
            source = spec.tree if tree == self._end else replace(spec.tree, upto=tree + 1)
        asked = spec.but(target=_target(spec, source), arch=(spec.machine.arch,), repeat=1)
        asked = asked if source.series else asked.but(base="")
        again = replace(
            asked,
            tree=source,
            suites=failures.selection(wanted, spec.suites),
            boot=any(each.name != BUILD for each in wanted),
        )
        if isinstance(spec.machine.schedule, Seeded):
            return requests.at_seed(again, (spec.request.seed + number) % (SEED_MAX + 1))
        return again

    def _record(self, tree: int, results: Sequence[RunResult], wanted: tuple[Failure, ...]) -> None:
        self._started[tree] = self._started.get(tree, 0) + len(results)
        built = any(result.provenance.build for result in results)
        for failure in wanted:
            search, told = self._searches[failure], False
            if built and tree not in search.built:
                search.build(tree)
            for result in results:
                seen = failures.seen(failure, result)
                if seen is not None:
                    told = True
                    self._count(failure, tree, failed=seen)
            busy = all(result.verdict.outcome is Outcome.BROKEN for result in results)
            if busy and self._started[tree] < BROKEN_MOST:
                continue  # the host's trouble says nothing of the tree, and may pass
            if not told and (failure, tree) not in self._tallies:
                self._silent[failure, tree] = failures.untold(failure, results[-1])
                search.skip(tree)

    def _count(self, failure: Failure, tree: int, *, failed: bool) -> None:
        weight = EXACT if failure.name == BUILD else 1
        runs = Runs(failed=weight * failed, passed=weight * (not failed))
        self._searches[failure].record(tree, runs)
        tally = self._tallies.get((failure, tree), Tally())
        self._tallies[failure, tree] = Tally(failed=tally.failed + failed, runs=tally.runs + 1)

    # --- what it says --------------------------------------------------------------------------

    def _mark(self, failure: Failure) -> Mark:
        chance = self._introduced(failure)
        if (failure, GOOD) in self._silent or 1 - CONFIDENCE < chance < CONFIDENCE:
            return Mark.UNDECIDED
        return Mark.INTRODUCED if chance >= CONFIDENCE else Mark.THERE

    def blame(self, failure: Failure) -> Blame:
        """What the runs say of a failure, now."""
        mark, tree = self._mark(failure), self._spec.tree
        series, base = (self._tallies.get((failure, side), Tally()) for side in (self._end, GOOD))
        culprits: tuple[Culprit, ...] = ()
        reason = ""
        if mark is Mark.UNDECIDED:
            silent = self._silent.get((failure, GOOD), "")
            reason = f"the base's runs do not tell: {silent}" if silent else self.broken
        elif mark is Mark.INTRODUCED:
            culprits, reason = self._culprits(failure)
            if self._searched and not culprits:
                mark = Mark.UNDECIDED
            elif base.failed and not reason:
                reason = "the base fails as well, but less often"
        return Blame(
            failure=failure.name,
            shows=failure.shows,
            mark=mark,
            series=series,
            base=base,
            against=tree.beneath.label,
            promised=failure.name in self._spec.promises,
            reason=reason,
            culprits=culprits,
            patches=len(tree.own),
            tested=tuple(self._prefixes(failure)),
        )

    def _culprits(self, failure: Failure) -> tuple[tuple[Culprit, ...], str]:
        """The first bad patch; several with the reason why it is not one; none if it is the
        base."""
        search = self._searches[failure]
        chances = search.posterior()
        found, reason = search.culprit(), ""
        if not self._end:
            commits: tuple[int, ...] = (0,)
            chances = {0: self._introduced(failure)}
        elif not self._searched:
            return (), self.broken
        elif found and found.commits == (GOOD,):
            return (), "the runs of its first patches say that the base has it too"
        elif found:
            commits = found.commits
            reason = "the patches between them cannot be tested" if len(commits) > 1 else ""
        else:
            commits = _credible(chances)
            reason = self.broken or "the runs were used up before it was one patch"
        patches = self._spec.tree.own
        return tuple(
            Culprit(
                number=commit + 1,
                subject=patches[commit].subject,
                chance=round(chances[commit], 4),
            )
            for commit in commits
        ), reason

    def _prefixes(self, failure: Failure) -> list[Prefix]:
        patches = self._spec.tree.own
        return [
            Prefix(
                upto=tree + 1,
                subject=patches[tree].subject,
                tally=self._tallies.get((failure, tree), Tally()),
                skipped=self._silent.get((failure, tree), ""),
            )
            for tree in range(self._end)
            if tree in self._started
        ]


def _credible(chances: Mapping[int, float]) -> tuple[int, ...]:
    """The fewest patches that have the first bad one among them, as surely as a culprit."""
    left = {commit: chance for commit, chance in chances.items() if commit != GOOD}
    named, doubt = list[int](), (1 - CONFIDENCE) * sum(left.values())
    while sum(left.values()) > doubt:
        named.append(max(left, key=left.__getitem__))
        del left[named[-1]]
    return tuple(sorted(named))


def _between(least: int, number: int, most: int) -> int:
    return max(least, min(number, most))


def _listed(wanted: Sequence[Failure]) -> str:
    names = list(dict.fromkeys(failure.name for failure in wanted))
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _seconds(result: RunResult, wanted: tuple[Failure, ...]) -> float:
    """What a run of the failing cases takes, from the run of all cases."""
    cases = [(f"{s.suite}/{case.name}", case.seconds) for s in result.suites for case in s.cases]
    if any(failure.is_splat for failure in wanted):
        return max(1.0, result.seconds)
    names = {failure.name for failure in wanted}
    others = sum(seconds for name, seconds in cases if name not in names)
    return max(1.0, result.seconds - others)


def _builds(store: Store, result: RunResult) -> "Builds":
    seconds = result.seconds
    if result.provenance.build:
        seconds = float(store.manifest("builds", result.provenance.build).get("seconds", 0))
    return Builds(max(1.0, seconds))


class Builds:
    """Seconds of a build, from what the series' own build took.

    After another prefix of the series fewer objects are compiled.
    """

    NEXT = 60.0

    def __init__(self, first: float) -> None:
        self.first = first

    def __call__(self, commit: int, previous: int | None) -> float:
        return self.first if previous in (None, GOOD) else min(self.first, self.NEXT)


def _target(spec: RunSpec, tree: TreeSpec) -> str:
    """The target of a tree, as a user writes it."""
    file = target.parse(spec.request.target).file if tree.series is spec.tree.series else None
    if not file or tree.series is None:
        return tree.subject.target
    return f"{file}:{tree.upto}" if tree.upto else f"{file}"
