# SPDX-License-Identifier: GPL-2.0-only
"""`rig bench`: two kernels, one benchmark, rounds of one guest for each, in random order.

Each measurement has a new guest. Like every campaign, this makes RunSpecs and combines RunResults;
rig/campaigns/statistics.py decides what differs.
"""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydantic

from rig import log
from rig.benches import benchmark
from rig.benches.benchmark import Benchmark
from rig.campaigns import claim_verdicts, execute, old_results, statistics, stored
from rig.campaigns import request as requests
from rig.campaigns.options import Request, command
from rig.campaigns.results import RunResult, RunSpec
from rig.campaigns.statistics import Line, Samples
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
"""Seconds for all rounds of a campaign without --rounds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One benchmark on one architecture."""

    bench: str
    request: Request
    against: str
    """The target that it is compared with."""
    against_base: str = ""
    """The base that this is applied to, if it is a series."""
    subject: Subject
    before: str
    after: str
    """`before`, `after` and `origin` are text for people."""
    origin: str
    release: str
    machine: Machine
    rounds: int
    discarded: tuple[str, ...]
    """Rounds that do not count, with the reason."""
    lines: tuple[Line, ...]
    comparisons: int = 1
    """The number of comparisons in the campaign: they share the chance of a false difference."""
    claims: tuple[claim_verdicts.Judged, ...] = ()
    failure: str = ""
    """The reason of a FAIL; empty if both kernels ran to the end."""
    splats: tuple[Splat, ...] = ()
    detail: str = ""
    """Evidence of a FAIL without a splat: the compiler's output, the hunk, the console."""

    @property
    def outcome(self) -> Outcome:
        if self.failure:
            return Outcome.FAIL
        enough = self.lines and self.can_decide
        return Outcome.PASS if enough else Outcome.INCONCLUSIVE

    @property
    def can_decide(self) -> bool:
        """Whether its rounds are enough to show a difference."""
        return statistics.can_decide(self.rounds, self.comparisons)


def compare(
    context: Context,
    request: Request,
    against: str,
    benchmarks: Sequence[Benchmark],
    rounds: int,
) -> tuple[tuple[Comparison, ...], Path]:
    """Compare the target of the request with `against`, or with its own base.

    Returns the comparisons and the directory they are stored in. With `rounds` 0 the rig stops when
    the noise gives narrow intervals, or when the budget is used up.
    """
    after = _single(request)
    before = _single(_against(context, after, against))
    befores, afters = (requests.specs(context, side) for side in (before, after))
    pairs = tuple(zip(befores, afters, strict=True))
    if isinstance(afters[0].machine.schedule, Seeded):
        benchmarks = _with_seeds(benchmarks)
    number = len(benchmarks) * len(pairs)
    # All checks come before the first measurement.
    planned = [
        (
            bench,
            pair,
            _enough(bench, pair[0].machine, rounds, number),
            _claims_of(context.shelves, bench, pair),
        )
        for bench in benchmarks
        for pair in pairs
    ]
    directory = execute.new_directory(context.store, f"bench-{afters[0].tree.label}")
    comparisons = tuple(
        _compare(context, bench, pair, directory, enough, cover_claims, number)
        for bench, pair, enough, cover_claims in planned
    )
    write_whole(directory / FILE, _ALL.dump_json(comparisons, indent=1))
    return comparisons, directory


def _with_seeds(benchmarks: Sequence[Benchmark]) -> tuple[Benchmark, ...]:
    """The benchmarks that run in the seeded schedule."""
    for bench in benchmarks:
        if bench.live_only:
            log.note(f"{bench.name} does not run in the seeded schedule: {bench.live_only}")
    if not (seeded := tuple(bench for bench in benchmarks if not bench.live_only)):
        raise ConfigError(
            "none of these benchmarks runs in the seeded schedule", hint="--schedule live"
        )
    return seeded


def _single(request: Request) -> Request:
    """The request with its one revision. Raises ConfigError for SERIES@v1,v2."""
    revisions = requests.revisions(request)
    if len(revisions) > 1:
        raise ConfigError(
            f"{request.target} names {len(revisions)} revisions, and a benchmark takes one",
            hint=shlex.join(_command(revisions[-1], "--against", revisions[0].target)),
        )
    return revisions[0]


def _against(context: Context, request: Request, against: str) -> Request:
    """The request for the kernel to compare with."""
    if against:
        # --base is for a series only; `against` may be a base or a branch of --tree.
        is_series = requests.names_a_series(context.shelves, against)
        return replace(request, target=against, base=request.base if is_series else "")
    tree = requests.tree_spec(context, request)
    if tree.series is None:
        raise ConfigError(
            f"{request.target} is not a series: name the kernel to compare it with",
            hint=f"--against TARGET; `--against {request.target}` measures the noise",
        )
    return replace(request, target=tree.base.name, base="")


Pair = tuple[RunResult, RunResult]
Enough = Callable[[Sequence[Pair]], bool]
"""Whether these rounds are enough to stop."""


def _enough(bench: Benchmark, machine: Machine, rounds: int, comparisons: int) -> Enough:
    """Raises ConfigError if `rounds` is too small to decide anything."""
    fewest = statistics.rounds_needed(bench, machine, comparisons)
    budget = BUDGET / comparisons
    if rounds and rounds < _least(bench, machine, comparisons):
        raise ConfigError(
            f"--rounds {rounds} is too few to decide anything about {bench.name}",
            hint=f"--rounds {fewest}, or more",
        )
    if not isinstance(machine.schedule, Seeded):
        with needs_extra("bench"):
            import scipy  # noqa: F401
    began: list[float] = []

    def enough(results: Sequence[Pair]) -> bool:
        if rounds:
            return len(results) == rounds
        # The time starts at the end of the first round, which may have built two kernels.
        began.append(time.monotonic())
        kept, _ = _paired(bench, results)
        if len(kept) < fewest:
            return len(results) == 2 * fewest
        if isinstance(machine.schedule, Seeded) or began[-1] - began[0] > budget:
            return True
        # To stop by the difference, or by the width of its interval, would make false differences
        # more likely. The noise and the time say nothing about the sign of a difference.
        return statistics.narrow(bench, machine, kept)

    return enough


def _compare(
    context: Context,
    bench: Benchmark,
    pair: tuple[RunSpec, RunSpec],
    directory: Path,
    enough: Enough,
    cover_claims: Sequence[Claim],
    comparisons: int,
) -> Comparison:
    machine = pair[0].machine
    with log.step(f"{bench.name} on {machine.arch}") as step:
        results: list[Pair] = []
        for both in _rounds(context, bench, pair, directory):
            results.append(both)
            step.note(f"round {len(results)}")
            if any(_failed(result) or _skipped(result) for result in both) or enough(results):
                break
    kept, discarded = _paired(bench, results)
    lines = tuple(statistics.lines(bench, machine, kept, comparisons))
    failed = [result for both in results for result in both if _failed(result)]
    reasons = (f"{result.provenance.label}: {result.verdict.reason}" for result in failed)
    # A kernel that was not built has no release.
    releases = (both[side].provenance.release for side in (1, 0) for both in results)
    return Comparison(
        bench=bench.name,
        request=pair[1].request,
        against=pair[0].request.target,
        against_base=pair[0].request.base,
        subject=pair[1].tree.subject,
        before=pair[0].tree.label,
        after=pair[1].tree.label,
        origin=results[0][1].provenance.origin,
        release=next(filter(None, releases), ""),
        machine=machine,
        rounds=len(kept),
        discarded=discarded,
        lines=lines,
        comparisons=comparisons,
        claims=tuple(
            claim_verdicts.judge(
                claim, next((line for line in lines if line.metric == claim.metric), None)
            )
            for claim in cover_claims
            if lines
        ),
        failure="; ".join(dict.fromkeys(reasons)),
        splats=tuple(splat for result in failed for splat in _splats(result)),
        detail="\n".join(result.detail for result in failed if not _splats(result)),
    )


def _rounds(
    context: Context, bench: Benchmark, pair: tuple[RunSpec, RunSpec], directory: Path
) -> Iterator[Pair]:
    """(before, after) of each round."""
    name = f"{directory.name} {bench.name} {pair[1].machine.arch}"
    for number, order in enumerate(statistics.orders(name), 1):
        results: dict[int, RunResult] = {}
        for side in order:
            spec = pair[side].but(seed=number)
            spec = replace(spec, suites=(bench.selection,), image=bench.image)
            if isinstance(spec.machine.schedule, Seeded):
                spec = requests.at_seed(spec, number)
            suffix = f"-{bench.name}-{number}-{('before', 'after')[side]}"
            (result,) = execute.execute(context, [spec], directory, suffix=suffix)
            results[side] = _allow_oom(result)
        yield results[0], results[1]


def _allow_oom(result: RunResult) -> RunResult:
    """INCONCLUSIVE instead of FAIL if an OOM kill at the cgroup's limit is all that happened."""
    killed = any(splat.kind is SplatKind.OOM for splat in result.splats)
    if not _failed(result) or result.detail or not killed or _splats(result):
        return result
    verdict = Verdict(outcome=Outcome.INCONCLUSIVE, reason="the OOM killer ended the benchmark")
    return replace(result, verdict=verdict)


def _claims_of(
    shelves: Shelves, bench: Benchmark, pair: tuple[RunSpec, RunSpec]
) -> tuple[Claim, ...]:
    """The cover letter's claims for this benchmark. Raises ConfigError if claims.toml is wrong."""
    before, after = (spec.tree for spec in pair)
    if after.series is None or not differ_by_series(before, after):
        return ()
    all_claims = claims.load(shelves.patches, after.series.name, benchmark.metrics())
    return tuple(claim for claim in all_claims if bench.name in claim.bench)


def differ_by_series(before: TreeSpec, after: TreeSpec) -> bool:
    """Whether `after` is `before` with a whole series: a cover letter's claims are about that."""
    whole = after.series is not None and after.upto is None
    applied_to = replace(after, series=None, upto=None)
    same = (before.base.commit, before.patches) == (applied_to.base.commit, applied_to.patches)
    return whole and same


def _failed(result: RunResult) -> bool:
    return result.verdict.outcome is Outcome.FAIL


def _splats(result: RunResult) -> tuple[Splat, ...]:
    """The splats that made it fail: OOM kills in a memory cgroup do not."""
    return tuple(splat for splat in result.splats if splat.kind.failure)


def _skipped(result: RunResult) -> bool:
    """Whether the guest lacks stress-ng, swap, … for the case; so will the next round's."""
    return any(case.outcome is Outcome.SKIP for suite in result.suites for case in suite.cases)


def _paired(bench: Benchmark, results: Sequence[Pair]) -> tuple[list[Samples], tuple[str, ...]]:
    """The samples of the rounds that count, and the reasons why the others do not."""
    kept, discarded = [], []
    for number, pair in enumerate(results, 1):
        reason = ""
        for result in pair:
            counters = _counters(result)
            label = result.provenance.label
            if result.verdict.outcome is not Outcome.PASS:
                reason = f"{label}: {result.verdict.reason}"
            elif counters.get("oom_kill"):
                reason = f"{label}: the OOM killer ended {counters['oom_kill']} processes"
        if reason:
            discarded.append(f"round {number}: {reason}")
            continue
        before, after = (bench.sample(_counters(result), result.machine) for result in pair)
        kept.append((before, after))
    return kept, tuple(discarded)


def _counters(result: RunResult) -> dict[str, int]:
    return {
        name: value
        for suite in result.suites
        for case in suite.cases
        for name, value in case.counters
    }


_ALL = pydantic.TypeAdapter(tuple[Comparison, ...])


def again(comparisons: Sequence[Comparison]) -> list[str]:
    """The command that runs the same measurement again."""
    first = comparisons[0]
    arches = tuple(dict.fromkeys(comparison.machine.arch for comparison in comparisons))
    request = replace(first.request, arch=arches)
    if first.against_base not in ("", request.base):
        request = replace(request, base="")  # --base would be for both series
    options = []
    if not first.subject.series or first.against != first.subject.base:
        options += ["--against", first.against]
    rounds = {comparison.rounds + len(comparison.discarded) for comparison in comparisons}
    # A kernel that died may have ended it after so few rounds that --rounds does not take them.
    least = max(
        _least(benchmark.pick(each.bench), each.machine, each.comparisons) for each in comparisons
    )
    if len(rounds) == 1 and min(rounds) >= least:
        options += ["--rounds", str(rounds.pop())]
    benches = dict.fromkeys(comparison.bench for comparison in comparisons)
    return _command(request, *options, "--bench", ",".join(benches))


def _command(request: Request, *options: str) -> list[str]:
    return [*command(request, "bench"), *options]


def _least(bench: Benchmark, machine: Machine, comparisons: int) -> int:
    """The fewest rounds that --rounds takes. One seed has exact counts to look at."""
    seeded = isinstance(machine.schedule, Seeded)
    return 1 if seeded else statistics.rounds_needed(bench, machine, comparisons)


def load(directory: Path) -> tuple[Comparison, ...]:
    """The comparisons stored in the directory; none if another campaign is stored there."""
    path = directory / FILE
    if not path.is_file():
        return ()
    return stored.read(path, _comparisons)


def _comparisons(documents: list[dict[str, Any]]) -> tuple[Comparison, ...]:
    if not documents:
        raise ValueError("there is no comparison in it")
    return _ALL.validate_python(tuple(map(old_results.comparison, documents)))
