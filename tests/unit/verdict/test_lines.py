# SPDX-License-Identifier: GPL-2.0-only
"""What terminals, consoles and the kernel's log put around the lines of somebody else's report."""

import time

import pytest

from rig.verdict import ktap, lines
from rig.verdict.ktap import KtapReport


def read(*text: str) -> list[str]:
    return [line for _, line in lines.read("".join(f"{line}\n" for line in text))]


def foreign(text: str) -> KtapReport:
    return ktap.parse(text, foreign=True)


@pytest.mark.parametrize(
    "line",
    [
        "\x1b[31mnot ok 2 b\x1b[0m",
        "\x1b[1;31mnot\x1b[0m ok 2 b",
        "\x1b]0;title\x07not ok 2 b",
        "\x1b(Bnot ok 2 b",
        "\x1b7not ok 2 b",
        "\tnot ok 2 b",
        " \t not ok 2 b",
        "\x00not ok 2 b",
        "\b\b\bnot ok 2 b",
        "\ufeffnot ok 2 b",
        "\udcffnot ok 2 b",
        "not\x00 ok 2 b",
        "50 %\rnot ok 2 b",
        "not ok 2 b\r",
        "not ok\t2\tb",
        "not ok 2 - b",
    ],
)
@pytest.mark.parametrize("plan", ["1..2\n", ""])
def test_a_result_is_seen_behind(line: str, plan: str) -> None:
    report = foreign(f"TAP version 13\n{plan}ok 1 a\n{line}\n")
    assert [(test.name, test.ok) for test in report.tests] == [("a", True), ("b", False)]
    assert report.problems == ()


@pytest.mark.parametrize(
    "stamp",
    [
        "[    1.000000] ",
        "[12345.678901] ",
        "[    1.000000][    T1] ",
        "[    1.000000][   C12] ",
        "<6>[    1.000000] ",
        "Nov 28 00:37:21 host kernel: ",
        "ttyS0| ",
        "# ",
    ],
)
def test_a_report_behind_a_prefix(stamp: str) -> None:
    text = ("1..2", "    # Subtest: s", "    1..1", "    ok 1 a", "ok 1 s", "not ok 2 b")
    stamped = "".join(f"{stamp}{line}\n" for line in ("KTAP version 1", *text))
    report = foreign(f"Booting\n{stamped}")
    assert [(test.name, test.ok) for test in report.tests] == [("s", True), ("b", False)]
    assert [test.name for test in report.tests[0].subtests] == ["a"]
    assert report.problems == ()


def test_stamps_of_any_width_and_lines_without() -> None:
    text = "[    9.999999] KTAP version 1\nfoo\n[100000.000000] 1..1\n[ 100000.100000] not ok 1 a\n"
    assert [test.ok for test in foreign(text).tests] == [False]
    assert [test.ok for test in foreign(text.partition("foo\n")[2]).tests] == [False], "no version"


def test_a_prefix_with_a_time_in_it() -> None:
    text = "Nov 28 00:37:21 KTAP version 1\nNov 28 00:37:22 1..1\nNov 28 00:37:23 not ok 1 a\n"
    assert [test.ok for test in foreign(text).tests] == [False]


def test_the_kernels_lines_are_no_report_where_there_is_another() -> None:
    assert read("TAP version 13", "[    1.000000] foo") == ["TAP version 13", "[    1.000000] foo"]
    report = foreign("TAP version 13\n1..1\n[    1.000000] kunit: TAP version 14\nok 1 a\n")
    assert ([test.name for test in report.tests], report.problems) == (["a"], ())


@pytest.mark.parametrize(
    "line",
    [
        "[   12.345678] foonot ok 2 b",
        "[   12.345678] not ok 2 b",
        "foo: not ok 2 b",
        "....not ok 2 - b",
        "\x1b]0;no end not ok 2 b",
        "x" * 5000 + "not ok 2 b",
        "# foonot ok 2 b",
        "foo NOT OK 2",
        "ok 2 bnot ok 3 c",
        "not ok: b",
        "not [   12.345678] foo",
        "not o[   12.345678] foo",
        "not ok[   12.345678] foo",
        "not",
        "1..[   12.345678] foo",
        "1..5 b",
        "fooBail out! b",
        "# fooBail out! b",
        "[   12.345678] ok 2 b",
        "(ok 2 b",
    ],
)
def test_a_torn_result_is_a_problem(line: str) -> None:
    (problem, *_) = foreign(f"TAP version 13\nok 1 a\n{line}\n").problems
    assert problem.startswith("line 3: a result in the middle of a line: ")
    assert len(problem) < 150


@pytest.mark.parametrize(
    "line",
    [
        *("# not ok 2 b", "# ok 2 b", "# # not ok 2", "#  1..2", "# Bail out! b", "#    ok 2 b"),
        *("took 2 s", "look 2", "it is not ok", "not supported", "nothing", "okay", "ok, 2 more"),
        *("0 of 2 not okay", "[   12.345678] took 2 ms", "# line not ok 7"),
    ],
)
def test_prose_and_the_reports_of_inner_programs_are_no_torn_results(line: str) -> None:
    report = foreign(f"TAP version 13\nok 1 a\n{line}\n")
    assert (len(report.tests), report.problems) == (1, ())


def test_prose_alone_may_say_ok() -> None:
    assert foreign("round (ok 1 of 3)\n").problems == ()


def test_control_characters_stay_visible_in_remarks() -> None:
    report = foreign("TAP version 13\n1..1\n7+\b\n# 8+\b\nok 1 a\n")
    assert report.tests[0].diagnostics == ("7+\\x08", "8+\\x08")


@pytest.mark.parametrize(
    "piece", ["\x1b[0", "\x1b]", "not ok", "ok 1", " \t", "# ", "\r", "a\r", "[ 1.0", "\tok 1\n"]
)
def test_no_input_takes_quadratic_time(piece: str) -> None:
    began = time.process_time()
    foreign(piece * (200_000 // len(piece)))
    assert time.process_time() - began < 5
