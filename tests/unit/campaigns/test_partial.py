# SPDX-License-Identifier: GPL-2.0-only
"""A run of some of the cases says so, in every face of a result."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from rig.campaigns import partial
from rig.campaigns.results import RunResult
from rig.errors import GuestLost
from rig.report import review, text
from rig.suites import suite as suites
from rig.verdict.rules import CaseResult, Outcome, SuiteResult, Trouble, conclude, not_run
from tests.unit.conftest import result

ALL = suites.case_names(suites.standard().values())


def ran(names: Sequence[str], outcome: Outcome = Outcome.PASS, arch: str = "x86_64") -> RunResult:
    results: dict[str, list[CaseResult]] = {}
    for name in names:
        suite, _, case = name.partition("/")
        reason = "" if outcome is Outcome.PASS else "why"
        results.setdefault(suite, []).append(CaseResult(name=case, outcome=outcome, reason=reason))
    run = tuple(SuiteResult(suite=name, cases=tuple(of)) for name, of in results.items())
    return replace(result(arch), suites=run, verdict=conclude(run, (), None))


@pytest.mark.parametrize("count", [1, 3, len(ALL) - 1, len(ALL)])
def test_a_pass_says_how_many_cases_were_not_run(count: int) -> None:
    run = ran(ALL[:count])
    assert run.verdict.outcome is Outcome.PASS
    absent = f"not run: {len(ALL) - count} of the {len(ALL)} default cases"
    (entry,) = review._entries([run], "20260302-x")
    for face in (text.render([run]), entry["summary"], entry["details"]):
        assert (absent in face) is (count < len(ALL)), face
        assert ("not run" in face) is (count < len(ALL)), face


def test_a_case_whose_turn_never_came_counts_as_not_run() -> None:
    trouble = Trouble.of(GuestLost("9 guests were lost"))
    run = ran(ALL[1:])
    cases = not_run(ALL[0].partition("/")[2], trouble)
    suite = SuiteResult(suite=ALL[0].partition("/")[0], cases=(cases,))
    assert partial.not_run(replace(run, suites=(suite, *run.suites))).startswith("1 of the")


def test_a_kernel_that_does_not_build_has_no_such_line() -> None:
    assert partial.not_run(replace(result(), suites=())) == ""


@pytest.mark.parametrize(
    ("results", "comment"),
    [
        ([ran(ALL)], ""),
        ([ran(ALL), ran(ALL, arch="arm64")], ""),
        ([ran(ALL[:1])], f" # only {ALL[0]}"),
        ([ran(ALL[:3])], f" # 3 of {len(ALL)} cases"),
        ([ran(ALL), ran(ALL[:-1], arch="arm64")], f" # {len(ALL) - 1} of {len(ALL)} cases"),
        ([ran(["kselftest_mm/cow"])], " # only kselftest_mm/cow"),
        ([ran([*ALL, "kselftest_mm/cow"])], ""),
        ([ran([*ALL[1:], "kselftest_mm/cow"])], f" # {len(ALL)} of {len(ALL) + 1} cases"),
    ],
)
def test_a_tag_names_what_passed_unless_all_did(results: list[RunResult], comment: str) -> None:
    assert partial.tested(results) == comment


def test_a_skipped_case_was_not_tested() -> None:
    some, skipped = ran(ALL[1:]), ran(ALL[:1], Outcome.SKIP)
    both = replace(some, suites=(*some.suites, *skipped.suites))
    assert partial.tested([both]) == f" # {len(ALL) - 1} of {len(ALL)} cases"
