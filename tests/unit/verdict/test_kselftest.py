# SPDX-License-Identifier: GPL-2.0-only
"""The rule for programs of the kernel's selftests, on real output and on what may yet come."""

from pathlib import Path

import pytest

from rig.errors import ConfigError
from rig.verdict import kselftest, ktap
from rig.verdict.kselftest import OUT_OF_TIME, PASSED, SKIP_STATUS, Known
from rig.verdict.rules import CaseResult, Floor, Outcome

DATA = Path(__file__).parents[2] / "data" / "ktap"
ENOUGH = (Floor(counter=PASSED, at_least=1),)
ARCHES = ("x86_64", "arm64")


def judged(
    text: str, status: int = 0, *known: Known, floors: tuple[Floor, ...] = ENOUGH
) -> CaseResult:
    report = ktap.parse(text, foreign=True)
    return kselftest.judge(report, "cow", floors, status, 1.5, known)


def said(*lines: str) -> str:
    return "".join(f"{line}\n" for line in ("TAP version 13", *lines))


def golden(name: str, status: int = 0, *known: Known) -> CaseResult:
    return judged((DATA / f"kselftest_mm-{name}.txt").read_text(), status, *known)


def count(result: CaseResult, counter: str) -> int:
    return dict(result.counters).get(counter, 0)


def a_known(result: str, *, sometimes: bool = False) -> Known:
    return Known(case="cow", result=result, why="a reason", sometimes=sometimes)


# Real output


@pytest.mark.parametrize(
    ("name", "passed", "skipped"),
    [
        ("mdwe_test", 32, 4),
        ("mkdirty", 6, 0),
        ("mremap_test", 16, 0),
        ("soft-dirty", 15, 0),
        ("uffd-stress-anon", 1, 0),
    ],
)
def test_what_passed_is_the_evidence(name: str, passed: int, skipped: int) -> None:
    result = golden(name)
    assert (result.outcome, result.reason) == (Outcome.PASS, "")
    assert (count(result, PASSED), count(result, "skipped")) == (passed, skipped)
    assert (count(result, "failed"), result.evidence, result.seconds) == (0, (), 1.5)


def test_a_program_that_skips_itself_is_skipped() -> None:
    result = golden("ksm_functional_tests", SKIP_STATUS)
    assert (result.outcome, count(result, "skipped")) == (Outcome.SKIP, 1)
    assert result.reason == 'open("/sys/kernel/mm/ksm/run") failed'
    result = golden("on-fault-limit")
    assert result.outcome is Outcome.SKIP, "though it exits with 0: nothing passed"
    assert result.reason == "The test must be run from a normal user"


def test_a_bail_out_is_a_failure_of_the_program() -> None:
    result = golden("pagemap_ioctl", 1)
    assert result.outcome is Outcome.FAIL
    assert result.reason == "uffd-test creation failed 38 Function not implemented: Bail out!"
    known = a_known("uffd-test creation failed 38 *")
    result = golden("pagemap_ioctl", 1, known)
    assert result.outcome is Outcome.PASS
    assert (count(result, PASSED), count(result, "known_failures")) == (53, 1)


def test_a_bail_out_that_sums_up_is_none() -> None:
    """As mkdirty of v7.2 ends."""
    text = said("1..2", "ok 1 a", "not ok 2 b", "Bail out! 1 out of 2 tests failed")
    assert judged(text, 1).evidence == ("b: not ok, without a word why",)
    assert judged(text, 1, a_known("b")).outcome is Outcome.PASS
    cut = text.replace("1..2", "1..3")
    assert judged(cut, 1, a_known("b")).reason == "1 out of 2 tests failed: Bail out!"
    assert judged(said("1..1", "ok 1 a", "Bail out! no"), 1).outcome is Outcome.FAIL


# What went wrong


def test_one_result_that_is_not_ok_fails_the_case_and_all_are_kept() -> None:
    text = said("1..3", "ok 1 a", "# lost a write", "not ok 2 b", "not ok 3 c # with a reason")
    result = judged(text, 1)
    assert (result.outcome, result.reason) == (Outcome.FAIL, "b: lost a write (and 1 more)")
    assert result.evidence == ("b: lost a write", "c: with a reason")
    assert (count(result, PASSED), count(result, "failed")) == (1, 2)


def test_not_ok_fails_whatever_the_exit_status() -> None:
    assert judged(said("1..2", "ok 1 a", "not ok 2 b")).outcome is Outcome.FAIL


def test_failures_that_are_expected_are_none() -> None:
    text = said("1..3", "ok 1 a", "not ok 2 b # TODO later", "ok 3 # XFAIL c")
    result = judged(text)
    assert (result.outcome, count(result, PASSED)) == (Outcome.PASS, 1)


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (1, Outcome.FAIL, "cow: exited with 1, after 1 of 3 results: why not"),
        (OUT_OF_TIME, Outcome.FAIL, "cow: did not end in time, after 1 of 3 results"),
        (128 + 11, Outcome.FAIL, "cow: died of SIGSEGV, after 1 of 3 results"),
        (128 + 9, Outcome.BROKEN, "was killed (SIGKILL), not by itself"),
        (0, Outcome.BROKEN, "the output is no sound KTAP: 3 tests planned, 1 reported"),
    ],
)
def test_an_end_before_the_plans(status: int, outcome: Outcome, reason: str) -> None:
    result = judged(said("1..3", "ok 1 a", "# why not"), status)
    assert (result.outcome, result.reason) == (outcome, reason)


def test_what_was_seen_is_not_unseen_when_it_is_killed() -> None:
    assert judged(said("1..2", "not ok 1 a"), 128 + 9).outcome is Outcome.FAIL


# No results


@pytest.mark.parametrize(
    ("text", "status", "outcome", "reason"),
    [
        ("Testing a... done\n", 0, Outcome.PASS, ""),
        ("Testing a... \nERROR: lost\n", 1, Outcome.FAIL, "cow: exited with 1: ERROR: lost"),
        ("Testing a... \n", 128 + 11, Outcome.FAIL, "cow: died of SIGSEGV"),
        ("no userfaultfd\n", SKIP_STATUS, Outcome.SKIP, "no userfaultfd"),
        ("", 0, Outcome.INCONCLUSIVE, "passed 0, at least 1 needed"),
        ("", SKIP_STATUS, Outcome.SKIP, "no reason given"),
        ("", 1, Outcome.FAIL, "cow: exited with 1"),
        ("TAP version 13\n1..0 # SKIP no KSM\n", SKIP_STATUS, Outcome.SKIP, "no KSM"),
        ("TAP version 13\n1..0\n", 0, Outcome.INCONCLUSIVE, "passed 0, at least 1 needed"),
    ],
)
def test_a_program_without_results_has_its_exit_status(
    text: str, status: int, outcome: Outcome, reason: str
) -> None:
    result = judged(text, status)
    assert (result.outcome, result.reason) == (outcome, reason)


def test_fewer_than_the_floor_prove_nothing() -> None:
    result = judged(
        said("1..2", "ok 1 a", "ok 2 # SKIP b"), floors=(Floor(counter=PASSED, at_least=2),)
    )
    assert (result.outcome, result.reason) == (
        Outcome.INCONCLUSIVE,
        "passed 1, at least 2 needed",
    )


# Known failures


def test_a_known_failure_fails_nothing_and_another_does() -> None:
    text = said("1..3", "ok 1 a", "not ok 2 b of 64 kB", "not ok 3 c")
    result = judged(text, 1, a_known("b of * kB"), a_known("c"))
    assert (result.outcome, count(result, "known_failures")) == (Outcome.PASS, 2)
    assert (result.evidence, result.diagnostics) == ((), ())
    result = judged(text, 1, a_known("b of * kB"))
    assert (result.outcome, result.evidence) == (Outcome.FAIL, ("c: not ok, without a word why",))


def test_nothing_but_known_failures_proves_nothing() -> None:
    assert judged(said("1..1", "not ok 1 b"), 1, a_known("b")).outcome is Outcome.INCONCLUSIVE


def test_a_known_failure_of_one_result_does_not_excuse_a_crash() -> None:
    text = said("1..3", "ok 1 a", "not ok 2 b")
    assert judged(text, 128 + 11, a_known("b")).outcome is Outcome.FAIL
    assert judged(text, OUT_OF_TIME, a_known("b")).outcome is Outcome.FAIL
    assert judged(text, OUT_OF_TIME, a_known("b"), a_known("cow")).outcome is Outcome.PASS


def test_a_known_failure_that_passes_is_said() -> None:
    text = said("1..2", "ok 1 a", "ok 2 b")
    result = judged(text, 0, a_known("b"))
    assert (result.outcome, count(result, "known_that_pass")) == (Outcome.PASS, 1)
    assert result.diagnostics == ("known failure passes: b (a reason)",)
    assert count(judged(text, 0, a_known("b", sometimes=True)), "known_that_pass") == 0
    assert count(judged(text, 0, a_known("absent")), "known_that_pass") == 0
    some = said("1..2", "ok 1 b of 32 kB", "not ok 2 b of 64 kB")
    assert count(judged(some, 1, a_known("b of * kB")), "known_that_pass") == 0, "not all of them"
    whole = judged(text, 0, a_known("cow"))
    assert count(whole, "known_that_pass") == 1, "named like the case: all of the program"


# The list


LIST = """
[[known]]
case = "cow"
result = "b of * kB"
why = "no hugetlb"
on = ["arm64"]
"""


def test_the_list() -> None:
    (one,) = kselftest.load(LIST, "v6.12.toml", ["cow"], ARCHES)
    assert one == Known(case="cow", result="b of * kB", why="no hugetlb", on=("arm64",))
    assert one.applies("cow", "arm64")
    assert not one.applies("cow", "x86_64")
    assert not one.applies("merge", "arm64")
    assert a_known("b").applies("cow", "x86_64"), "on every architecture"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[[known]]", "[[known", "v6.12.toml is no list of known failures"),
        ("why =", "because =", "v6.12.toml is no list of known failures"),
        ('["arm64"]', '"arm64"', "v6.12.toml is no list of known failures"),
        ('"arm64"', '"arm65"', "arm65 is no architecture"),
        ('"cow"', '"crow"', "knows a failure of crow, which is no case"),
        ('"no hugetlb"', '" "', "lacks a name or a reason"),
        ('"b of * kB"', '"*"', "lacks a name or a reason"),
    ],
)
def test_a_list_that_is_none(old: str, new: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        kselftest.load(LIST.replace(old, new), "v6.12.toml", ["cow"], ARCHES)
