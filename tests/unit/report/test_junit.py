# SPDX-License-Identifier: GPL-2.0-only
from dataclasses import replace
from xml.etree import ElementTree as xml

import pytest

from rig.campaigns.results import RunResult
from rig.report import junit
from rig.verdict.rules import CaseResult, Outcome, SuiteResult

Results = dict[str, tuple[RunResult, ...]]
KINDS = ("pass", "repeated", "fail", "inconclusive", "splat", "build", "boot", "broken", "blamed")


def parsed(results: tuple[RunResult, ...]) -> xml.Element:
    return xml.fromstring(junit.render(results))


@pytest.mark.parametrize("kind", KINDS)
def test_the_counts_are_those_of_the_elements(kind: str, results: Results) -> None:
    root = parsed(results[kind])
    assert root.tag == "testsuites"
    assert root.get("name") == results[kind][0].provenance.label
    suites = root.findall("testsuite")
    assert len(suites) == sum(len(result.suites) + 1 for result in results[kind])
    for suite in suites:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        for attribute, tag in (
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ):
            assert int(suite.get(attribute, "")) == len(suite.findall(f"testcase/{tag}")), tag
        seconds = sum(float(case.get("time", "")) for case in suite.findall("testcase"))
        assert float(suite.get("time", "")) == pytest.approx(seconds)
    for case in root.findall("*/testcase"):
        assert case.get("classname")
        assert len([child for child in case if child.tag != "system-out"]) <= 1


@pytest.mark.parametrize(
    ("kind", "tag", "message"),
    [
        ("pass", None, ""),
        ("fail", "failure", "FAIL: stale_tlb/anon_lost_write: page 17"),
        ("splat", "failure", "FAIL: BUG: KASAN"),
        ("build", "failure", "FAIL: mm/vmscan.c:7: error: no"),
        ("boot", "failure", "FAIL: the kernel hangs at boot"),
        ("broken", "error", "BROKEN: QEMU was killed by signal 9"),
        ("inconclusive", "error", "INCONCLUSIVE: stale_tlb/anon_lost_write: pswpout 12"),
    ],
)
def test_what_is_no_cases_is_a_case_of_its_own(
    kind: str, tag: str | None, message: str, results: Results
) -> None:
    case = parsed(results[kind]).findall("testsuite")[-1].find("testcase")
    assert case is not None
    assert case.get("name") == "verdict"
    children = [child for child in case if child.tag != "system-out"]
    assert [child.tag for child in children] == ([tag] if tag else [])
    for child in children:
        assert child.get("message", "").startswith(message)


def test_evidence_and_counters_are_kept(results: Results) -> None:
    suite = parsed(results["fail"]).find("testsuite")
    assert suite is not None
    assert suite.get("name") == "stale_tlb.x86_64.tcg.live"
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.text.splitlines() == list(results["fail"][0].suites[0].cases[0].evidence)
    out = suite.find("testcase/system-out")
    assert out is not None
    assert out.text == "pswpout 937722\nwrites 1400000000\nreclaimed 0"


def test_the_splat_and_the_compilers_words_are_kept(results: Results) -> None:
    for kind, words in (("splat", "KASAN"), ("build", "7 | no;"), ("boot", "console line 49")):
        text = parsed(results[kind]).findall("testsuite")[-1].findtext("testcase/failure")
        assert text is not None
        assert words in text


def test_skips_are_skips(results: Results) -> None:
    root = parsed(results["pass"])
    assert [case.get("message") for case in root.findall("*/testcase/skipped")] == ["SKIP: no KSM"]


def test_what_xml_cannot_say_is_shown(results: Results) -> None:
    """A console's escapes and whatever a broken guest writes."""
    nasty = "a\x1b[31m\x00\x08b\N{REPLACEMENT CHARACTER}\ufffe\uffff\ud800c\t\n<&]]>\"'ä"
    case = CaseResult(name="x", outcome=Outcome.FAIL, reason=nasty, evidence=(nasty,))
    suites = (SuiteResult(suite="s", cases=(case,)),)
    (given,) = results["fail"]
    root = parsed((replace(given, suites=suites, detail=nasty),))
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    shown = (r"a\x1b[31m\x00\x08b", "\N{REPLACEMENT CHARACTER}", r"\ufffe\uffff\ud800c")
    assert failure.text == f"{''.join(shown)}\t\n<&]]>\"'ä"


def test_nothing_at_all_is_still_a_document() -> None:
    assert list(parsed(())) == []


def test_a_failure_of_the_base_is_no_failure(results: Results) -> None:
    """Outcome rule 8; the series' own failures say so too."""
    messages = {
        f"{suite.get('name')}/{case.get('name')}": [
            (child.tag, child.get("message")) for child in case if child.tag != "system-out"
        ]
        for suite in parsed(results["blamed"]).findall("testsuite")
        for case in suite.findall("testcase")
    }
    lost = "page 17: CPU 2 wrote 42, read back 41"
    by = "introduced by patch 3/4 (mm/rmap: unmap a folio's PTEs at once)"
    assert messages == {
        "stale_tlb.x86_64.tcg.live/anon_lost_write": [("failure", f"FAIL: {lost}; {by}")],
        "stale_tlb.x86_64.tcg.live/file_lost_write": [("failure", f"FAIL: {lost}; undecided")],
        "stale_tlb.x86_64.tcg.live/other": [],
        "rig.x86_64.tcg.live/verdict": [
            ("failure", f"FAIL: stale_tlb/anon_lost_write: {lost} (and 1 more FAIL)")
        ],
        "stale_tlb.arm64.tcg.live/anon_lost_write": [
            ("error", f"INCONCLUSIVE: already there: {lost}")
        ],
        "stale_tlb.arm64.tcg.live/other": [],
        "rig.arm64.tcg.live/verdict": [
            (
                "error",
                "INCONCLUSIVE: already there without the series: stale_tlb/anon_lost_write: "
                f"{lost}",
            )
        ],
    }
    detail = parsed(results["blamed"]).findtext(".//testcase[@name='verdict']/failure")
    assert detail is not None
    assert "fails in 7 of 9 runs, on v6.12 in 0 of 12" in detail
