# SPDX-License-Identifier: GPL-2.0-only
"""The rules of outcomes: what a run has shown. No other module decides an outcome.

1. Zero cases is never PASS.
2. Rig or host trouble is BROKEN, never FAIL. A kernel that will not build, boot or stay up is FAIL.
3. PASS needs evidence: counters at or above their floors. Below a floor is INCONCLUSIVE.
4. A fatal splat is a FAIL whatever the cases say, and the cases are kept. The headline of a FAIL is
   the most concrete evidence: `Shows` has the order.
5. A mutant is killed only when every case that its Killed-By names FAILs, or a splat it names
   appears.
6. Accelerator and schedule are part of a result's identity: two of them are never pooled.
7. A case is blamed for what the console says after the case's start line, never for what it says
   before. A guest that is lost between two cases, or after the last one, is a FAIL of the kernel
   and of no case.
8. A failure that the base has as well, as often, is not the series' FAIL: a run with no other
   failure is INCONCLUSIVE. It stays FAIL if the series promises that case, or if the runs cannot
   decide (rig/verdict/blame.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from rig.errors import GuestLost, KernelError, RigError, SeriesError
from rig.guest.console import Splat, fingerprint
from rig.verdict.exitstatus import CRASHES, NOT_STARTED, USAGE, signal_name, signal_of
from rig.verdict.floors import Floor, below
from rig.verdict.ktap import KtapReport
from rig.verdict.resultline import Directive, KtapTest

EVIDENCE = "# evidence "
SPLAT = "splat/"
"""`Killed-By: splat/KIND` or `splat/KIND:FUNCTION` names a splat instead of a case."""


class Outcome(StrEnum):
    PASS = "PASS"
    SKIP = "SKIP"
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"
    BROKEN = "BROKEN"

    @property
    def exit_status(self) -> int:
        """SKIP exits like INCONCLUSIVE, because it proves nothing (rule 1)."""
        return _EXIT_STATUS[self]

    @property
    def severity(self) -> int:
        """The most severe of several outcomes is the outcome of all.

        FAIL outranks BROKEN: trouble of the host afterwards does not undo a failure of the kernel.
        PASS outranks SKIP: a case that cannot run here does not devalue those that passed.
        """
        return _SEVERITY.index(self)

    @classmethod
    def worst(cls, outcomes: Iterable["Outcome"]) -> "Outcome":
        """The most severe; INCONCLUSIVE if there are none (rule 1)."""
        return max(outcomes, key=lambda outcome: outcome.severity, default=cls.INCONCLUSIVE)


_EXIT_STATUS = {
    Outcome.PASS: 0,
    Outcome.SKIP: 4,
    Outcome.INCONCLUSIVE: 4,
    Outcome.FAIL: 1,
    Outcome.BROKEN: 3,
}
_SEVERITY = (Outcome.SKIP, Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.BROKEN, Outcome.FAIL)


class Shows(StrEnum):
    """What a FAIL shows. The first in this order is the headline of the verdict."""

    WRONG_DATA = "wrong data"
    """A program found something else than was written, and says where."""
    FATAL_SPLAT = "fatal splat"
    NOT_OK = "not ok"
    """A case that is not ok, crashed or did not end in time, without wrong data."""
    SPLAT = "splat"
    LOST = "guest lost"
    """The guest hung or exited, in a case or outside, and printed no fatal splat."""
    CUT_OFF = "cut off"
    """The kernel did not get as far as the cases: it does not build or does not boot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    name: str
    outcome: Outcome
    reason: str
    """Empty only for PASS."""
    counters: tuple[tuple[str, int], ...] = ()
    evidence: tuple[str, ...] = ()
    diagnostics: tuple[str, ...] = ()
    seconds: float = 0.0
    digest: str = ""
    """SHA-256 of the consoles of a seeded run."""
    command: tuple[str, ...] = ()
    """The program and its arguments in a seeded run."""
    shows: Shows = Shows.NOT_OK
    """Only of a FAIL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteResult:
    suite: str
    cases: tuple[CaseResult, ...]

    @property
    def outcome(self) -> Outcome:
        return Outcome.worst(case.outcome for case in self.cases)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    outcome: Outcome
    reason: str


class Owner(StrEnum):
    """Whose fault it is that a run did not finish."""

    SERIES = "series"
    KERNEL = "kernel"
    RIG = "rig"

    @property
    def outcome(self) -> Outcome:
        """Rule 2."""
        return Outcome.BROKEN if self is Owner.RIG else Outcome.FAIL


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why a run did not finish."""

    owner: Owner
    reason: str

    @classmethod
    def of(cls, error: RigError) -> Self:
        if isinstance(error, SeriesError):
            return cls(owner=Owner.SERIES, reason=error.message)
        if isinstance(error, KernelError):
            return cls(owner=Owner.KERNEL, reason=error.message)
        return cls(owner=Owner.RIG, reason=error.message)


def judge(
    report: KtapReport,
    case: str,
    floors: tuple[Floor, ...],
    exit_status: int | None,
    seconds: float,
) -> CaseResult:
    """Rules 1 to 3 for one case. `exit_status` is None if it is unknown."""
    test = next((test for test in report.tests if test.name == case), None)
    outcome, reason = _judge(report, test, case, floors, exit_status)
    wrong = test.evidence if test else _evidence(f"# {line}" for line in report.diagnostics)
    if wrong and (report.bail_out is not None or (not test and signal_of(exit_status))):
        # What the program had found before its end counts, as in lost(): a kernel that loses data
        # also makes system calls fail.
        outcome, reason = Outcome.FAIL, f"{wrong[0]}; then {reason}"
    return CaseResult(
        name=case,
        outcome=outcome,
        reason=reason,
        counters=_floors_first(test.counters, floors) if test else (),
        evidence=wrong,
        diagnostics=test.diagnostics if test else report.diagnostics,
        seconds=seconds,
        shows=Shows.WRONG_DATA if wrong else Shows.NOT_OK,
    )


def _evidence(lines: Iterable[str]) -> tuple[str, ...]:
    """The wrong data in the output of a program that did not come as far as its result."""
    return tuple(line.removeprefix(EVIDENCE) for line in lines if line.startswith(EVIDENCE))


def _floors_first(
    counters: tuple[tuple[str, int], ...], floors: tuple[Floor, ...]
) -> tuple[tuple[str, int], ...]:
    """Counters with a floor come first: the outcome depends on them."""
    names = {floor.counter for floor in floors}
    return tuple(sorted(counters, key=lambda counter: counter[0] not in names))


def _judge(
    report: KtapReport,
    test: KtapTest | None,
    case: str,
    floors: tuple[Floor, ...],
    exit_status: int | None,
) -> tuple[Outcome, str]:
    killed_by = signal_of(exit_status)
    if report.bail_out is not None:
        return Outcome.BROKEN, f"the program bailed out: {report.bail_out or 'no reason given'}"
    if exit_status == USAGE:
        return Outcome.BROKEN, "the program does not know this case or these options"
    if exit_status in NOT_STARTED and test is None:
        return Outcome.BROKEN, f"the program was not run: {NOT_STARTED[exit_status]}"
    if killed_by is not None and test is None:
        name = signal_name(killed_by)
        if killed_by in CRASHES:
            return Outcome.FAIL, f"crashed with {name} before it printed a result"
        return Outcome.BROKEN, f"killed by {name} before it printed a result"
    if report.skip is not None and not report.tests and not report.problems:
        return Outcome.SKIP, report.skip or "no reason given"
    if report.problems:
        result = " (the result is not ok)" if test and test.failed else ""
        return Outcome.BROKEN, f"the output is not valid KTAP: {report.problems[0]}{result}"
    if test is None:
        names = ", ".join(repr(other.name) for other in report.tests) or "no case"
        return Outcome.BROKEN, f"no result of {case!r}, only of {names}"
    if len(report.tests) > 1:
        return Outcome.BROKEN, f"{len(report.tests)} results, expected one"
    return _judge_test(test, floors, exit_status)


def _judge_test(
    test: KtapTest, floors: tuple[Floor, ...], exit_status: int | None
) -> tuple[Outcome, str]:
    if test.directive is Directive.ERROR:
        return Outcome.BROKEN, f"the case could not run: {test.reason or 'no reason given'}"
    if test.failed:
        texts = (*test.evidence, test.reason, *reversed(test.diagnostics))
        reason = next(filter(None, texts), "not ok; no reason given")
        if test.directive is Directive.TIMEOUT:
            reason = f"did not end in time: {reason}"
        return Outcome.FAIL, reason
    if exit_status not in (0, None) and test.ok:
        return Outcome.BROKEN, f"printed ok, but exited with status {exit_status}"
    if test.directive is Directive.SKIP:
        return Outcome.SKIP, test.reason or "no reason given"
    if not test.ok:
        return Outcome.INCONCLUSIVE, f"expected to fail: {test.reason or test.directive}"
    return _judge_evidence(test, floors)


def _judge_evidence(test: KtapTest, floors: tuple[Floor, ...]) -> tuple[Outcome, str]:
    """Rule 3."""
    counters = dict(test.counters)
    names = [name for floor in floors for name in (floor.counter, floor.unless) if name]
    if absent := [name for name in names if name not in counters]:
        return Outcome.BROKEN, f"the case has a floor for {absent[0]}, but printed no such counter"
    if too_low := below(counters, floors):
        return Outcome.INCONCLUSIVE, too_low
    if not floors:
        return Outcome.INCONCLUSIVE, "the case declares no floor, so a pass is no evidence"
    return Outcome.PASS, ""


def not_run(case: str, trouble: Trouble) -> CaseResult:
    """A case that did not run because of `trouble`, which decides the verdict."""
    outcome = Outcome.BROKEN if trouble.owner is Owner.RIG else Outcome.INCONCLUSIVE
    return CaseResult(name=case, outcome=outcome, reason=f"not run: {trouble.reason}")


def lost(case: str, why: GuestLost, seconds: float) -> CaseResult:
    """The case during which the guest was lost. What its program had found before counts."""
    lines = [line for line in why.output.splitlines() if line.strip()]
    wrong = _evidence(lines)
    step = f"; the program's last line: {lines[-1]}" if lines else "; the program printed nothing"
    reason = f"{wrong[0]}; then {why.message}" if wrong else why.message + step * why.hung
    return CaseResult(
        name=case,
        outcome=Outcome.FAIL,
        reason=reason,
        evidence=(*wrong, *why.tasks),
        diagnostics=tuple(lines),
        seconds=round(seconds, 2),
        shows=Shows.WRONG_DATA if wrong else Shows.LOST,
    )


def conclude(
    suites: tuple[SuiteResult, ...],
    splats: tuple[Splat, ...],
    trouble: Trouble | None,
    idle: str = "",
) -> Verdict:
    """The verdict on a kernel, from the most severe finding. `suites` stay as they are; `idle` is
    the loss of a guest while no case ran (rule 7)."""
    cases = [(suite.suite, case) for suite in suites for case in suite.cases]
    failures = _failures(cases, splats, trouble)
    if idle:
        failures.setdefault(Shows.LOST, idle)
    if failures:
        return Verdict(outcome=Outcome.FAIL, reason=failures[min(failures, key=_RANK.index)])
    if trouble:
        return Verdict(outcome=trouble.owner.outcome, reason=trouble.reason)
    worst = Outcome.worst(suite.outcome for suite in suites)
    if worst is Outcome.PASS:
        return Verdict(outcome=worst, reason=_tally(cases))
    # Rule 1: skipped cases, and suites without cases, prove nothing.
    outcome = Outcome.INCONCLUSIVE if worst is Outcome.SKIP else worst
    if any(case.outcome is worst for _, case in cases):
        reason = _of_cases([pair for pair in cases if pair[1].outcome is worst])
        return Verdict(outcome=outcome, reason=reason)
    empty = [suite.suite for suite in suites if not suite.cases]
    return Verdict(outcome=outcome, reason=f"no case of {', '.join(empty) or 'any suite'} was run")


_RANK = tuple(Shows)


def _failures(
    cases: list[tuple[str, CaseResult]], splats: tuple[Splat, ...], trouble: Trouble | None
) -> dict[Shows, str]:
    """What shows that the kernel fails, each with its headline."""
    failed = [pair for pair in cases if pair[1].outcome is Outcome.FAIL]
    failures = {}
    for shows in (Shows.WRONG_DATA, Shows.NOT_OK, Shows.LOST):
        if first := [pair for pair in failed if pair[1].shows is shows]:
            others = [pair for pair in failed if pair[1].shows is not shows]
            headline = _of_cases([*first, *others])
            if trouble and trouble.reason not in headline:
                headline += f"; the run stopped early: {trouble.reason}"
            failures[shows] = headline
    for shows, fatal in ((Shows.FATAL_SPLAT, True), (Shows.SPLAT, False)):
        if of_kind := [splat for splat in splats if splat.kind.failure and splat.fatal is fatal]:
            failures[shows] = _of_splats(of_kind)
    if trouble and trouble.owner.outcome is Outcome.FAIL:
        failures[Shows.CUT_OFF] = trouble.reason
    return failures


def repeated(*, identical: bool, same_qemu: bool) -> Outcome:
    """Of a seeded run that was run again. The bytes are promised for the same QEMU only."""
    if identical:
        return Outcome.PASS
    return Outcome.FAIL if same_qemu else Outcome.INCONCLUSIVE


def _of_splats(splats: list[Splat]) -> str:
    more = f" (and {len(splats) - 1} more splats)" if len(splats) > 1 else ""
    return f"{splats[0].title}{more}"


def _of_cases(cases: list[tuple[str, CaseResult]]) -> str:
    """The first of these cases, which have the same outcome, and the number of others."""
    (suite, case), *others = cases
    more = f" (and {len(others)} more {case.outcome})" if others else ""
    return f"{suite}/{case.name}: {case.reason}{more}"


def _tally(cases: list[tuple[str, CaseResult]]) -> str:
    passed = sum(case.outcome is Outcome.PASS for _, case in cases)
    skipped = len(cases) - passed
    text = f"{passed} case{'s' * (passed != 1)} passed"
    return f"{text}, {skipped} skipped" if skipped else text


def killed(
    killed_by: tuple[str, ...], name: str, case: CaseResult, splats: tuple[Splat, ...]
) -> str:
    """Rule 5 for one case (`name` is suite/case) in one guest: how it killed a mutant; "" if not.

    A Killed-By line of a mutant names `suite/case`, `splat/KIND` or `splat/KIND:FUNCTION`. Another
    failure does not count, because it does not show that the suite detects this mutant.
    """
    for splat in splats:
        for title in (f"{SPLAT}{splat.kind}", f"{SPLAT}{fingerprint(splat)}"):
            if title in killed_by:
                return f"{title}: {splat.title}"
    return case.reason if name in killed_by and case.outcome is Outcome.FAIL else ""
