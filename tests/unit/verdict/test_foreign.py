# SPDX-License-Identifier: GPL-2.0-only
"""Reports of others: nested as KUnit and TAP 14 do it, without plans, and what is missing in them.

tests/kernel/test_kunit_parser.py compares the counts with those of the kernel's own parser.
"""

import pytest

from rig.verdict import ktap
from rig.verdict.ktap import KtapReport
from rig.verdict.resultline import Counts, KtapTest


def foreign(*lines: str) -> KtapReport:
    return ktap.parse("".join(f"{line}\n" for line in lines), foreign=True)


def tree(tests: tuple[KtapTest, ...]) -> list[object]:
    return [[test.name, *tree(test.subtests)] if test.subtests else test.name for test in tests]


def test_kunit_indents_by_tabs_or_blanks_and_has_version_lines_or_not() -> None:
    for indent in ("\t", "    ", "  "):
        for header in (("# Subtest: s",), ("KTAP version 1",), ("KTAP version 1", "# Subtest: s")):
            subtests = (*header, "1..2", "ok 1 - a", "# module: m", "not ok 2 b # why")
            report = foreign(
                *("KTAP version 1", "1..2", "ok 1 first"),
                *(indent + line for line in subtests),
                *("# s: pass:1 fail:1", "not ok 2 - s"),
            )
            assert tree(report.tests) == ["first", ["s", "a", "b"]]
            assert (report.problems, report.counts) == ((), Counts(passed=2, failed=1))


def test_the_subtests_of_tap_14() -> None:
    report = foreign("TAP version 14", "1..1", "# Subtest: s", "    1..1", "    ok 1 a", "ok 1 s")
    assert (tree(report.tests), report.problems) == ([["s", "a"]], ())
    assert report.counts == Counts(passed=1)


def test_subtests_announced_by_their_plan_alone() -> None:
    report = foreign("TAP version 13", "1..1", "  1..1", "  ok 1 a", "ok 1 s")
    assert (tree(report.tests), report.problems) == ([["s", "a"]], ())


def test_lines_of_subtests_need_not_be_indented_alike() -> None:
    """kunit_parser.py reads the headers, not the indentation."""
    report = foreign(
        "KTAP version 1", "1..1", "  KTAP version 1", "  1..1", "     ok 1 a", "ok 1 s"
    )
    assert (tree(report.tests), report.problems) == ([["s", "a"]], ())
    between = ("\t# Subtest: s", "\t1..2", "\tok 1 a", "# noise", "noise", "\tok 2 b", "ok 1 s")
    report = foreign("KTAP version 1", "1..1", *between)
    assert (tree(report.tests), report.problems) == ([["s", "a", "b"]], ())


def test_a_result_that_is_indented_without_a_header_is_one_of_its_report() -> None:
    report = foreign("TAP version 13", "1..1", "\tnot ok 1 a")
    assert [(test.name, test.ok) for test in report.tests] == [("a", False)]


def test_a_report_that_is_indented_as_a_whole() -> None:
    report = foreign(
        "Booting", " TAP version 14", " 1..1", " \t# Subtest: s", " \tok 1 a", " ok 1 s"
    )
    assert (tree(report.tests), report.problems) == ([["s", "a"]], ())


def test_a_test_without_a_result_line() -> None:
    head = ("KTAP version 1", "1..2", "\t# Subtest: s", "\t1..3", "\tok 1 a")
    report = foreign(*head, "Kernel panic - not syncing: foo")
    assert tree(report.tests) == [["s", "a"]]
    assert not report.tests[0].printed and not report.tests[0].failed
    assert report.problems == report.unfinished
    assert report.problems == (
        "3 tests planned, 1 reported",
        "the test 's' has no result line",
        "2 tests planned, 1 reported",
    )
    assert report.counts == Counts(passed=1, crashed=3, errors=4)
    report = foreign(*head, "\t# Subtest: t", "\tok 1 b", "ok 2 t")
    assert tree(report.tests) == [["s", "a"], ["t", "b"]]
    assert "line 6: the test 's' has no result line" in report.problems


def test_a_test_whose_subtests_were_not_run() -> None:
    head = ("KTAP version 1", "1..1")
    for lines in (("  # Subtest: s",), ("  KTAP version 1", "  # Subtest: s", "  1..0")):
        report = foreign(*head, *lines, "ok 1 s")
        assert report.problems == (f"line {3 + len(lines)}: no subtest of 's' was run",)
        assert report.counts == Counts(errors=1)


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        (("ok 1 a", "not ok 2 b", "ok 3 c # SKIP"), Counts(passed=1, failed=1, skipped=1)),
        (("1..5", "ok 1 a"), Counts(passed=1, crashed=4, errors=4)),
        (("ok 2 a",), Counts(passed=1, errors=1)),
        (("1..0",), Counts(errors=1)),
        ((), Counts(errors=1)),
        (("  # Subtest: s", "  ok 1 a", "not ok 1 s"), Counts(passed=1, failed=1)),
        (("  # Subtest: s", "  not ok 1 a", "not ok 1 s"), Counts(failed=1)),
        (("  # Subtest: s", "  not ok 1 a", "ok 1 s"), Counts(failed=1)),
        (("  # Subtest: s", "  ok 1 a # SKIP", "ok 1 s # SKIP"), Counts(skipped=1)),
        (("  # Subtest: s", "ok 1 s # SKIP"), Counts(skipped=1, errors=1)),
    ],
)
def test_counts(lines: tuple[str, ...], counts: Counts) -> None:
    assert foreign("KTAP version 1", *lines).counts == counts


@pytest.mark.parametrize(
    ("totals", "problem"),
    [
        ("pass:1 fail:1", ()),
        ("pass:0 fail:1", ()),
        ("pass:2 fail:1", ("3 results in the totals, 2 reported",)),
        ("pass:0 fail:2", ("2 failures in the totals that are not reported",)),
    ],
)
def test_the_totals_of_kselftest_h_count_what_is_lost(
    totals: str, problem: tuple[str, ...]
) -> None:
    """A child's results are not in them, so fewer are no problem."""
    line = f"# Totals: {totals} xfail:0 xpass:0 skip:0 error:0"
    assert foreign("TAP version 13", "ok 1 a", "not ok 2 b", line).problems == problem
    inner = f"# {line}"
    assert foreign("TAP version 13", "ok 1 a", inner).problems == (), "another program's"


def test_results_after_a_bail_out_are_read() -> None:
    report = foreign("TAP version 13", "1..3", "ok 1 a", "Bail out! no", "# foo", "not ok 2 b")
    assert report.bail_out == "no"
    assert [test.name for test in report.tests] == ["a", "b"]
    assert report.problems == ("line 6: a result after `Bail out!`",)
    assert foreign("Bail out! no", "not ok 1 b").tests[0].name == "b"


def test_what_a_report_without_results_says() -> None:
    for line in ("TAP version 13", "1..5", "Bail out!"):
        assert foreign(line).announced
    assert not foreign("prose").announced
    assert foreign("prose").problems == ()
    assert ktap.parse("prose", foreign=True).problems == (), "no newline"
