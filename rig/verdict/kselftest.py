# SPDX-License-Identifier: GPL-2.0-only
"""The outcome of a program of the kernel's tools/testing/selftests. No other module decides it.

Such a program prints many results, but no counters (kselftest.h, ktap.rst). The rules:

1. A result that is not ok, a crash, `Bail out!`, an exit status of failure and a timeout are FAIL,
   unless each of them is a known failure of the base (`known/vX.Y.toml`). Results that are not ok
   explain KSFT_FAIL, and no other exit status where all of them are known.
2. Otherwise the results that passed are the evidence. No result passed and some were skipped, or
   KSFT_SKIP without a result that says so: SKIP. No results, or fewer that passed than the case's
   floor: INCONCLUSIVE.
3. A report whose results are missing, torn or in disorder is BROKEN. A known failure that ends the
   program early (a crash, a timeout, `Bail out!`) explains missing results, and nothing else.
   Without a plan, only the exit status 0 shows that no result is missing.
4. A program that prints no KTAP has one result, named like the case: its exit status.
5. A program that is not there or cannot be executed (exit status 127 or 126) has shown nothing:
   BROKEN, unless a result that it printed is a FAIL.
6. A known failure that passes is reported, because it may be fixed; it does not change the outcome.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pydantic

from rig.errors import ConfigError
from rig.verdict.exitstatus import CRASHES, NOT_STARTED, signal_name, signal_of
from rig.verdict.floors import Floor, below
from rig.verdict.ktap import KtapReport
from rig.verdict.resultline import Directive, KtapTest
from rig.verdict.rules import CaseResult, Outcome

PASSED = "passed"
"""The counter of results that are ok and not skipped."""
FAIL_STATUS = 1
"""KSFT_FAIL of kselftest.h."""
SKIP_STATUS = 4
"""KSFT_SKIP of kselftest.h."""
OUT_OF_TIME = 124
"""The status of a program that was killed at its deadline, as timeout(1) has it."""
EVIDENCE_MAX = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A failure that the base has without any series, and why."""

    case: str
    result: str
    """Glob of a result's name or of the text of `Bail out!`; the case's name for an exit status."""
    why: str
    on: tuple[str, ...] = ()
    """The architectures on which it fails; empty for all."""
    sometimes: bool = False
    """It does not always fail, so it is not reported when it passes."""

    def applies(self, case: str, machine: str) -> bool:
        return self.case == case and (not self.on or machine in self.on)


class _File(pydantic.BaseModel, extra="forbid"):
    known: tuple[Known, ...]


def load(
    text: str, name: str, cases: Iterable[str], architectures: Iterable[str]
) -> tuple[Known, ...]:
    """The known failures of a base. Raises ConfigError, naming the file, for a malformed list."""
    try:
        failures = _File.model_validate(tomllib.loads(text)).known
    except (tomllib.TOMLDecodeError, pydantic.ValidationError) as error:
        raise ConfigError(f"{name} is not a list of known failures", detail=str(error)) from error
    cases, architectures = set(cases), set(architectures)
    for failure in failures:
        if failure.case not in cases:
            raise ConfigError(f"{name}: there is no case named {failure.case}")
        if unknown := set(failure.on) - architectures:
            raise ConfigError(f"{name}: unknown architecture: {', '.join(sorted(unknown))}")
        if not (failure.result.strip("*?") and failure.why.strip()):
            raise ConfigError(f"{name}: a failure of {failure.case} needs a name and a reason")
    return failures


@dataclass(frozen=True, kw_only=True, slots=True)
class _Failure:
    """Something that went wrong: a failed result, or the way the program ended."""

    name: str
    text: str


def judge(
    report: KtapReport,
    case: str,
    floors: tuple[Floor, ...],
    exit_status: int,
    seconds: float,
    known: tuple[Known, ...],
) -> CaseResult:
    """The rules above, for a `report` parsed as foreign, and the failures that are `known` here."""
    tests = _results(report, case, exit_status)
    not_ok = _not_ok(tests)
    ended = _ended_badly(report, case, exit_status, tests)
    if not ended and not_ok and all(_is_known(failure.name, known) for failure in not_ok):
        ended = _unexplained(report, case, exit_status)
    failures = [*not_ok, *ended]
    new = [failure for failure in failures if not _is_known(failure.name, known)]
    passed = [test for test in tests if _passed(test)]
    fixed = [
        failure for failure in known if not failure.sometimes and _passes(failure, passed, failures)
    ]
    counters = {
        PASSED: len(passed),
        "skipped": sum(test.directive is Directive.SKIP for test in tests),
        "failed": len(new),
        "known_failures": len(failures) - len(new),
        "known_that_pass": len(fixed),
    }
    if new:
        outcome = Outcome.FAIL
        more = f" (and {len(new) - 1} more)" if len(new) > 1 else ""
        reason = f"{new[0].name}: {new[0].text}{more}"
    else:
        outcome, reason = _judge(report, tests, exit_status, counters, floors, early=bool(ended))
    killed_by = signal_of(exit_status)
    if killed_by and killed_by not in CRASHES and outcome is not Outcome.FAIL:
        outcome, reason = Outcome.BROKEN, f"killed by {signal_name(killed_by)} from outside"
    if (why := NOT_STARTED.get(exit_status)) and outcome is not Outcome.FAIL:
        last = next(iter(_tail(report, 1)), "")
        reason = f"exited with {exit_status}, a program was not run: {last or why}"
        outcome = Outcome.BROKEN
    remarks = tuple(f"known failure passes: {failure.result} ({failure.why})" for failure in fixed)
    return CaseResult(
        name=case,
        outcome=outcome,
        reason=reason,
        counters=tuple((name, n) for name, n in counters.items() if n or name == PASSED),
        evidence=tuple(f"{failure.name}: {failure.text}" for failure in new[:EVIDENCE_MAX]),
        diagnostics=(*remarks, *(_tail(report) if outcome is not Outcome.PASS else ())),
        seconds=seconds,
    )


def _judge(
    report: KtapReport,
    tests: tuple[KtapTest, ...],
    exit_status: int,
    counters: dict[str, int],
    floors: tuple[Floor, ...],
    *,
    early: bool,
) -> tuple[Outcome, str]:
    """Where nothing failed but what is known. `early`: a known failure ended the program."""
    excused = report.unfinished if early else ()
    problem = next((text for text in report.problems if text not in excused), "")
    skips = [test for test in tests if test.directive is Directive.SKIP]
    skipped = bool(skips) or report.skip is not None
    # ksft_exit_skip() in the middle of a plan leaves results out, and numbers its own wrongly.
    if not counters[PASSED] and skipped and (not problem or exit_status == SKIP_STATUS):
        reason = report.skip or next((test.reason or test.name for test in skips), "")
        return Outcome.SKIP, reason or "no reason given"
    if too_low := below(counters, floors):
        return Outcome.INCONCLUSIVE, f"{too_low}: {problem}" if problem else too_low
    if problem:
        return Outcome.BROKEN, f"the output is not valid KTAP: {problem}"
    if exit_status == SKIP_STATUS and not skipped:
        return Outcome.SKIP, f"exited with {SKIP_STATUS}, after {len(tests)} results"
    if exit_status not in (0, SKIP_STATUS) and report.plan is None and not early:
        reason = f"exited with {exit_status}, without a plan: results may be missing"
        return Outcome.INCONCLUSIVE, reason
    return Outcome.PASS, ""


def _results(report: KtapReport, case: str, exit_status: int) -> tuple[KtapTest, ...]:
    """Rule 4, for a program that printed something. A silent program has no result."""
    if report.tests or report.skip is not None or report.bail_out is not None:
        return report.tests
    if exit_status == SKIP_STATUS:
        reason = next(iter(report.diagnostics[-1:]), "no reason given")
        skip = Directive.SKIP
        return (KtapTest(number=1, name=case, ok=True, directive=skip, reason=reason),)
    if exit_status == 0 and report.diagnostics and not (report.announced or report.problems):
        return (KtapTest(number=1, name=case, ok=True),)
    return ()


def _not_ok(tests: tuple[KtapTest, ...], parent: str = "") -> list[_Failure]:
    """Results that are not ok, and subtests that are not, of a test that does not say so."""
    failures = []
    for test in tests:
        name = f"{parent}{test.name or test.reason}"
        if test.failed:
            failures.append(_Failure(name=name, text=_why(test) or "not ok; no reason given"))
        elif test.ok or not test.printed:
            failures += _not_ok(test.subtests, f"{name}: ")
    return failures


def _passed(test: KtapTest) -> bool:
    """Ok, and if there are subtests, one of them passed: those that are skipped prove nothing."""
    subtests = not test.subtests or any(map(_passed, test.subtests))
    return test.ok and test.directive is None and subtests


def _why(test: KtapTest) -> str:
    return next(filter(None, (test.reason, *reversed(test.diagnostics))), "")


def _ended_badly(
    report: KtapReport, case: str, exit_status: int, tests: tuple[KtapTest, ...]
) -> list[_Failure]:
    """How the program ended, if that is a failure."""
    if report.bail_out is not None:
        # `Bail out! 2 out of 6 tests failed`, after all results, is not one more failure.
        summary = len(tests) == report.plan and any(test.failed for test in tests)
        return [] if summary else [_Failure(name=report.bail_out or case, text="Bail out!")]
    last = next(iter(_tail(report, 1)), "")
    after = f", after {len(tests)} of {report.plan} results" if report.plan is not None else ""
    if exit_status == OUT_OF_TIME:
        return [_Failure(name=case, text=f"did not end in time{after}")]
    if killed_by := signal_of(exit_status):
        crash = _Failure(name=case, text=f"crashed with {signal_name(killed_by)}{after}")
        return [crash] if killed_by in CRASHES else []
    if exit_status in (0, SKIP_STATUS, *NOT_STARTED) or any(test.failed for test in tests):
        return []
    return [_Failure(name=case, text=f"exited with {exit_status}{after}: {last}".rstrip(": "))]


def _unexplained(report: KtapReport, case: str, exit_status: int) -> list[_Failure]:
    """An exit status that results that are not ok do not explain."""
    if exit_status in (0, FAIL_STATUS, SKIP_STATUS, *NOT_STARTED) or signal_of(exit_status):
        return []
    last = next(iter(_tail(report, 1)), "")
    return [_Failure(name=case, text=f"exited with {exit_status}: {last}".rstrip(": "))]


def _tail(report: KtapReport, lines: int = 20) -> tuple[str, ...]:
    """The last diagnostic lines, of any result."""
    of_tests = (line for test in report.tests for line in test.diagnostics)
    all_lines = [*of_tests, *report.diagnostics]
    return tuple([line for line in all_lines if not line.startswith("Totals: ")][-lines:])


def _is_known(name: str, known: tuple[Known, ...]) -> bool:
    return any(fnmatchcase(name, failure.result) for failure in known)


def _passes(known: Known, passed: list[KtapTest], failures: list[_Failure]) -> bool:
    """Results with its name passed, and none of the failures has it."""
    if any(fnmatchcase(failure.name, known.result) for failure in failures):
        return False
    ran = any(fnmatchcase(test.name, known.result) for test in passed)
    return ran or (known.result == known.case and bool(passed) and not failures)
