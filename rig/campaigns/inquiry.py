# SPDX-License-Identifier: GPL-2.0-only
"""What a bisection asks of each commit, and what a run answers.

A failure counts only if its signature (failures.py) is that of the bad end. Another failure of the
same commit has another cause.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rig.benches import benchmark
from rig.benches.benchmark import Benchmark
from rig.campaigns import failures
from rig.campaigns.culprit import ALWAYS, FAILURES
from rig.campaigns.failures import BOOT, BUILD, Failure
from rig.campaigns.options import check_range
from rig.campaigns.results import RunResult
from rig.errors import ConfigError, unknown
from rig.guest.splat import Splat, fingerprint, masked
from rig.verdict.rules import SPLAT, Outcome, Shows

METRIC = "the metric is above the limit"
RATIO_MAX = 1000.0


class Kind(StrEnum):
    CASE = "case"
    SPLAT = "splat"
    BUILD = "build"
    BOOT = "boot"
    METRIC = "metric"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked of each commit."""

    kind: Kind = Kind.CASE
    splat: str = ""
    """A splat's title, or a part of it; or its fingerprint, `kind:function`."""
    metric: str = ""
    """BENCHMARK:COUNT."""
    above: float = 0.0
    """A count fails if it is above this multiple of the good end's."""

    @property
    def decisive(self) -> bool:
        """One run decides, and another one would say the same."""
        return self.kind in (Kind.BUILD, Kind.METRIC)

    @property
    def bench(self) -> Benchmark:
        return benchmark.pick(self.metric.partition(":")[0])

    @property
    def count(self) -> str:
        return self.metric.partition(":")[2]


def question(*, splat: str, build: bool, boot: bool, metric: str, above: float) -> Question:
    """The question that these options ask. Raises ConfigError if they are two, or no question."""
    given = {"--splat": splat, "--build": build, "--boot": boot, "--metric": metric}
    if len(named := [flag for flag, value in given.items() if value]) > 1:
        raise ConfigError(f"{named[0]} and {named[1]} are two questions", hint="give one of them")
    if bool(metric) != bool(above):
        raise ConfigError(
            "--metric and --above belong together",
            hint="like --metric shared_dirty_reclaim:instructions --above 1.05",
        )
    if splat:
        if not masked(splat).strip(" N"):
            raise ConfigError(f"{splat!r} is no title of a splat", hint="like 'BUG: Bad page'")
        return Question(kind=Kind.SPLAT, splat=splat)
    if metric:
        check_range("--above", above, 1, RATIO_MAX)
        asked = Question(kind=Kind.METRIC, metric=metric, above=above)
        _check_metric(asked)
        return asked
    return Question(kind=Kind.BUILD if build else Kind.BOOT if boot else Kind.CASE)


def _check_metric(asked: Question) -> None:
    bench = asked.bench
    if bench.live_only:
        raise ConfigError(
            f"{bench.name} does not run in the seeded schedule, where counts are exact:"
            f" {bench.live_only}"
        )
    exact = [metric for metric in bench.metrics if not metric.time]
    offered = {name for metric in exact for name in (metric.name, metric.of, metric.per) if name}
    if asked.count not in offered:
        raise unknown(f"metric of {bench.name}", asked.count, offered)


# --- what a run says ---------------------------------------------------------------------------


class Said(StrEnum):
    FAILED = "failed"
    PASSED = "passed"
    OTHER = "failed in another way"
    """It failed before it could answer."""
    NOTHING = "says nothing"
    NEVER = "cannot be tested"
    """Not in any run: it does not compile, or the kernel does not have what the case tests."""
    BROKEN = "broken"
    """The host's or the rig's fault."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    said: Said
    reason: str = ""
    others: tuple[str, ...] = ()
    """Failures with another signature."""
    is_dead: bool = False
    """The kernel did not boot."""


def found(asked: Question, result: RunResult) -> dict[Failure, str]:
    """The failures of a run that are what is asked for, each with its headline."""
    if asked.kind is Kind.SPLAT:
        if not _is_built(result):
            return {}
        titles = (splat.title for splat in result.splats if _is_named(splat, asked.splat))
        return {_titled(asked): title for title in list(titles)[:1]}
    return {
        failure: failures.headline(failure, result)
        for failure in failures.of(result)
        if _is_asked(asked.kind, failure)
    }


def _is_asked(kind: Kind, failure: Failure) -> bool:
    if kind is Kind.CASE:
        return failure.name not in (BUILD, BOOT)
    return failure.name == (BUILD if kind is Kind.BUILD else BOOT)


def _titled(asked: Question) -> Failure:
    return Failure(name=f"{SPLAT}{asked.splat}")


def _is_named(splat: Splat, title: str) -> bool:
    return title == fingerprint(splat) or masked(title).strip() in masked(splat.title)


def wanted(asked: Question, results: Iterable[RunResult]) -> tuple[Failure | None, bool]:
    """The failure to look for, from the runs of the bad end in their order; and whether it is
    settled. It is what is the first to come often enough."""
    if asked.kind is Kind.METRIC:
        return Failure(name=METRIC), True
    if asked.kind is Kind.SPLAT:
        return _titled(asked), True
    counts = Counter[Failure]()
    for runs, result in enumerate(results, 1):
        every = found(asked, result)
        if asked.kind is Kind.BUILD and every:
            return next(iter(every)), True
        counts.update(part for failure in every for part in failure.parts)
        most = counts.most_common(1)
        if most and most[0][1] >= (FAILURES if most[0][1] < runs else ALWAYS):
            return most[0][0], True
    return next((failure for failure, _ in counts.most_common(1)), None), False


def answer(
    asked: Question, result: RunResult, looked_for: Failure | None, good: float | None = None
) -> Answer:
    """What a run says. `good` is the metric of the good end."""
    if result.verdict.outcome is Outcome.BROKEN:
        return Answer(said=Said.BROKEN, reason=result.verdict.reason)
    if asked.kind is Kind.METRIC:
        return _measured(asked, result, good)
    hits, others = list[str](), list[str]()
    for failure, text in found(asked, result).items():
        same = looked_for is not None and looked_for.same(failure)
        (hits if same else others).append(text)
    if hits:
        return Answer(said=Said.FAILED, reason=hits[0], others=tuple(others))
    if not _is_built(result):
        return Answer(said=Said.NEVER, reason=result.verdict.reason, others=tuple(others))
    if asked.kind is Kind.BUILD:
        return Answer(said=Said.PASSED)
    return _of_cases(asked, result, looked_for, tuple(others))


def _of_cases(
    asked: Question, result: RunResult, looked_for: Failure | None, others: tuple[str, ...]
) -> Answer:
    """What a run without the failure says: it is a pass only if the case came to its end."""
    failed, cases = result.verdict.outcome is Outcome.FAIL, result.cases
    reason = result.verdict.reason
    if asked.kind is Kind.BOOT and result.boot_seconds:
        return Answer(said=Said.PASSED)
    if failed and not cases and not result.boot_seconds:
        others = others or (reason,)
        return Answer(
            said=Said.OTHER, reason=f"it does not boot: {reason}", others=others, is_dead=True
        )
    named = looked_for.name if looked_for else ""
    is_splat = looked_for is not None and looked_for.is_splat
    if named in cases:
        cases = {named: cases[named]}
        failed = cases[named].outcome is Outcome.FAIL
    outcomes = {case.outcome for case in cases.values()}
    ended = all(case.shows is not Shows.LOST for case in cases.values())
    if failed and not (ended and is_splat):
        return Answer(said=Said.OTHER, reason=reason, others=others or (reason,))
    if Outcome.PASS in outcomes or failed:
        return Answer(said=Said.PASSED, others=others)
    skipped = outcomes == {Outcome.SKIP}
    texts = (case.reason for case in cases.values() if case.reason)
    return Answer(said=Said.NEVER if skipped else Said.NOTHING, reason=next(texts, reason))


def _measured(asked: Question, result: RunResult, good: float | None) -> Answer:
    value = measured(asked, result)
    if value is None:
        reason = result.verdict.reason or f"it does not count {asked.count}"
        return Answer(said=Said.NEVER, reason=reason)
    if good is None:
        return Answer(said=Said.PASSED, reason=f"{value:,.6g}")
    said = Said.FAILED if value > asked.above * good else Said.PASSED
    ratio = f", {value / good:.4f} of the good end's" if good else ""
    return Answer(said=said, reason=f"{asked.count} {value:,.6g}{ratio}")


def measured(asked: Question, result: RunResult) -> float | None:
    """The metric of a run; None if the run did not pass, or does not have it."""
    if result.verdict.outcome is not Outcome.PASS:
        return None
    counters = {name: value for case in result.cases.values() for name, value in case.counters}
    values: Mapping[str, float] = {
        **benchmark.counted(counters, result.machine),
        **asked.bench.sample(counters, result.machine),
    }
    return values.get(asked.count)


def _is_built(result: RunResult) -> bool:
    return bool(result.provenance.build)
