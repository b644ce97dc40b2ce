# SPDX-License-Identifier: GPL-2.0-only
"""What guests show on a mutant, and the table of it."""

from pathlib import Path

import pytest

from rig.campaigns import fates
from rig.campaigns.fates import Fate, Row
from rig.campaigns.mutation import Mutation
from rig.campaigns.results import RunResult
from rig.guest.console import scan
from rig.kernel.mutant import NONE
from rig.report import mutants as report
from rig.verdict.rules import Outcome
from tests.unit.campaigns.conftest import ALL, BOTH, LOST, Guests, Ran, make

STALE, ROUND = "stale_tlb/anon_lost_write", "reclaim/anon_roundtrip"
FAIL, PASS = Outcome.FAIL, Outcome.PASS


def shown(row: Row) -> list[tuple[str, Fate, int, int]]:
    return [(case.case, case.fate, len(case.kills), case.guests) for case in row.cases]


def test_the_case_that_names_it_kills_it(guest: Guests) -> None:
    (row,) = fates.fold(ALL, [guest("flush", (STALE, FAIL))])
    assert (row.fate, row.reason, shown(row)) == (
        Fate.KILLED, "", [(STALE, Fate.KILLED, 1, 1)],
    )  # fmt: skip
    (kill,) = row.kills
    assert (kill.how, kill.seconds, kill.writes, kill.seed) == (LOST, 0.9, 1234, 0)
    (row,) = fates.fold(ALL, [guest("flush", (STALE, FAIL), seed=7)])
    assert (row.kills[0].seed, row.cases[0].seeds) == (7, (7,))


@pytest.mark.parametrize(
    ("outcome", "fate"),
    [
        (Outcome.PASS, Fate.SURVIVED),
        (Outcome.SKIP, Fate.INCONCLUSIVE),
        (Outcome.INCONCLUSIVE, Fate.INCONCLUSIVE),
        (Outcome.BROKEN, Fate.BROKEN),
    ],
)
def test_whatever_is_no_fail_is_no_kill(outcome: Outcome, fate: Fate, guest: Guests) -> None:
    (row,) = fates.fold(ALL, [guest("flush", (STALE, outcome))])
    assert (row.fate, shown(row)) == (fate, [(STALE, fate, 0, 1)])
    assert row.cases[0].reason == ("" if outcome is Outcome.PASS else LOST)


@pytest.mark.parametrize(
    ("other", "fate"),
    [
        (Outcome.FAIL, Fate.KILLED),
        (Outcome.PASS, Fate.SURVIVED),
        (Outcome.INCONCLUSIVE, Fate.INCONCLUSIVE),
        (Outcome.BROKEN, Fate.BROKEN),
    ],
)
def test_every_case_that_names_it_must_kill_it(other: Outcome, fate: Fate, guest: Guests) -> None:
    """Rule 5: the case beside it is no proof."""
    (row,) = fates.fold(ALL, [guest("both", (STALE, FAIL)), guest("both", (ROUND, other))])
    assert (row.fate, shown(row)) == (
        fate, [(STALE, Fate.KILLED, 1, 1), (ROUND, fate, int(other is FAIL), 1)],
    )  # fmt: skip


def test_one_guest_is_enough_for_a_case(guest: Guests) -> None:
    guests = [guest("flush", (STALE, PASS)), guest("flush", (STALE, Outcome.INCONCLUSIVE))]
    (row,) = fates.fold(ALL, guests)
    assert shown(row) == [(STALE, Fate.SURVIVED, 0, 2)]
    guests.append(guest("flush", (STALE, FAIL)))
    (row,) = fates.fold(ALL, guests)
    assert (row.fate, shown(row)) == (Fate.KILLED, [(STALE, Fate.KILLED, 1, 3)])
    (row,) = fates.fold(ALL, guests, each_guest=True)
    assert (row.fate, shown(row)) == (Fate.SURVIVED, [(STALE, Fate.SURVIVED, 1, 3)])


def test_a_case_that_was_not_selected_is_told(guest: Guests) -> None:
    (row,) = fates.fold(ALL, [guest("both", (STALE, FAIL))])
    assert (row.fate, shown(row)) == (
        Fate.KILLED, [(STALE, Fate.KILLED, 1, 1), (ROUND, Fate.NOT_APPLICABLE, 0, 0)],
    )  # fmt: skip
    assert f"    {ROUND} was not run: not selected" in report.render(a_mutation(row))


def test_a_case_of_the_live_schedule_is_told(guest: Guests) -> None:
    some = make("some", "kselftest_mm/cow", STALE)
    (row,) = fates.fold([some], [guest("some", (STALE, FAIL), seed=1)])
    assert row.fate is Fate.KILLED
    assert row.cases[0].reason.startswith("only in the live schedule: ")


def test_a_case_that_does_not_name_it_does_not_kill_it(guest: Guests) -> None:
    cases = ((STALE, PASS), (ROUND, FAIL))
    (row,) = fates.fold(ALL, [guest("flush", *cases)])
    assert (row.fate, row.others) == (Fate.SURVIVED, (ROUND,))
    (row,) = fates.fold(ALL, [guest("flush", (ROUND, FAIL))])
    assert (row.fate, row.others) == (Fate.INCONCLUSIVE, (ROUND,))


def test_a_splat_it_names_kills_it_and_another_does_not(guest: Guests) -> None:
    data = Path(__file__).parents[2] / "data" / "console"
    splats = {
        splat.kind: splat
        for path in data.glob("*.log")
        for splat in scan(path.read_text(errors="replace"))
    }
    named = next(kind for kind in splats if kind.failure)
    dies = make("dies", f"splat/{named}")
    guests = [
        guest("dies", (STALE, PASS), splats=(splats[named],)), guest("dies", (ROUND, PASS)),
    ]  # fmt: skip
    (row,) = fates.fold([dies], guests)
    assert (row.fate, row.kills[0].how.split(":")[0]) == (Fate.KILLED, f"splat/{named}")
    other = next(kind for kind in splats if kind.failure and kind != named)
    (row,) = fates.fold([dies], [guest("dies", (STALE, FAIL), splats=(splats[other],))])
    assert (row.fate, shown(row)) == (Fate.SURVIVED, [(STALE, Fate.SURVIVED, 0, 1)])
    beside = make("dies", f"splat/{named}", STALE, ROUND)
    (row,) = fates.fold([beside], guests)
    assert row.fate is Fate.SURVIVED, "no splat and no FAIL in the second guest"


def test_a_guest_that_never_came_up_is_broken(guest: Guests) -> None:
    (row,) = fates.fold(ALL, [guest("flush", lost=(STALE,))])
    assert (row.fate, row.fate.outcome) == (Fate.BROKEN, Outcome.BROKEN)
    assert row.cases[0].reason
    guests = [guest("both", (STALE, FAIL)), guest("both", lost=(ROUND,))]
    (row,) = fates.fold(ALL, guests)
    assert (row.fate, shown(row)[1]) == (Fate.BROKEN, (ROUND, Fate.BROKEN, 0, 1))


def test_architectures_have_rows_of_their_own(guest: Guests) -> None:
    guests = [guest("flush", (STALE, PASS), arch="arm64"), guest("flush", (STALE, FAIL))]
    assert {row.arch: row.fate for row in fates.fold(ALL, guests)} == {
        "arm64": Fate.SURVIVED,
        "x86_64": Fate.KILLED,
    }


def test_a_guest_in_one_line(ran: Ran) -> None:
    killing = ran("both", (ROUND, PASS), (STALE, FAIL))
    assert fates.summary(BOTH, killing) == f"killed by {STALE} after 0.9 s"
    spared = ran("both", (STALE, Outcome.INCONCLUSIVE), (ROUND, PASS))
    assert fates.summary(BOTH, spared) == f"INCONCLUSIVE {STALE} {LOST}; PASS {ROUND}"
    nothing = ran("both")
    assert fates.summary(BOTH, nothing) == f"{nothing.verdict.outcome} {nothing.verdict.reason}"


# The table


def a_mutation(*rows: Row, clean: tuple[RunResult, ...] = ()) -> Mutation:
    return Mutation(label="v6.12", origin="a test", repeat=1, clean=clean, rows=rows)


def test_a_survivor_fails_the_campaign_and_a_broken_guest_breaks_it() -> None:
    outcomes = {fate: a_mutation(Row(mutant="m", arch="arm64", fate=fate)).outcome for fate in Fate}
    assert outcomes == {
        Fate.KILLED: Outcome.PASS,
        Fate.SURVIVED: Outcome.FAIL,
        Fate.INCONCLUSIVE: Outcome.INCONCLUSIVE,
        Fate.BROKEN: Outcome.BROKEN,
        Fate.EQUIVALENT: Outcome.PASS,
        Fate.NOT_APPLICABLE: Outcome.PASS,
    }


def test_the_table(guest: Guests, ran: Ran) -> None:
    guests = [
        guest("both", (STALE, FAIL)),
        guest("both", (ROUND, PASS)),
        guest("both", (ROUND, PASS)),
        guest("flush", (STALE, PASS)),
        guest("flush", (STALE, FAIL)),
    ]
    spared = Row(mutant="new", arch="x86_64", fate=Fate.NOT_APPLICABLE, reason="no batches")
    clean = (ran(NONE, (STALE, PASS)),)
    whole = a_mutation(*fates.fold(ALL, guests), spared, clean=clean)
    assert report.render(whole, "2026-mutate").splitlines() == [
        "v6.12: mutants FAIL",
        "  a test",
        "",
        "no mutant on: 1 cases, none fails",
        "",
        "both                           x86_64   SURVIVED",
        f"    {STALE}, fails in 1 of 1 guest, 0.9 s, 1,234 writes",
        f"      > {LOST}",
        f"    {ROUND}: survived, fails in 0 of 2 guests",
        "flush                          x86_64   KILLED",
        f"    {STALE}, fails in 1 of 2 guests, 0.9 s, 1,234 writes",
        f"      > {LOST}",
        "new                            x86_64   NOT APPLICABLE",
        "    no batches",
        "",
        "1 killed, 1 survived, 1 not applicable, 2 of 3 named cases fail, median 0.9 s, "
        "longest 0.9 s",
        "",
        "rig report 2026-mutate",
    ]


def test_a_case_that_fails_on_the_clean_kernel_comes_first(guest: Guests, ran: Ran) -> None:
    case = (STALE, FAIL)
    rows = fates.fold(ALL, [guest("flush", case)])
    whole = a_mutation(*rows, clean=(ran(NONE, case),))
    assert whole.outcome is Outcome.FAIL
    output = report.render(whole)
    assert output.index(f"FAIL on the clean x86_64: {STALE}") < output.index("KILLED")
