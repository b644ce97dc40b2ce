# SPDX-License-Identifier: GPL-2.0-only
"""Two kernels, one benchmark: rounds in turns (A B B A …), a fresh guest each, and what differs.

Generates RunSpecs and folds RunResults like every campaign. In the live schedule a difference is
what a permutation test on the paired rounds says, corrected for the number of metrics; in the
seeded one both kernels have the same seed in a round, and numbers are compared as they are.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import pydantic

from rig import bench, campaign, claims, log, request
from rig.bench import Benchmark, Metric
from rig.claims import Claim
from rig.errors import ConfigError
from rig.qemu import Machine, Seeded
from rig.request import Request
from rig.run import RunResult, RunSpec, Shelves
from rig.store import Store, write_whole
from rig.verdict import Outcome

FILE = "comparison.json"
ALPHA = 0.05
"""Of all metrics together: how often a difference may be claimed where there is none."""
RESAMPLES = 10_000


class Difference(StrEnum):
    LOWER = "lower"
    HIGHER = "higher"
    SAME = "the same"
    UNDECIDED = "undecided"
    NOT_JUDGED = "not of hardware"
    """Seconds under TCG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A metric on both sides, a value for each round that counts."""

    metric: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    low: float
    """Of the interval of the difference (95 %; of seeds: the least and the most)."""
    high: float
    chance: float
    """That so much differs where nothing does; 0 in the seeded schedule."""
    difference: Difference

    @property
    def means(self) -> tuple[float, float]:
        return sum(self.before) / len(self.before), sum(self.after) / len(self.after)

    def percent(self, change: float) -> float | None:
        """A difference relative to what was; None where that was nothing."""
        before, _ = self.means
        return 100 * change / before if before else None


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
    before: str
    after: str
    origin: str
    release: str
    machine: Machine
    rounds: int
    discarded: tuple[str, ...]
    """Rounds that do not count, and why."""
    lines: tuple[Line, ...]
    claims: tuple[Judged, ...] = ()
    failure: str = ""
    """Of a kernel that did not come to the end."""

    @property
    def outcome(self) -> Outcome:
        if self.failure:
            return Outcome.FAIL
        return Outcome.PASS if self.lines else Outcome.INCONCLUSIVE


def rounds_needed(one: Benchmark, machine: Machine) -> int:
    """The fewest pairs with which the least chance there is, 2 of 2^n, can be small enough."""
    if isinstance(machine.schedule, Seeded):
        return 1
    metrics = sum(bench.judged(metric, machine) for metric in one.metrics)
    return math.ceil(math.log2(2 * metrics / ALPHA))


def compare(
    store: Store,
    shelves: Shelves,
    asked: Request,
    against: str,
    benchmarks: Sequence[Benchmark],
    rounds: int,
) -> tuple[tuple[Comparison, ...], Path]:
    """The target of `asked` against another, or against its own base; and where that is stored.

    `rounds` 0 is as many as are needed.
    """
    befores = request.specs(store, shelves, _against(store, shelves, asked, against))
    afters = request.specs(store, shelves, asked)
    directory = campaign.new_directory(store, f"bench-{afters[0].tree.label}")
    done = tuple(
        _compare(store, shelves, one, pair, rounds, directory)
        for one in benchmarks
        for pair in zip(befores, afters, strict=True)
    )
    write_whole(directory / FILE, _ALL.dump_json(done, indent=1))
    return done, directory


def _against(store: Store, shelves: Shelves, asked: Request, against: str) -> Request:
    if against:
        return replace(asked, target=against, base=asked.base if "@" in against else "")
    tree = request.tree_spec(store, shelves, asked)
    if tree.series is None:
        raise ConfigError(
            f"{asked.target} is a base: what is it to be compared with?",
            hint=f"--against, of which `--against {asked.target}` shows the noise",
        )
    return replace(asked, target=tree.base.name, base="")


def _compare(
    store: Store,
    shelves: Shelves,
    one: Benchmark,
    pair: tuple[RunSpec, RunSpec],
    rounds: int,
    directory: Path,
) -> Comparison:
    machine = pair[0].machine
    needed = rounds_needed(one, machine)
    if rounds and rounds < needed:
        raise ConfigError(
            f"{rounds} rounds decide nothing about {one.name}", hint=f"--rounds {needed}, or more"
        )
    rounds = rounds or (needed if needed > 1 else 3)
    with log.step(f"{one.name} on {machine.arch}: {rounds} rounds") as step:
        results = tuple(_rounds(store, shelves, one, pair, rounds, directory, step))
    kept, discarded, failure = _paired(one, results)
    lines = tuple(_lines(one, machine, kept))
    name = pair[1].tree.series.name if pair[1].tree.series else ""
    result = results[-1][1]
    return Comparison(
        bench=one.name,
        before=pair[0].tree.label,
        after=pair[1].tree.label,
        origin=result.provenance.origin,
        release=result.provenance.release,
        machine=machine,
        rounds=len(kept),
        discarded=discarded,
        lines=lines,
        claims=tuple(
            judge(claim, next((line for line in lines if line.metric == claim.metric), None))
            for claim in claims.load(shelves.patches, name)
            if claim.bench == one.name
        ),
        failure=failure,
    )


Pair = tuple[RunResult, RunResult]
Samples = tuple[dict[str, float], dict[str, float]]
"""Of a round, before and after."""


def _rounds(
    store: Store,
    shelves: Shelves,
    one: Benchmark,
    pair: tuple[RunSpec, RunSpec],
    rounds: int,
    directory: Path,
    step: log.Step,
) -> Iterator[Pair]:
    """(before, after) of each round, which of them is first by turns."""
    for number in range(1, rounds + 1):
        order = (0, 1) if number % 2 else (1, 0)
        found: dict[int, RunResult] = {}
        for side in order:
            spec = replace(pair[side], seed=number, suites=(one.selection,))
            if isinstance(spec.machine.schedule, Seeded):
                spec = request.at_seed(spec, number)
            suffix = f"-{one.name}-{number}-{('before', 'after')[side]}"
            (found[side],) = campaign.execute(store, shelves, [spec], directory, suffix=suffix)
        step.progress(number, rounds, "")
        yield found[0], found[1]
        if any(_died(result) for result in found.values()):
            return


def _died(result: RunResult) -> bool:
    return result.verdict.outcome is Outcome.FAIL


def _paired(one: Benchmark, results: Sequence[Pair]) -> tuple[list[Samples], tuple[str, ...], str]:
    """The rounds that count, why others do not, and what a kernel died of."""
    kept, discarded, failure = [], [], ""
    for number, pair in enumerate(results, 1):
        why = ""
        for result in pair:
            counters = _counters(result)
            if _died(result):
                failure = f"{result.provenance.label}: {result.verdict.reason}"
            if result.verdict.outcome is not Outcome.PASS:
                why = result.verdict.reason
            elif counters.get("oom_kill"):
                why = f"{counters['oom_kill']} processes killed for want of memory"
        if why:
            discarded.append(f"round {number}: {why}")
            continue
        before, after = (one.sample(_counters(result), result.machine) for result in pair)
        kept.append((before, after))
    return kept, tuple(discarded), failure


def _counters(result: RunResult) -> dict[str, int]:
    return {
        name: value for one in result.suites for case in one.cases for name, value in case.counters
    }


def _lines(one: Benchmark, machine: Machine, kept: Sequence[Samples]) -> Iterator[Line]:
    offered = [
        metric
        for metric in one.metrics
        if kept and all(metric.name in side for pair in kept for side in pair)
    ]
    lines = [_line(metric, machine, kept) for metric in offered]
    tested = [line for line in lines if line.difference is Difference.UNDECIDED]
    # Holm's: the smallest chance must hold against all of them, the next against one less.
    decided: dict[str, Difference] = {}
    for place, line in enumerate(sorted(tested, key=lambda line: line.chance)):
        if line.chance > ALPHA / (len(tested) - place):
            break
        before, after = line.means
        decided[line.metric] = Difference.LOWER if after < before else Difference.HIGHER
    for line in lines:
        yield replace(line, difference=decided.get(line.metric, line.difference))


def _line(metric: Metric, machine: Machine, kept: Sequence[Samples]) -> Line:
    before = tuple(pair[0][metric.name] for pair in kept)
    after = tuple(pair[1][metric.name] for pair in kept)
    changes = [new - old for old, new in zip(before, after, strict=True)]
    seeded = isinstance(machine.schedule, Seeded)
    told = _by_seeds if seeded or not any(changes) else _by_chance
    low, high, chance, difference = told(changes)
    if not bench.judged(metric, machine):
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


Told = tuple[float, float, float, Difference]


def _by_seeds(changes: Sequence[float]) -> Told:
    """Exact: a difference is one that every seed shows in the same direction."""
    low, high = min(changes), max(changes)
    if low == high == 0:
        return low, high, 0.0, Difference.SAME
    # What the seeds disagree about no further test makes certain: chance 1 keeps it undecided.
    if low <= 0 <= high:
        return low, high, 1.0, Difference.UNDECIDED
    return low, high, 0.0, Difference.LOWER if high < 0 else Difference.HIGHER


def _by_chance(changes: Sequence[float]) -> Told:
    """How often signs drawn by lot give a mean so far from 0, and a bootstrap interval."""
    import numpy
    from scipy import stats

    sample, mean = (numpy.array(changes),), numpy.mean
    test = stats.permutation_test(
        sample, mean, permutation_type="samples", n_resamples=RESAMPLES, vectorized=True, rng=1
    )
    interval = stats.bootstrap(
        sample, mean, method="percentile", n_resamples=RESAMPLES, vectorized=True, rng=1
    ).confidence_interval
    return float(interval.low), float(interval.high), float(test.pvalue), Difference.UNDECIDED


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
    return Judged(claim=claim, word=word, why=f"{measured:+.1f} %, {claim.change:+.1f} % claimed")


_ALL = pydantic.TypeAdapter(tuple[Comparison, ...])


def load(directory: Path) -> tuple[Comparison, ...]:
    """The comparisons stored there; none if it was another campaign."""
    path = directory / FILE
    return _ALL.validate_json(path.read_bytes()) if path.is_file() else ()
