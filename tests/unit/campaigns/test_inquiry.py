# SPDX-License-Identifier: GPL-2.0-only
"""What one run says of a commit, by what is asked."""

from dataclasses import replace

import pytest

from rig.campaigns import failures, inquiry
from rig.campaigns.failures import Failure
from rig.campaigns.inquiry import Kind, Question, Said
from rig.campaigns.results import RunResult
from rig.guest.console import Splat, SplatKind
from rig.verdict.rules import Outcome, Owner, Shows, Trouble
from tests.unit.conftest import case, result

CASE = Question()
NAME = "stale_tlb/anon_lost_write"
WRONG = Failure(name=NAME, shows=("wrong data",))
AT_BUG = Failure(name=NAME, shows=("splat/bug:page_add",))
WARNING = Splat(
    kind=SplatKind.WARNING, title="WARNING: CPU: 1 PID: 77 at mm/rmap.c:99 page_move+0x12/0x40",
    text=(), fatal=False, at=1.0,
)  # fmt: skip
BUG = Splat(
    kind=SplatKind.BUG, title="kernel BUG at mm/rmap.c:1234!", text=("RIP: 0010:page_add+0x1/0x2",),
    fatal=True, at=1.0,
)  # fmt: skip


def ran(outcome: Outcome, reason: str = "", *splats: Splat, **rest: object) -> RunResult:
    return result(cases=(case("anon_lost_write", outcome, reason, **rest),), splats=splats)


def unbuilt(reason: str, detail: str = "") -> RunResult:
    trouble = Trouble(owner=Owner.SERIES, reason=reason)
    failed = result(trouble=trouble, detail=detail, boot_seconds=0.0)
    return replace(failed, provenance=replace(failed.provenance, build=""))


LOST = ran(Outcome.FAIL, "page 17: CPU 2 wrote 42, read back 41", shows=Shows.WRONG_DATA)
LOST_AND_DIED = ran(
    Outcome.FAIL, f"page 17: wrong; then {BUG.title}", BUG, shows=Shows.WRONG_DATA
)  # fmt: skip
DIED = ran(Outcome.FAIL, BUG.title, BUG, shows=Shows.LOST)
HUNG = ran(Outcome.FAIL, "the guest does not answer", shows=Shows.LOST)
WARNED = ran(Outcome.PASS, "", WARNING)
NO_BOOT = result(trouble=Trouble(owner=Owner.KERNEL, reason="it hangs"), boot_seconds=0.0)


@pytest.mark.parametrize(
    ("run", "signatures"),
    [
        (ran(Outcome.PASS), []),
        (LOST, [f"{NAME}: wrong data"]),
        (LOST_AND_DIED, [f"{NAME}: wrong data, splat/bug:page_add"]),
        (DIED, [f"{NAME}: splat/bug:page_add"]),
        (HUNG, [f"{NAME}: guest lost"]),
        (WARNED, ["splat/warning:page_move"]),
        (ran(Outcome.INCONCLUSIVE, "too few"), []),
        (NO_BOOT, []),
        (unbuilt("it does not compile"), []),
    ],
)
def test_a_signature_is_the_case_and_what_it_shows(run: RunResult, signatures: list[str]) -> None:
    assert [str(failure) for failure in inquiry.found(CASE, run)] == signatures


@pytest.mark.parametrize(
    ("run", "said", "is_dead"),
    [
        (LOST, Said.FAILED, False),
        (LOST_AND_DIED, Said.FAILED, False),
        (ran(Outcome.PASS), Said.PASSED, False),
        (WARNED, Said.PASSED, False),
        (DIED, Said.OTHER, False),
        (HUNG, Said.OTHER, False),
        (ran(Outcome.INCONCLUSIVE, "too few"), Said.NOTHING, False),
        (ran(Outcome.SKIP, "not before v7.0"), Said.NEVER, False),
        (unbuilt("it does not compile"), Said.NEVER, False),
        (NO_BOOT, Said.OTHER, True),
        (result(trouble=Trouble(owner=Owner.RIG, reason="full")), Said.BROKEN, False),
    ],
)
def test_what_a_run_says_of_lost_writes(run: RunResult, said: Said, is_dead: bool) -> None:
    answer = inquiry.answer(CASE, run, WRONG)
    assert (answer.said, answer.is_dead) == (said, is_dead)
    assert answer.reason or said is Said.PASSED
    assert bool(answer.others) == (run in (WARNED, DIED, HUNG, NO_BOOT))


@pytest.mark.parametrize(
    ("title", "run", "said"),
    [
        ("kernel BUG at mm/rmap.c:99!", DIED, Said.FAILED),
        ("bug:page_add", DIED, Said.FAILED),
        ("WARNING: CPU: 3 PID: 1 at mm/rmap.c:7 page_move+0x99/0xab", WARNED, Said.FAILED),
        ("page_move", WARNED, Said.FAILED),
        ("page_move", DIED, Said.OTHER),
        ("bug:page_add", WARNED, Said.PASSED),
        ("bug:page_add", LOST, Said.PASSED),
        ("bug:page_add", HUNG, Said.OTHER),
    ],
)
def test_a_splat_is_found_by_its_title(title: str, run: RunResult, said: Said) -> None:
    asked = Question(kind=Kind.SPLAT, splat=title)
    looked_for, settled = inquiry.wanted(asked, [])
    assert settled and inquiry.answer(asked, run, looked_for).said is said


def test_a_compiler_error_is_the_same_at_another_place() -> None:
    asked = Question(kind=Kind.BUILD)
    first = unbuilt("it does not compile: mm/a.c:7:2: error: 'x1' undeclared")
    same = unbuilt("it does not compile: mm/b.c:99: error: y", "mm/b.c:9:1: error: 'x1' undeclared")
    looked_for, settled = inquiry.wanted(asked, [first])
    assert settled
    assert inquiry.answer(asked, first, looked_for).said is Said.FAILED
    assert inquiry.answer(asked, same, looked_for).said is Said.FAILED
    other = inquiry.answer(asked, unbuilt("it does not compile: mm/b.c:9: error: z"), looked_for)
    assert other.said is Said.NEVER and other.others
    assert inquiry.answer(asked, LOST, looked_for).said is Said.PASSED


def test_the_failure_that_comes_often_enough_first_is_looked_for() -> None:
    runs = [DIED, LOST, LOST, ran(Outcome.PASS), LOST]
    assert inquiry.wanted(CASE, runs) == (WRONG, False)
    assert inquiry.wanted(CASE, [*runs, LOST, DIED, DIED, DIED, DIED]) == (WRONG, True)
    assert inquiry.wanted(CASE, [LOST] * 6) == (WRONG, False), "a race, or not?"
    assert inquiry.wanted(CASE, [LOST] * 7) == (WRONG, True)
    assert inquiry.wanted(CASE, []) == (None, False)


def test_a_guest_may_die_before_it_has_printed_the_wrong_data() -> None:
    """It is one failure; what all its runs have in common is looked for."""
    both = [LOST_AND_DIED, LOST_AND_DIED, DIED, ran(Outcome.PASS), DIED]
    assert inquiry.wanted(CASE, both) == (AT_BUG, True)
    for run in both[:3]:
        assert inquiry.answer(CASE, run, AT_BUG).said is Said.FAILED
        assert inquiry.answer(CASE, run, AT_BUG).others == ()
    assert inquiry.answer(CASE, LOST, AT_BUG).said is Said.OTHER


@pytest.mark.parametrize("run", [LOST, LOST_AND_DIED, DIED, HUNG, WARNED, ran(Outcome.PASS)])
@pytest.mark.parametrize("of", [LOST, LOST_AND_DIED, DIED, HUNG, WARNED])
def test_a_bisection_and_a_blame_call_the_same_runs_the_same_failure(
    of: RunResult, run: RunResult
) -> None:
    for failure in failures.of(of):
        hit = inquiry.answer(CASE, run, failure).said is Said.FAILED
        assert hit == bool(failures.seen(failure, run))


def test_the_panic_after_a_splat_is_no_other_failure() -> None:
    panic = replace(BUG, kind=SplatKind.PANIC, title="Kernel panic - not syncing", at=1.1)
    run = ran(Outcome.FAIL, BUG.title, BUG, panic, shows=Shows.LOST)
    assert inquiry.answer(CASE, run, AT_BUG).others == ()


def test_a_boot_that_fails_in_another_way_is_another_failure() -> None:
    dead = replace(NO_BOOT, splats=(BUG,))
    asked = Question(kind=Kind.BOOT)
    looked_for, _ = inquiry.wanted(asked, [dead])
    assert str(looked_for) == "the boot: splat/bug:page_add"
    assert inquiry.answer(asked, dead, looked_for).said is Said.FAILED
    assert inquiry.answer(asked, NO_BOOT, looked_for).said is Said.OTHER
    assert inquiry.answer(asked, LOST, looked_for).said is Said.PASSED
