# SPDX-License-Identifier: GPL-2.0-only
"""Reports as people read them, against tests/data/report.

RIG_GOLDEN=write python -m pytest tests/unit/report/test_text.py   writes them; then read the diff.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rig.campaigns.results import RunResult
from rig.guest.qemu import Seeded
from rig.report import text
from rig.verdict.rules import Outcome, Verdict

GOLDEN = Path(__file__).parents[2] / "data" / "report"
KINDS = (
    *("pass", "repeated", "fail", "inconclusive", "splat", "build", "boot", "broken"),
    *("revisions", "each-patch", "blamed"),
)
Results = dict[str, tuple[RunResult, ...]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_report(kind: str, results: Results) -> None:
    output = text.render(results[kind], "20260302-100000-unmap-batch@v2")
    path = GOLDEN / f"{kind}.txt"
    if os.environ.get("RIG_GOLDEN") == "write":
        path.write_text(output)
    assert output.splitlines() == path.read_text().splitlines()


def test_every_kind_has_a_report(results: Results) -> None:
    assert set(results) == set(KINDS) == {path.stem for path in GOLDEN.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_can_quote_it_twice(kind: str, results: Results) -> None:
    for line in text.render(results[kind], "20260302-100000").splitlines():
        assert line == line.rstrip()
        assert "\t" not in line or kind == "splat"
        if kind not in ("splat", "boot", "build"):  # those quote the kernel and the compiler
            assert len(line) <= 80 or " " not in line.strip(), line


@pytest.mark.parametrize(
    ("kind", "outcome", "status"),
    [
        ("pass", Outcome.PASS, 0),
        ("fail", Outcome.FAIL, 1),
        ("splat", Outcome.FAIL, 1),
        ("build", Outcome.FAIL, 1),
        ("boot", Outcome.FAIL, 1),
        ("broken", Outcome.BROKEN, 3),
        ("inconclusive", Outcome.INCONCLUSIVE, 4),
    ],
)
def test_the_first_line_is_the_verdict(
    kind: str, outcome: Outcome, status: int, results: Results
) -> None:
    assert text.overall(results[kind]) is outcome
    assert outcome.exit_status == status
    first = text.render(results[kind]).splitlines()[0]
    assert f": {outcome}" in first


def test_one_failure_in_many_is_the_verdict(results: Results) -> None:
    mixed = (*results["pass"], *results["fail"], *results["repeated"])
    first = text.render(mixed).splitlines()[0]
    assert first == "unmap-batch@v2 on v6.12, v6.12, instrumented: FAIL (5 of 6 PASS)"


def test_what_was_only_built_is_no_run(results: Results) -> None:
    built = replace(results["pass"][0], verdict=Verdict(outcome=Outcome.SKIP, reason="builds"))
    first = text.render((built, built, *results["pass"])).splitlines()[0]
    assert first.endswith(f"({len(results['pass'])} of {len(results['pass'])} PASS, 2 only built)")


def test_a_stored_run_is_named_for_the_next_time(results: Results) -> None:
    assert text.render(results["pass"], "20260302-x").endswith("\nrig report 20260302-x\n")
    assert "rig report" not in text.render(results["pass"])


def test_what_is_long_is_cut_and_said_to_be(results: Results) -> None:
    output = text.render(results["boot"])
    assert "console line 39" in output
    assert "console line 40" not in output
    assert "[10 more lines]" in output
    evidence = text.render(results["fail"])
    assert evidence.count("read back 41") == 8
    assert "[2 more]" in evidence


def test_what_looks_like_a_template_is_text(results: Results) -> None:
    (broken,) = results["build"]
    output = text.render((replace(broken, detail="{{ 7 * 6 }} <b> & {% x %}"),))
    assert "{{ 7 * 6 }} <b> & {% x %}" in output


def test_of_many_cases_a_pass_shows_what_fits_in_a_line(results: Results) -> None:
    (whole,) = results["fail"]
    (only,) = whole.suites
    long = tuple((f"counter_{n}", n) for n in range(20))
    cases = tuple(
        replace(case, name=f"{case.name}_{n}", counters=long)
        for n in range(5)
        for case in only.cases
    )
    output = text.render([replace(whole, suites=(replace(only, cases=cases),))])
    failed = [line for line in output.splitlines() if "counter_19" in line]
    assert len(failed) == 5, "whoever fails shows all"
    assert len([line for line in output.splitlines() if "counter_0 0" in line]) == 10


def test_a_seeded_run_says_its_seed(results: Results) -> None:
    (one, *_) = results["pass"]
    seeded = replace(one, machine=replace(one.machine, schedule=Seeded(seed=7)), boot_seconds=0)
    assert (
        "\n    TCG seeded 7, 4 CPUs, 1024 MiB, zram+disk, QEMU 7.2.22, all 61 s\n"
        in text.render([seeded])
    )
