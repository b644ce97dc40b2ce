# SPDX-License-Identifier: GPL-2.0-only
"""Two kernels, one benchmark: rounds in turns (A B B A …), a fresh guest each, and what differs.

Generates RunSpecs and folds RunResults like every campaign; rig/campaigns/statistics.py says what
differs.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import pydantic

from rig import log
from rig.benches import benchmark
from rig.benches.benchmark import Benchmark
from rig.campaigns import execute, old_results, request, statistics
from rig.campaigns.options import Request, command
from rig.campaigns.results import RunResult, RunSpec
from rig.campaigns.statistics import Difference, Line, Samples
from rig.context import Context
from rig.errors import ConfigError, needs_extra
from rig.guest.console import Splat, SplatKind
from rig.guest.qemu import Machine, Seeded
from rig.kernel.tree import Subject, TreeSpec
from rig.series import claims
from rig.series.claims import Claim
from rig.shelves import Shelves
from rig.store import write_whole
from rig.verdict.rules import Outcome, Verdict

FILE = "comparison.json"
BUDGET = 480.0
"""Seconds that all rounds of a campaign may take where their number is the rig's to choose."""
SEEDS = 3
"""Of which a difference must be seen by each; one alone would be an accident of its schedule."""


class Word(StrEnum):
    """What becomes of a claim."""

    REPRODUCED = "REPRODUCED"
    NOT_REPRODUCED = "NOT REPRODUCED"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    claim: Claim
    word: Word
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One benchmark on one architecture."""

    bench: str
    request: Request
    against: str
    """The target it is compared with."""
    subject: Subject
    before: str
    after: str
    """Both for people, as `origin` is."""
    origin: str
    release: str
    machine: Machine
    rounds: int
    discarded: tuple[str, ...]
    """Rounds that do not count, and why."""
    lines: tuple[Line, ...]
    claims: tuple[Judged, ...] = ()
    failure: str = ""
    """Of a kernel that did not come to the end; and what it said then."""
    splats: tuple[Splat, ...] = ()
    detail: str = ""
    """Evidence of one that has no splat: the compiler's words, the hunk, the console."""

    @property
    def outcome(self) -> Outcome:
        if self.failure:
            return Outcome.FAIL
        enough = self.lines and statistics.can_decide(self.machine, self.rounds)
        return Outcome.PASS if enough else Outcome.INCONCLUSIVE


def compare(
    context: Context,
    asked: Request,
    against: str,
    benchmarks: Sequence[Benchmark],
    rounds: int,
) -> tuple[tuple[Comparison, ...], Path]:
    """The target of `asked` against another, or against its own base; and where that is stored.

    `rounds` 0 is as many as it takes, within the budget.
    """
    after = _single(asked)
    before = _single(_against(context, after, against))
    befores, afters = (request.specs(context, one) for one in (before, after))
    pairs = tuple(zip(befores, afters, strict=True))
    if isinstance(afters[0].machine.schedule, Seeded):
        benchmarks = _with_seeds(benchmarks)
    budget = BUDGET / (len(benchmarks) * len(pairs))
    # All of them before the first: what one of them lacks is said before the others have run.
    planned = [
        (
            one,
            pair,
            _enough(one, pair[0].machine, rounds, budget),
            _claimed(context.shelves, one, pair),
        )
        for one in benchmarks
        for pair in pairs
    ]
    directory = execute.new_directory(context.store, f"bench-{afters[0].tree.label}")
    done = tuple(
        _compare(context, one, pair, directory, enough, claimed)
        for one, pair, enough, claimed in planned
    )
    write_whole(directory / FILE, _ALL.dump_json(done, indent=1))
    return done, directory


def _with_seeds(benchmarks: Sequence[Benchmark]) -> tuple[Benchmark, ...]:
    for one in benchmarks:
        if one.live_only:
            log.note(f"{one.name} has no seeds: {one.live_only}")
    if not (found := tuple(one for one in benchmarks if not one.live_only)):
        raise ConfigError("none of these benchmarks has seeds", hint="--schedule live")
    return found


def _single(asked: Request) -> Request:
    """Raises ConfigError for SERIES@v1,v2, which is a request for each."""
    found = request.revisions(asked)
    if len(found) > 1:
        raise ConfigError(
            f"{asked.target} is {len(found)} revisions, and a benchmark compares one with one",
            hint=f"rig bench {found[-1].target} --against {found[0].target}",
        )
    return found[0]


def _against(context: Context, asked: Request, against: str) -> Request:
    if against:
        # A base is what --base names already, and so is a branch where there is a --tree.
        applied = request.names_a_series(context.shelves, against)
        return replace(asked, target=against, base=asked.base if applied else "")
    tree = request.tree_spec(context, asked)
    if tree.series is None:
        raise ConfigError(
            f"{asked.target} is a base: what is it to be compared with?",
            hint=f"--against, of which `--against {asked.target}` shows the noise",
        )
    return replace(asked, target=tree.base.name, base="")


Pair = tuple[RunResult, RunResult]
Enough = Callable[[Sequence[Pair]], bool]
"""Whether these rounds are."""


def _enough(one: Benchmark, machine: Machine, rounds: int, budget: float) -> Enough:
    """Raises ConfigError for fewer rounds than can decide anything."""
    fewest = statistics.rounds_needed(one, machine)
    if rounds and rounds < fewest:
        raise ConfigError(
            f"{rounds} rounds decide nothing about {one.name}", hint=f"--rounds {fewest}, or more"
        )
    if isinstance(machine.schedule, Seeded):
        fewest = SEEDS
    else:
        with needs_extra("bench"):
            import scipy  # noqa: F401
    began: list[float] = []

    def enough(results: Sequence[Pair]) -> bool:
        if rounds:
            return len(results) == rounds
        # From the end of the first round on: that may have built two kernels.
        began.append(time.monotonic())
        kept, _ = _paired(one, results)
        if len(kept) < fewest:
            return len(results) == 2 * fewest
        if isinstance(machine.schedule, Seeded) or began[-1] - began[0] > budget:
            return True
        # How wide the interval is says nothing of whether it has 0 in it: to end by the former
        # leaves the latter's chance what it is, as ending at the first difference would not.
        return statistics.narrow(tuple(statistics.lines(one, machine, kept)))

    return enough


def _compare(
    context: Context,
    one: Benchmark,
    pair: tuple[RunSpec, RunSpec],
    directory: Path,
    enough: Enough,
    claimed: Sequence[Claim],
) -> Comparison:
    machine = pair[0].machine
    with log.step(f"{one.name} on {machine.arch}") as step:
        results: list[Pair] = []
        for done in _rounds(context, one, pair, directory):
            results.append(done)
            step.note(f"round {len(results)}")
            if any(_died(result) or _lacks(result) for result in done) or enough(results):
                break
    kept, discarded = _paired(one, results)
    lines = tuple(statistics.lines(one, machine, kept))
    dead = [result for done in results for result in done if _died(result)]
    why = (f"{result.provenance.label}: {result.verdict.reason}" for result in dead)
    # What was not built has none.
    releases = (done[side].provenance.release for side in (1, 0) for done in results)
    return Comparison(
        bench=one.name,
        request=pair[1].request,
        against=pair[0].request.target,
        subject=pair[1].tree.subject,
        before=pair[0].tree.label,
        after=pair[1].tree.label,
        origin=results[0][1].provenance.origin,
        release=next(filter(None, releases), ""),
        machine=machine,
        rounds=len(kept),
        discarded=discarded,
        lines=lines,
        claims=tuple(
            judge(claim, next((line for line in lines if line.metric == claim.metric), None))
            for claim in claimed
            if lines
        ),
        failure="; ".join(dict.fromkeys(why)),
        splats=tuple(splat for result in dead for splat in _splats(result)),
        detail="\n".join(result.detail for result in dead if not _splats(result)),
    )


def _rounds(
    context: Context, one: Benchmark, pair: tuple[RunSpec, RunSpec], directory: Path
) -> Iterator[Pair]:
    """(before, after) of one round after another, which of them is first by turns."""
    for number in itertools.count(1):
        order = (0, 1) if number % 2 else (1, 0)
        found: dict[int, RunResult] = {}
        for side in order:
            spec = replace(pair[side].but(seed=number), suites=(one.selection,), image=one.image)
            if isinstance(spec.machine.schedule, Seeded):
                spec = request.at_seed(spec, number)
            suffix = f"-{one.name}-{number}-{('before', 'after')[side]}"
            (result,) = execute.execute(context, [spec], directory, suffix=suffix)
            found[side] = _short_of_memory(result)
        yield found[0], found[1]


def _short_of_memory(result: RunResult) -> RunResult:
    """A program that was killed at its cgroup's limit has measured nothing; the kernel lives."""
    kinds = {splat.kind for splat in result.splats}
    if not _died(result) or result.detail or kinds != {SplatKind.OOM}:
        return result
    verdict = Verdict(outcome=Outcome.INCONCLUSIVE, reason="it was killed for want of memory")
    return replace(result, verdict=verdict)


def _claimed(shelves: Shelves, one: Benchmark, pair: tuple[RunSpec, RunSpec]) -> tuple[Claim, ...]:
    """What a cover letter says of that difference. Raises ConfigError for a file that is wrong."""
    before, after = (spec.tree for spec in pair)
    if after.series is None or not differ_by_series(before, after):
        return ()
    found = claims.load(shelves.patches, after.series.name, benchmark.metrics())
    return tuple(claim for claim in found if one.name in claim.bench)


def differ_by_series(before: TreeSpec, after: TreeSpec) -> bool:
    """Whether the one is what the other's series, all of it, is applied to: of nothing else does a
    cover letter speak."""
    whole = after.series is not None and after.upto is None
    applied_to = replace(after, series=None, upto=None)
    same = (before.base.commit, before.patches) == (applied_to.base.commit, applied_to.patches)
    return whole and same


def _died(result: RunResult) -> bool:
    return result.verdict.outcome is Outcome.FAIL


def _splats(result: RunResult) -> tuple[Splat, ...]:
    """What it died of: the memory cgroup's OOM kills are none."""
    return tuple(splat for splat in result.splats if splat.kind.failure)


def _lacks(result: RunResult) -> bool:
    """Whether the case found no stress-ng, no swap, … here: another round will not either."""
    return any(case.outcome is Outcome.SKIP for one in result.suites for case in one.cases)


def _paired(one: Benchmark, results: Sequence[Pair]) -> tuple[list[Samples], tuple[str, ...]]:
    """The rounds that count, and why others do not."""
    kept, discarded = [], []
    for number, pair in enumerate(results, 1):
        why = ""
        for result in pair:
            counters = _counters(result)
            label = result.provenance.label
            if result.verdict.outcome is not Outcome.PASS:
                why = f"{label}: {result.verdict.reason}"
            elif counters.get("oom_kill"):
                why = f"{label}: {counters['oom_kill']} processes killed for want of memory"
        if why:
            discarded.append(f"round {number}: {why}")
            continue
        before, after = (one.sample(_counters(result), result.machine) for result in pair)
        kept.append((before, after))
    return kept, tuple(discarded)


def _counters(result: RunResult) -> dict[str, int]:
    return {
        name: value for one in result.suites for case in one.cases for name, value in case.counters
    }


def judge(claim: Claim, line: Line | None) -> Judged:
    """Reproduced: the difference is there, in that direction, and as large within its interval."""
    if line is None:
        return Judged(claim=claim, word=Word.UNDECIDED, why="this kernel does not count it here")
    if line.difference is Difference.NOT_JUDGED:
        why = "seconds under TCG are the emulator's: KVM on such a machine would decide it"
        return Judged(claim=claim, word=Word.UNDECIDED, why=why)
    if line.difference is Difference.UNDECIDED:
        why = "more rounds would decide it, if anything does"
        return Judged(claim=claim, word=Word.UNDECIDED, why=why)
    before, after = line.means
    measured = line.percent(after - before)
    if measured is None or line.difference is Difference.SAME:
        why = f"{before:g} before, {after:g} after"
        return Judged(claim=claim, word=Word.NOT_REPRODUCED, why=why)
    ends = [line.percent(end) or 0.0 for end in (line.low, line.high)]
    furthest = min(ends) if claim.change < 0 else max(ends)
    reached = furthest <= claim.change if claim.change < 0 else furthest >= claim.change
    word = Word.REPRODUCED if reached else Word.NOT_REPRODUCED
    why = f"{_change(measured)}; {_change(claim.change)} claimed"
    return Judged(claim=claim, word=word, why=why)


def _change(percent: float) -> str:
    """As cover letters say it: in percent, or as a factor."""
    less = f", {1 / (1 + percent / 100):.1f}x less" if -100 < percent < 0 else ""
    return f"{percent:+.1f} %{less}"


_ALL = pydantic.TypeAdapter(tuple[Comparison, ...])


def again(compared: Sequence[Comparison]) -> list[str]:
    """The command that measures the same."""
    first = compared[0]
    arches = tuple(dict.fromkeys(one.machine.arch for one in compared))
    words = command(replace(first.request, arch=arches), "bench", without=("seed", "suites"))
    if not first.subject.series or first.against != first.subject.base:
        words += ["--against", first.against]
    rounds = {one.rounds + len(one.discarded) for one in compared}
    if len(rounds) == 1:
        words += ["--rounds", str(rounds.pop())]
    return [*words, "--bench", ",".join(dict.fromkeys(one.bench for one in compared))]


def load(directory: Path) -> tuple[Comparison, ...]:
    """The comparisons stored there; none if it was another campaign."""
    path = directory / FILE
    if not path.is_file():
        return ()
    stored = json.loads(path.read_bytes())
    return _ALL.validate_python(tuple(old_results.comparison(one) for one in stored))
