# SPDX-License-Identifier: GPL-2.0-only
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from rig.verdict import ktap
from rig.verdict.ktap import Directive, KtapReport

DATA = Path(__file__).parents[2] / "data" / "ktap"
GOLDEN = sorted(DATA.glob("*.txt"))


def read(path: Path) -> KtapReport:
    foreign = path.stem.startswith("kselftest_mm-")
    return ktap.parse(path.read_bytes().decode(errors="surrogateescape"), foreign=foreign)


def only(*lines: str) -> KtapReport:
    return ktap.parse("".join(f"{line}\n" for line in ("KTAP version 1", *lines)))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    """Each .txt is the output of a program; the .json beside it is what must be parsed from it."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(asdict(read(path)))) == expected


def test_every_expectation_has_its_input() -> None:
    assert {path.stem for path in DATA.glob("*.json")} == {path.stem for path in GOLDEN}
    assert len(GOLDEN) >= 20


@pytest.mark.parametrize(
    "name",
    [
        *("ok", "not-ok", "skip", "bail-out", "crlf", "console", "nested", "directives", "flood"),
        *("kselftest-mremap_dontunmap", "kselftest-sas", "kselftest-nanosleep"),
        *(path.stem for path in GOLDEN if path.stem.startswith("guest-")),
    ],
)
def test_valid_output_has_no_problem(name: str) -> None:
    assert read(DATA / f"{name}.txt").problems == ()


def test_our_protocol() -> None:
    (test,) = read(DATA / "not-ok.txt").tests
    assert (test.number, test.name, test.ok) == (1, "anon_lost_write", False)
    assert test.counters == (("writes", 1400000), ("pswpout", 12345))
    assert test.evidence[0] == "page 17: CPU 2 wrote 42, read back 41"
    assert test.diagnostics == (
        "anon_lost_write: 4 writers, 64 pages, seed 7",
        "3 more not printed",
    )


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (("ok 1 a",), "no plan"),
        (("1..2", "ok 1 a"), "2 tests planned, 1 reported"),
        (("1..1", "ok 1 a", "ok 2 b"), "1 tests planned, 2 reported"),
        (("1..2", "ok 1 a", "ok 3 b"), "line 4: test number 3, expected 2"),
        (("1..1", "ok 0 a"), "line 3: test number 0, expected 1"),
        (("1..2", "ok 1 a", "ok 2 a"), "line 4: two results of 'a'"),
        (("1..1", "ok a"), "line 3: the result of 'a' has no number"),
        (("1..1", "# counter x 1", "# counter x 1", "ok 1 a"), "line 4: two values of counter x"),
        (("1..1", "# counter x -1", "ok 1 a"), "line 3: malformed counter: 'counter x -1'"),
        (("1..1", "# counter X 1", "ok 1 a"), "line 3: malformed counter: 'counter X 1'"),
        (("1..1", "# counter x 1.5", "ok 1 a"), "line 3: malformed counter: 'counter x 1.5'"),
        (("1..1", "# counter x ٣", "ok 1 a"), "line 3: malformed counter: 'counter x ٣'"),
        (("1..1", "# counter", "ok 1 a"), "line 3: malformed counter: 'counter'"),
        (("1..1", "ok 1 a", "# counter x 1"), "counters or evidence without a result line"),
        (("1..1", "ok 1 a", "# evidence x"), "counters or evidence without a result line"),
        (("1..1", "okay", "ok 1 a"), "line 3: not KTAP: 'okay'"),
        (("1..1", "Segmentation fault", "ok 1 a"), "line 3: not KTAP: 'Segmentation fault'"),
        (("1..1", "1..1", "ok 1 a"), "line 3: a second plan"),
        (("1..1", "ok 1 a", "KTAP version 1"), "line 4: a version line after other lines"),
        (("KTAP version 1", "1..1", "ok 1 a"), "line 2: a version line after other lines"),
        (("1..1", "ok 1 a # TIMEOUT 3 s"), "line 3: 'a' is ok, but has the directive TIMEOUT"),
        (("1..1", "ok 1 a # ERROR fork"), "line 3: 'a' is ok, but has the directive ERROR"),
        (("1..1", "  KTAP version 1", "  1..1", "  ok 1 b"), "subtests without a result line"),
        (
            ("1..1", "  KTAP version 1", "  1..1", "  not ok 1 b", "ok 1 a"),
            "line 6: 'a' is ok, but its subtest 'b' is not",
        ),
        (("1..1", "  KTAP version 1", "  ok 1 b", "ok 1 a"), "line 5: no plan"),
        (("1..1", "  1..1", "  ok 1 b", "ok 1 a"), "line 5: no version line"),
    ],
)
def test_a_problem_is_named_and_is_the_only_one(lines: tuple[str, ...], problem: str) -> None:
    report = only(*lines)
    matching = [text for text in report.problems if text.startswith(problem)]
    assert len(matching) == 1
    expected_side_effect = problem.startswith("subtests")
    assert len(report.problems) == 1 + expected_side_effect


def test_a_version_line_is_required() -> None:
    assert ktap.parse("1..1\nok 1 a\n").problems == ("no version line",)
    assert ktap.parse("KTAP version 2\n1..1\nok 1 a\n").problems[-1] == "no version line"
    late = ktap.parse("1..1\nKTAP version 1\nok 1 a\n")
    assert late.problems == ("line 2: a version line after other lines",)
    for version in ("KTAP version 1", "TAP version 13", "TAP version 14"):
        assert ktap.parse(f"{version}\n1..1\nok 1 a\n").problems == ()


def test_a_missing_last_newline_is_a_problem_as_a_name_may_be_cut() -> None:
    report = ktap.parse("KTAP version 1\n1..1\nok 1 anon_lo")
    assert report.problems == ("line 3: the last line has no newline: the output is truncated",)


def test_the_plan_may_come_last() -> None:
    assert only("ok 1 a", "1..1").problems == ()


def test_all_skipped_in_the_plan() -> None:
    report = only("1..0 # SKIP no swap")
    assert (report.skip, report.plan, report.tests, report.problems) == ("no swap", 0, (), ())
    assert only("1..0").skip is None


@pytest.mark.parametrize("word", ["SKIP", "skip", "Skipped:", "SKIPPED"])
def test_all_skipped_as_old_kselftest_h_prints_it(word: str) -> None:
    assert only(f"1..0 # {word} no swap").skip == "no swap"


def test_a_plan_may_have_a_remark() -> None:
    report = only("1..1 # of 3", "ok 1 a")
    assert (report.plan, report.skip, report.problems) == (1, None, ())


def test_nothing_is_read_after_a_bail_out() -> None:
    report = only("1..3", "ok 1 a", "bail out!  no swap ", "not ok 2 b", "garbage")
    assert report.bail_out == "no swap"
    assert [test.name for test in report.tests] == ["a"]
    assert report.problems == ()
    assert only("1..1", "ok 1 a").bail_out is None


def test_the_lines_before_a_crash_are_kept() -> None:
    report = read(DATA / "crashed.txt")
    assert report.tests == ()
    assert "evidence page 3: CPU 1 wrote 7, read back 0" in report.diagnostics
    assert report.problems != ()


@pytest.mark.parametrize(
    ("line", "name", "directive", "reason"),
    [
        ("ok 1 a b # SKIP c d", "a b", Directive.SKIP, "c d"),
        ("ok 1 - a", "a", None, ""),
        ("ok 1 a-b - c", "a-b - c", None, ""),
        ("ok 1", "", None, ""),
        ("ok 1 # SKIP", "", Directive.SKIP, ""),
        ("ok 1 a # rcode=0", "a", None, "rcode=0"),
        ("ok 1 a # skip lower case is TAP's", "a", Directive.SKIP, "lower case is TAP's"),
        ("ok 1 a #Skip", "a", Directive.SKIP, ""),
        ("ok 1 a # Skipped: no root", "a", Directive.SKIP, "no root"),
        ("ok 1 page #3 # SKIP no root", "page", Directive.SKIP, "no root"),
        ("ok 1 page #3 is fine", "page", None, "3 is fine"),
        ("ok 1 SKIP_FLAG works", "SKIP_FLAG works", None, ""),
        ("not ok 1 a # todo later", "a", None, "todo later"),
        ("not ok 1 # error no memory", "", None, "error no memory"),
        ("not ok 1 a # TIMEOUT: 30 s", "a", Directive.TIMEOUT, "30 s"),
    ],
)
def test_result_lines(line: str, name: str, directive: Directive | None, reason: str) -> None:
    report = only("1..1", line)
    (test,) = report.tests
    assert (test.name, test.directive, test.reason) == (name, directive, reason)
    assert report.problems == ()


@pytest.mark.parametrize(
    ("line", "failed"),
    [
        ("ok 1 a", False),
        ("not ok 1 a", True),
        ("not ok 1 a # SKIP", False),
        ("not ok 1 a # TODO", False),
        ("not ok 1 a # XFAIL", False),
        ("not ok 1 a # ERROR", True),
    ],
)
def test_failed(line: str, failed: bool) -> None:
    assert only("1..1", line).tests[0].failed is failed


def test_counters_and_evidence_belong_to_the_next_result_only() -> None:
    report = only("1..2", "# counter x 1", "# evidence e", "# d", "not ok 1 a", "ok 2 b")
    first, second = report.tests
    assert (first.counters, first.evidence, first.diagnostics) == ((("x", 1),), ("e",), ("d",))
    assert (second.counters, second.evidence, second.diagnostics) == ((), (), ())
    assert report.diagnostics == ()


def test_late_diagnostics_go_to_the_last_test() -> None:
    report = only("1..1", "# before", "ok 1 a", "# Totals: pass:1")
    assert report.tests[0].diagnostics == ("before", "Totals: pass:1")


def test_depth_is_bounded() -> None:
    lines = [f"{'  ' * depth}KTAP version 1" for depth in range(1, 400)]
    report = only("1..1", *lines)
    assert f"line {ktap.DEPTH_MAX + 2}: nested more than {ktap.DEPTH_MAX} deep" in report.problems


def test_a_flood_is_cut() -> None:
    report = only("1..1", *["?" * 9999] * 5000, "# " + "x" * 99999, "not ok 1 a")
    assert len(report.problems) == ktap.PROBLEMS_MAX + 1
    assert report.problems[-1] == f"and {5000 - ktap.PROBLEMS_MAX} more problems"
    (test,) = report.tests
    assert len(test.diagnostics) == ktap.REMARKS_MAX + 1
    assert test.diagnostics[-1] == f"(more than {ktap.REMARKS_MAX} lines: the rest is cut)"
    assert max(map(len, test.diagnostics)) < ktap.LINE_MAX + 100


def test_no_control_character_gets_through() -> None:
    report = read(DATA / "binary.txt")
    text = json.dumps(asdict(report), ensure_ascii=False)
    text.encode("utf-8")
    assert not [char for char in text if ord(char) < 32 or 127 <= ord(char) < 160]
    assert report.tests[0].diagnostics[0] == "\\x1b[31mred\\x07 \\x00\\x85\\xff\\xfe"


def test_the_diagnostics_of_a_report_start_after_the_last_result() -> None:
    report = only("1..2", "# counter x 1", "ok 1 a", "# counter y 2")
    assert report.diagnostics == ("counter y 2",)


def test_only_a_plan_of_zero_tests_skips() -> None:
    assert only("1..1 # SKIP no swap", "ok 1 a").skip is None
    nested = only("1..1", "  KTAP version 1", "  1..0 # SKIP no swap", "ok 1 a")
    assert nested.skip is None
    assert nested.problems == ()


def test_an_indented_remark_starts_no_subtest() -> None:
    report = only("1..1", "    # indented", "ok 1 a")
    assert report.problems == ()
    assert report.tests[0].diagnostics == ("indented",)


def test_a_report_survives_being_stored() -> None:
    adapter = TypeAdapter(KtapReport)
    report = read(DATA / "nested.txt")
    assert adapter.validate_json(adapter.dump_json(report)) == report


def test_programs_that_are_not_the_rigs_may_print_more() -> None:
    text = "Testing: a\n1..2\n# counter of pages: 3\nok 1 a\n# evidence x\nok 2 a\n"
    report = ktap.parse(text, foreign=True)
    assert report.problems == ()
    assert [test.counters for test in report.tests] == [(), ()]
    assert report.tests[0].diagnostics == ("Testing: a", "counter of pages: 3")
    assert report.tests[1].diagnostics == ("evidence x",)
    ours = ktap.parse(text)
    assert len(ours.problems) == 4, "a line, a counter, a name twice, no version"
    assert ktap.parse("TAP version 13\nok 1 a\n").problems == ("no plan",), "ktap.rst allows it"
    assert ktap.parse("TAP version 13\nok 1 a\n", foreign=True).problems == ()
    assert ktap.parse("KTAP version 2\n1..1\nok 1 a\n", foreign=True).problems == ()
    assert ktap.parse("1..2\nok 1 a\n", foreign=True).problems == ("2 tests planned, 1 reported",)
