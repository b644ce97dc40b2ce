# SPDX-License-Identifier: GPL-2.0-only
"""What a program of the kernel's tools/testing/selftests has shown, here and nowhere else.

Such a program has many results and knows neither counters nor floors (kselftest.h, ktap.rst), so:

1. A result that is not ok, a crash, `Bail out!`, an exit status that says failure, or no end in
   time is FAIL, unless each of them is a known failure of that base (`known/vX.Y.toml`).
2. Otherwise the results that passed are the evidence. None, and some skipped: SKIP. None at all,
   or fewer than the case's floor: INCONCLUSIVE.
3. A program that prints no results has one, named like the case: its exit status.
4. A known failure that passes is said, for it may have been fixed; it fails nothing.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pydantic

from rig.errors import ConfigError
from rig.verdict.ktap import Directive, KtapReport, KtapTest
from rig.verdict.rules import CRASHES, CaseResult, Floor, Outcome, below, signal_name, signal_of

PASSED = "passed"
"""The counter of results that are ok and not skipped."""
SKIP_STATUS = 4
"""KSFT_SKIP of kselftest.h."""
OUT_OF_TIME = 124
"""What stands for a program that had to be ended; timeout(1)'s own."""
EVIDENCE_MAX = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A failure that is there without any series, and why."""

    case: str
    result: str
    """Glob of the result's name; of what `Bail out!` says; the case's name for its exit status."""
    why: str
    on: tuple[str, ...] = ()
    """The architectures it fails on; empty for all."""
    sometimes: bool = False
    """It is not said when it passes."""

    def applies(self, case: str, machine: str) -> bool:
        return self.case == case and (not self.on or machine in self.on)


class _File(pydantic.BaseModel, extra="forbid"):
    known: tuple[Known, ...]


def load(
    text: str, name: str, cases: Iterable[str], architectures: Iterable[str]
) -> tuple[Known, ...]:
    """The list of a base. Raises ConfigError, naming the file, for what is no such list."""
    try:
        found = _File.model_validate(tomllib.loads(text)).known
    except (tomllib.TOMLDecodeError, pydantic.ValidationError) as error:
        raise ConfigError(f"{name} is no list of known failures", detail=str(error)) from error
    cases, architectures = set(cases), set(architectures)
    for one in found:
        if one.case not in cases:
            raise ConfigError(f"{name} knows a failure of {one.case}, which is no case")
        if unknown := set(one.on) - architectures:
            raise ConfigError(f"{name}: {', '.join(sorted(unknown))} is no architecture")
        if not (one.result.strip("*?") and one.why.strip()):
            raise ConfigError(f"{name}: a known failure of {one.case} lacks a name or a reason")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """One thing that went wrong."""

    what: str
    text: str


def judge(
    report: KtapReport,
    case: str,
    floors: tuple[Floor, ...],
    exit_status: int,
    seconds: float,
    known: tuple[Known, ...],
) -> CaseResult:
    """The rules above. `report` is of the foreign kind, `known` the case's own on this machine."""
    tests = _results(report, case, exit_status)
    wrong = [*_not_ok(tests), *_ended_badly(report, case, exit_status, tests)]
    new = [one for one in wrong if not _match(one.what, known)]
    passed = [test for test in tests if test.ok and test.directive is None]
    fixed = [one for one in known if not one.sometimes and _passes(one, passed, wrong)]
    counters = {
        PASSED: len(passed),
        "skipped": sum(test.directive is Directive.SKIP for test in tests),
        "failed": len(new),
        "known_failures": len(wrong) - len(new),
        "known_that_pass": len(fixed),
    }
    outcome, reason = _judge(report, tests, new, counters, floors)
    if (died := signal_of(exit_status)) and died not in CRASHES and outcome is not Outcome.FAIL:
        outcome, reason = Outcome.BROKEN, f"was killed ({signal_name(died)}), not by itself"
    remarks = tuple(f"known failure passes: {one.result} ({one.why})" for one in fixed)
    return CaseResult(
        name=case,
        outcome=outcome,
        reason=reason,
        counters=tuple((name, n) for name, n in counters.items() if n or name == PASSED),
        evidence=tuple(f"{one.what}: {one.text}" for one in new[:EVIDENCE_MAX]),
        diagnostics=(*remarks, *(_tail(report) if outcome is not Outcome.PASS else ())),
        seconds=seconds,
    )


def _judge(
    report: KtapReport,
    tests: tuple[KtapTest, ...],
    new: list[_Said],
    counters: dict[str, int],
    floors: tuple[Floor, ...],
) -> tuple[Outcome, str]:
    if new:
        more = f" (and {len(new) - 1} more)" if len(new) > 1 else ""
        return Outcome.FAIL, f"{new[0].what}: {new[0].text}{more}"
    skips = [test for test in tests if test.directive is Directive.SKIP]
    if not counters[PASSED] and (skips or report.skip is not None):
        said = report.skip or next((test.reason or test.name for test in skips), "")
        return Outcome.SKIP, said or "no reason given"
    if why := below(counters, floors):
        return Outcome.INCONCLUSIVE, why
    if report.tests and report.problems and not counters["known_failures"]:
        return Outcome.BROKEN, f"the output is no sound KTAP: {report.problems[0]}"
    return Outcome.PASS, ""


def _results(report: KtapReport, case: str, exit_status: int) -> tuple[KtapTest, ...]:
    """Rule 3, for a program that said something: of silence nothing follows."""
    if report.tests or report.skip is not None or report.bail_out is not None:
        return report.tests
    if exit_status == SKIP_STATUS:
        reason = next(iter(report.diagnostics[-1:]), "no reason given")
        skip = Directive.SKIP
        return (KtapTest(number=1, name=case, ok=True, directive=skip, reason=reason),)
    if exit_status == 0 and report.diagnostics:
        return (KtapTest(number=1, name=case, ok=True),)
    return ()


def _not_ok(tests: tuple[KtapTest, ...]) -> list[_Said]:
    return [
        _Said(what=test.name or test.reason, text=_why(test) or "not ok, without a word why")
        for test in tests
        if test.failed
    ]


def _why(test: KtapTest) -> str:
    return next(filter(None, (test.reason, *reversed(test.diagnostics))), "")


def _ended_badly(
    report: KtapReport, case: str, exit_status: int, tests: tuple[KtapTest, ...]
) -> list[_Said]:
    """What the results do not say: how the program itself came to its end."""
    if report.bail_out is not None:
        # `2 out of 6 tests failed`, after all of them, is no failure of its own.
        summary = len(tests) == report.plan and any(test.failed for test in tests)
        return [] if summary else [_Said(what=report.bail_out or case, text="Bail out!")]
    last = next(iter(_tail(report, 1)), "")
    after = f", after {len(tests)} of {report.plan} results" if report.plan is not None else ""
    if exit_status == OUT_OF_TIME:
        return [_Said(what=case, text=f"did not end in time{after}")]
    if died := signal_of(exit_status):
        crashed = [_Said(what=case, text=f"died of {signal_name(died)}{after}")]
        return crashed if died in CRASHES else []
    if exit_status in (0, SKIP_STATUS) or any(test.failed for test in tests):
        return []
    return [_Said(what=case, text=f"exited with {exit_status}{after}: {last}".rstrip(": "))]


def _tail(report: KtapReport, lines: int = 20) -> tuple[str, ...]:
    """The last remarks, of whichever result."""
    remarks = [line for test in report.tests for line in test.diagnostics]
    said = [line for line in (*remarks, *report.diagnostics) if not line.startswith("Totals: ")]
    return tuple(said[-lines:])


def _match(what: str, known: tuple[Known, ...]) -> bool:
    return any(fnmatchcase(what, one.result) for one in known)


def _passes(one: Known, passed: list[KtapTest], wrong: list[_Said]) -> bool:
    """It is there to be seen, every result of its name passes, and it is not in what went wrong."""
    if any(fnmatchcase(said.what, one.result) for said in wrong):
        return False
    ran = any(fnmatchcase(test.name, one.result) for test in passed)
    return ran or (one.result == one.case and bool(passed) and not wrong)
