# SPDX-License-Identifier: GPL-2.0-only
"""Outcome rule 8."""

from dataclasses import replace

import pytest

from rig.guest.console import Splat, SplatKind
from rig.verdict.blame import Blame, Culprit, Mark, attributed
from rig.verdict.rules import CaseResult, Outcome, Shows, SuiteResult, Verdict, conclude

OOPS = Splat(
    kind=SplatKind.OOPS,
    title="Oops: 0002 in free_swap+0x1/0x2",
    text=(),
    fatal=True,
    at=1.0,
)
WARNING = replace(OOPS, kind=SplatKind.WARNING, title="WARNING: in put_page+0x1/0x2", fatal=False)


def case(name: str, outcome: Outcome, reason: str = "no") -> CaseResult:
    return CaseResult(name=name, outcome=outcome, reason=reason, shows=Shows.LOST)


def whose(name: str, mark: Mark, promised: bool = False) -> Blame:
    return Blame(failure=name, mark=mark, promised=promised)


def judged(
    cases: tuple[CaseResult, ...],
    blames: tuple[Blame, ...],
    splats: tuple[Splat, ...] = (),
    idle: str = "",
) -> Verdict:
    suites = (SuiteResult(suite="s", cases=cases),)
    return attributed(conclude(suites, splats, None, idle), suites, splats, blames, idle)


A, B = case("a", Outcome.FAIL), case("b", Outcome.FAIL)
PASS, BROKEN = case("p", Outcome.PASS, ""), case("q", Outcome.BROKEN, "QEMU died")
THERE_A = whose("s/a", Mark.THERE)


@pytest.mark.parametrize(
    ("cases", "blames", "outcome", "reason"),
    [
        ((A, PASS), (THERE_A,), Outcome.INCONCLUSIVE, "already there without the series: s/a: no"),
        ((A, PASS), (whose("s/a", Mark.INTRODUCED),), Outcome.FAIL, "s/a: no"),
        ((A, PASS), (whose("s/a", Mark.UNDECIDED),), Outcome.FAIL, "s/a: no"),
        ((A, PASS), (whose("s/a", Mark.THERE, promised=True),), Outcome.FAIL, "s/a: no"),
        ((A, PASS), (), Outcome.FAIL, "s/a: no"),
        ((A, B), (THERE_A, whose("s/b", Mark.UNDECIDED)), Outcome.FAIL, "s/b: no"),
        ((A, B), (THERE_A,), Outcome.FAIL, "s/b: no"),
        ((A, B), (THERE_A, whose("s/b", Mark.THERE)), Outcome.INCONCLUSIVE,
         "already there without the series: s/a: no (and 1 more FAIL)"),
        ((A, BROKEN), (THERE_A,), Outcome.BROKEN, "s/q: QEMU died"),
        ((PASS,), (THERE_A,), Outcome.PASS, "1 case passed"),
    ],
)  # fmt: skip
def test_the_verdict_without_what_is_not_the_series(
    cases: tuple[CaseResult, ...], blames: tuple[Blame, ...], outcome: Outcome, reason: str
) -> None:
    assert judged(cases, blames) == Verdict(outcome=outcome, reason=reason)


def test_a_guest_that_was_lost_beside_an_excused_case_stays_a_fail() -> None:
    lost = "the guest was lost after s/p: gone"
    expected = Verdict(outcome=Outcome.FAIL, reason=lost)
    assert judged((A, PASS), (THERE_A,), idle=lost) == expected


def test_a_splat_that_ended_an_excused_case_goes_with_it() -> None:
    died = case("a", Outcome.FAIL, OOPS.title)
    assert judged((died, PASS), (THERE_A,), (OOPS,)).outcome is Outcome.INCONCLUSIVE
    warned = judged((died, PASS), (THERE_A,), (WARNING, OOPS))
    assert warned == Verdict(outcome=Outcome.FAIL, reason=WARNING.title)


def test_what_follows_a_splat_goes_with_it_but_not_the_splat_of_another_guest() -> None:
    died = case("a", Outcome.FAIL, f"page 7 is lost; then {OOPS.title}")
    panic = replace(OOPS, kind=SplatKind.PANIC, title="Kernel panic - not syncing", at=1.1)
    assert judged((died, PASS), (THERE_A,), (OOPS, panic)).outcome is Outcome.INCONCLUSIVE
    other = replace(WARNING, at=0.5)
    assert judged((died, PASS), (THERE_A,), (OOPS, panic, other)).reason == other.title
    assert judged((died, PASS), (THERE_A,), (other, OOPS, panic)).reason == other.title


def test_a_splat_beside_the_cases_is_excused_by_its_own_blame() -> None:
    name = "splat/warning:put_page"
    judged_ = judged((PASS,), (whose(name, Mark.THERE),), (WARNING,))
    assert judged_.outcome is Outcome.INCONCLUSIVE
    assert judged((PASS,), (whose(name, Mark.THERE),), (WARNING, OOPS)).outcome is Outcome.FAIL


def test_several_patches_are_all_named() -> None:
    culprits = tuple(Culprit(number=n, subject=f"mm: {n}", chance=0.5) for n in (2, 3))
    blame = replace(whose("s/a", Mark.INTRODUCED), culprits=culprits, patches=4)
    assert blame.summary == "introduced by patch 2/4 (mm: 2) or patch 3/4 (mm: 3)"
