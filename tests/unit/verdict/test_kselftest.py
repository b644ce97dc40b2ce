# SPDX-License-Identifier: GPL-2.0-only
"""The rules for programs of the kernel's selftests, on real output and on made-up output."""

from pathlib import Path

import pytest

from rig.errors import ConfigError
from rig.verdict import kselftest, ktap
from rig.verdict.floors import Floor
from rig.verdict.kselftest import OUT_OF_TIME, PASSED, SKIP_STATUS, Known
from rig.verdict.rules import CaseResult, Outcome

DATA = Path(__file__).parents[2] / "data" / "ktap"
ENOUGH = (Floor(counter=PASSED, at_least=1),)
ARCHES = ("x86_64", "arm64")


def judged(
    text: str, status: int = 0, *known: Known, floors: tuple[Floor, ...] = ENOUGH
) -> CaseResult:
    report = ktap.parse(text, foreign=True)
    return kselftest.judge(report, "cow", floors, status, 1.5, known)


def output(*lines: str) -> str:
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
def test_the_results_that_passed_are_the_evidence(name: str, passed: int, skipped: int) -> None:
    result = golden(name)
    assert (result.outcome, result.reason) == (Outcome.PASS, "")
    assert (count(result, PASSED), count(result, "skipped")) == (passed, skipped)
    assert (count(result, "failed"), result.evidence, result.seconds) == (0, (), 1.5)


def test_a_program_that_skips_itself_is_skipped() -> None:
    result = golden("ksm_functional_tests", SKIP_STATUS)
    assert (result.outcome, count(result, "skipped")) == (Outcome.SKIP, 1)
    assert result.reason == 'open("/sys/kernel/mm/ksm/run") failed'
    result = golden("on-fault-limit")
    assert result.outcome is Outcome.SKIP, "it exits with 0, but nothing passed"
    assert result.reason == "The test must be run from a normal user"


def test_a_bail_out_is_a_failure_of_the_program() -> None:
    result = golden("pagemap_ioctl", 1)
    assert result.outcome is Outcome.FAIL
    assert result.reason == "uffd-test creation failed 38 Function not implemented: Bail out!"
    known = a_known("uffd-test creation failed 38 *")
    result = golden("pagemap_ioctl", 1, known)
    assert result.outcome is Outcome.PASS
    assert (count(result, PASSED), count(result, "known_failures")) == (53, 1)


def test_a_bail_out_that_sums_up_the_results_is_not_one_more_failure() -> None:
    """mkdirty of v7.2 ends like this."""
    text = output("1..2", "ok 1 a", "not ok 2 b", "Bail out! 1 out of 2 tests failed")
    assert judged(text, 1).evidence == ("b: not ok; no reason given",)
    assert judged(text, 1, a_known("b")).outcome is Outcome.PASS
    truncated = text.replace("1..2", "1..3")
    assert judged(truncated, 1, a_known("b")).reason == "1 out of 2 tests failed: Bail out!"
    assert judged(output("1..1", "ok 1 a", "Bail out! no"), 1).outcome is Outcome.FAIL


# What was not proven is never PASS


@pytest.mark.parametrize(
    ("text", "status", "outcome", "reason"),
    [
        (
            "TAP version 13\n1..5\n# starting\n",
            0,
            Outcome.INCONCLUSIVE,
            "passed 0, at least 1 needed: 5 tests planned, 0 reported",
        ),
        ("1..5\nstarting\n", 0, Outcome.INCONCLUSIVE, "passed 0, at least 1 needed: 5 tests "),
        ("TAP version 13\nstarting\n", 0, Outcome.INCONCLUSIVE, "passed 0, at least 1 needed"),
        ("TAP version 13\n1..1\n\x1b[31mnot ok 1 a\x1b[0m\n", 0, Outcome.FAIL, "a: not ok"),
        ("TAP version 13\n1..1\n\tnot ok 1 a\n", 0, Outcome.FAIL, "a: not ok"),
        (
            "TAP version 13\n1..1\n[   12.345678] foonot ok 1 a\n",
            0,
            Outcome.INCONCLUSIVE,
            "passed 0, at least 1 needed: line 3: a result in the middle of a line",
        ),
        (
            "[   12.345678] foonot ok 1 a\n",
            0,
            Outcome.INCONCLUSIVE,
            "passed 0, at least 1 needed: line 1: a result in the middle of a line",
        ),
        (
            "ok 1 a\n[   12.345678] foonot ok 2 b\n",
            0,
            Outcome.BROKEN,
            "the output is not valid KTAP: line 2: a result in the middle of a line",
        ),
        ("[ 1.000000] KTAP version 1\n[ 1.000000] not ok 1 a\n", 0, Outcome.FAIL, "a: not ok"),
        ("[ 1.000000] 1..1\n[ 1.000000] not ok 1 a\n", 0, Outcome.FAIL, "a: not ok"),
        ("TAP version 13\n1..1\nok 1 a # skip no root\n", 0, Outcome.SKIP, "no root"),
        ("TAP version 13\n1..1\nok 1 a # Skipped: no root\n", 0, Outcome.SKIP, "no root"),
        ("ok 1 a\nnot ok 2 b # todo later\n", 0, Outcome.FAIL, "b: todo later"),
        (
            "1..5\nok 1 a # SKIP no root\n",
            0,
            Outcome.INCONCLUSIVE,
            "passed 0, at least 1 needed: 5 tests planned, 1 reported",
        ),
        ("1..5\nok 1 a # SKIP no root\n", SKIP_STATUS, Outcome.SKIP, "no root"),
        ("1..5\n# no root\n", SKIP_STATUS, Outcome.SKIP, "no root"),
        ("1..1\nok 1 a\n", SKIP_STATUS, Outcome.SKIP, "exited with 4, after 1 results"),
        ("1..1\nok 1 a\n", 77, Outcome.FAIL, "cow: exited with 77, after 1 of 1 results"),
        ("ok 1 a\n", 77, Outcome.FAIL, "cow: exited with 77"),
        ("all fine\n", 77, Outcome.FAIL, "cow: exited with 77: all fine"),
        (
            "1..1\n  KTAP version 1\n  1..1\n  not ok 1 b\nok 1 a\n",
            0,
            Outcome.FAIL,
            "a: b: not ok",
        ),
        (
            "1..1\n  KTAP version 1\n  1..1\n  not ok 1 b\n",
            0,
            Outcome.FAIL,
            ": b: not ok",
        ),
        (
            "1..1\n  KTAP version 1\n  1..1\n  ok 1 b # SKIP\nok 1 a\n",
            0,
            Outcome.INCONCLUSIVE,
            "passed 0",
        ),
        (
            "1..2\nok 1 a\nok 2 b\n# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:0 error:0\n",
            0,
            Outcome.BROKEN,
            "the output is not valid KTAP: 1 failures in the totals that are not reported",
        ),
    ],
)
def test_what_was_not_proven_is_no_pass(
    text: str, status: int, outcome: Outcome, reason: str
) -> None:
    result = judged(text, status)
    assert result.outcome is outcome
    assert result.reason.startswith(reason)


@pytest.mark.parametrize(
    "text",
    [
        "TAP version 13\nok 1 a\nok 2 b\n",
        "ok 1 a\n",
        "KTAP version 2\n1..1\nok 1 a\n",
        "\tTAP version 13\n\t1..1\n\t\x1b[32mok\x1b[0m 1 a\r\n",
        "[ 1.000000] KTAP version 1\n[ 1.000000] 1..1\n[ 1.000000] ok 1 a\n",
        "TAP version 13\n1..1\n# selftests: mm: a\n# 1..1\n# not ok 1 x\nok 1 selftests: mm: a\n",
    ],
)
def test_what_ktap_allows_and_consoles_add_is_no_fault(text: str) -> None:
    assert judged(text).outcome is Outcome.PASS


# Failures


def test_a_result_that_is_not_ok_fails_the_case_and_all_are_kept() -> None:
    text = output("1..3", "ok 1 a", "# lost a write", "not ok 2 b", "not ok 3 c # with a reason")
    result = judged(text, 1)
    assert (result.outcome, result.reason) == (Outcome.FAIL, "b: lost a write (and 1 more)")
    assert result.evidence == ("b: lost a write", "c: with a reason")
    assert (count(result, PASSED), count(result, "failed")) == (1, 2)


def test_not_ok_fails_whatever_the_exit_status() -> None:
    assert judged(output("1..2", "ok 1 a", "not ok 2 b")).outcome is Outcome.FAIL


def test_expected_failures_do_not_count() -> None:
    text = output("1..3", "ok 1 a", "not ok 2 b # TODO later", "ok 3 # XFAIL c")
    result = judged(text)
    assert (result.outcome, count(result, PASSED)) == (Outcome.PASS, 1)


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (1, Outcome.FAIL, "cow: exited with 1, after 1 of 3 results: why not"),
        (OUT_OF_TIME, Outcome.FAIL, "cow: did not end in time, after 1 of 3 results"),
        (128 + 11, Outcome.FAIL, "cow: crashed with SIGSEGV, after 1 of 3 results"),
        (128 + 9, Outcome.BROKEN, "killed by SIGKILL from outside"),
        (0, Outcome.BROKEN, "the output is not valid KTAP: 3 tests planned, 1 reported"),
    ],
)
def test_a_program_that_ends_before_its_plan(status: int, outcome: Outcome, reason: str) -> None:
    result = judged(output("1..3", "ok 1 a", "# why not"), status)
    assert (result.outcome, result.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("text", "status", "outcome", "reason"),
    [
        ("", 127, "BROKEN", "exited with 127, a program was not run: it was not found"),
        ("", 126, "BROKEN", "exited with 126, a program was not run: it cannot be executed"),
        ("sh: cow: not found\n", 127, "BROKEN", "sh: cow: not found"),
        (output("1..2", "ok 1 a"), 127, "BROKEN", "exited with 127, a program was not run"),
        (output("1..1", "ok 1 a"), 126, "BROKEN", "exited with 126, a program was not run"),
        (output("1..1", "not ok 1 a"), 127, "FAIL", "a: not ok"),
        ("sh: cow: not found\n", 125, "FAIL", "exited with 125"),
    ],
)
def test_a_program_that_is_not_there_or_cannot_be_executed_shows_nothing(
    text: str, status: int, outcome: str, reason: str
) -> None:
    result = judged(text, status)
    assert result.outcome == outcome, result
    assert reason in result.reason
    known = judged(output("1..1", "not ok 1 a"), status, a_known("a"))
    assert known.outcome is (Outcome.FAIL if status == 125 else Outcome.BROKEN), known


def test_a_failure_counts_even_if_the_program_is_killed_later() -> None:
    assert judged(output("1..2", "not ok 1 a"), 128 + 9).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("lines", "status", "outcome", "reason"),
    [
        (("1..100", "ok 1 a", "not ok 2 b", "ok 3 c"), 1, Outcome.BROKEN, "100 tests planned"),
        (("1..3", "ok 1 a", "not ok 2 b", "ok 9 c"), 1, Outcome.BROKEN, "test number 9"),
        (("1..2", "ok 1 a", "not ok 2 b", "foonot ok 3"), 1, Outcome.BROKEN, "a result in the mid"),
        (("ok 1 a", "not ok 2 b"), 1, Outcome.INCONCLUSIVE, "exited with 1, without a plan"),
        (("1..2", "ok 1 a", "not ok 2 b"), 77, Outcome.FAIL, "cow: exited with 77"),
        (("1..2", "ok 1 a", "not ok 2 b"), SKIP_STATUS, Outcome.SKIP, "exited with 4"),
        (("ok 1 a", "not ok 2 b"), 0, Outcome.PASS, ""),
        (("1..2", "ok 1 a", "not ok 2 b"), 1, Outcome.PASS, ""),
        (("1..9", "ok 1 a", "Bail out! b"), 1, Outcome.PASS, ""),
        (("1..9", "ok 1 a", "Bail out! b", "ok 2 c"), 1, Outcome.BROKEN, "a result after"),
        (("1..9", "ok 1 a", "Bail out! b", "not ok 2 c"), 1, Outcome.FAIL, "c: not ok"),
        (("1..9", "ok 3 a", "Bail out! b"), 1, Outcome.BROKEN, "test number 3"),
    ],
)
def test_a_known_failure_excuses_nothing_else(
    lines: tuple[str, ...], status: int, outcome: Outcome, reason: str
) -> None:
    result = judged(output(*lines), status, a_known("b"))
    assert result.outcome is outcome
    assert reason in result.reason


def test_a_known_end_explains_missing_results_and_nothing_else() -> None:
    torn = "1..9\nok 1 a\nok 2"
    assert judged(torn, OUT_OF_TIME, a_known("cow")).outcome is Outcome.PASS
    assert judged(torn, 128 + 11, a_known("cow")).outcome is Outcome.PASS
    disorder = judged("1..9\nok 1 a\nok 3 c\n", OUT_OF_TIME, a_known("cow"))
    assert disorder.reason == "the output is not valid KTAP: line 3: test number 3, expected 2"
    nested = judged("1..9\nok 1 a\n\t# Subtest: s\n\t1..3\n\tok 1 b\n", 1, a_known("cow"))
    assert nested.outcome is Outcome.PASS


# No results


@pytest.mark.parametrize(
    ("text", "status", "outcome", "reason"),
    [
        ("Testing a... done\n", 0, Outcome.PASS, ""),
        ("Testing a... \nERROR: lost\n", 1, Outcome.FAIL, "cow: exited with 1: ERROR: lost"),
        ("Testing a... \n", 128 + 11, Outcome.FAIL, "cow: crashed with SIGSEGV"),
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
        output("1..2", "ok 1 a", "ok 2 # SKIP b"), floors=(Floor(counter=PASSED, at_least=2),)
    )
    assert (result.outcome, result.reason) == (
        Outcome.INCONCLUSIVE,
        "passed 1, at least 2 needed",
    )


# Known failures


def test_a_known_failure_does_not_fail_the_case_and_another_does() -> None:
    text = output("1..3", "ok 1 a", "not ok 2 b of 64 kB", "not ok 3 c")
    result = judged(text, 1, a_known("b of * kB"), a_known("c"))
    assert (result.outcome, count(result, "known_failures")) == (Outcome.PASS, 2)
    assert (result.evidence, result.diagnostics) == ((), ())
    result = judged(text, 1, a_known("b of * kB"))
    assert (result.outcome, result.evidence) == (Outcome.FAIL, ("c: not ok; no reason given",))


def test_known_failures_alone_prove_nothing() -> None:
    assert judged(output("1..1", "not ok 1 b"), 1, a_known("b")).outcome is Outcome.INCONCLUSIVE


def test_a_known_failure_of_one_result_does_not_excuse_a_crash() -> None:
    text = output("1..3", "ok 1 a", "not ok 2 b")
    assert judged(text, 128 + 11, a_known("b")).outcome is Outcome.FAIL
    assert judged(text, OUT_OF_TIME, a_known("b")).outcome is Outcome.FAIL
    assert judged(text, OUT_OF_TIME, a_known("b"), a_known("cow")).outcome is Outcome.PASS


def test_a_known_failure_that_passes_is_output() -> None:
    text = output("1..2", "ok 1 a", "ok 2 b")
    result = judged(text, 0, a_known("b"))
    assert (result.outcome, count(result, "known_that_pass")) == (Outcome.PASS, 1)
    assert result.diagnostics == ("known failure passes: b (a reason)",)
    assert count(judged(text, 0, a_known("b", sometimes=True)), "known_that_pass") == 0
    assert count(judged(text, 0, a_known("absent")), "known_that_pass") == 0
    partly = output("1..2", "ok 1 b of 32 kB", "not ok 2 b of 64 kB")
    assert count(judged(partly, 1, a_known("b of * kB")), "known_that_pass") == 0, "not all of them"
    program = judged(text, 0, a_known("cow"))
    assert count(program, "known_that_pass") == 1, "named like the case: all of the program"


# The list


LIST = """
[[known]]
case = "cow"
result = "b of * kB"
why = "no hugetlb"
on = ["arm64"]
"""


def test_the_list() -> None:
    (failure,) = kselftest.load(LIST, "v6.12.toml", ["cow"], ARCHES)
    assert failure == Known(case="cow", result="b of * kB", why="no hugetlb", on=("arm64",))
    assert failure.applies("cow", "arm64")
    assert not failure.applies("cow", "x86_64")
    assert not failure.applies("merge", "arm64")
    assert a_known("b").applies("cow", "x86_64"), "on every architecture"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[known]]", "[[known", "v6.12.toml is not a list of known failures"),
        ("why =", "because =", "v6.12.toml is not a list of known failures"),
        ('["arm64"]', '"arm64"', "v6.12.toml is not a list of known failures"),
        ('"arm64"', '"arm65"', "unknown architecture: arm65"),
        ('"cow"', '"crow"', "there is no case named crow"),
        ('"no hugetlb"', '" "', "needs a name and a reason"),
        ('"b of * kB"', '"*"', "needs a name and a reason"),
    ],
)
def test_a_malformed_list(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kselftest.load(LIST.replace(old, new), "v6.12.toml", ["cow"], ARCHES)
