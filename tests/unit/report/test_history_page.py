# SPDX-License-Identifier: GPL-2.0-only
"""`rig history`: what all runs say about a name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig import __main__ as main
from rig.campaigns import execute
from rig.campaigns.results import RunResult
from rig.history import database
from rig.store import Store
from rig.suites import suite
from rig.verdict.rules import Outcome, conclude

Results = dict[str, tuple[RunResult, ...]]
Rig = Callable[..., tuple[int, str, str]]
FLOOR = next(
    floor.at_least
    for case in suite.pick("stale_tlb").cases
    for floor in case.floors
    if (case.name, floor.counter) == ("anon_lost_write", "pswpout")
)


@pytest.fixture
def rig(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rig:
    """Run the program; its exit status, stdout and stderr."""
    monkeypatch.setenv("RIG_STORE", str(store.root))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["rig", "history", *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def night(store: Store, result: RunResult, number: int, outcome: Outcome = Outcome.PASS) -> Path:
    """Store a run of one case."""
    case = result.suites[0].cases[0]
    case = replace(case, outcome=outcome, reason="" if outcome is Outcome.PASS else "page 7: lost",
                   name="anon_lost_write", counters=(("pswpout", 2 * FLOOR + number),))  # fmt: skip
    suites = (replace(result.suites[0], cases=(case,)),)
    origin = replace(result.provenance, commit=f"{number:040x}", build=f"b{number}")
    result = replace(result, suites=suites, provenance=origin,
                     verdict=conclude(suites, (), None))  # fmt: skip
    directory = store.root / "runs" / f"202611{number:02}-020000-x" / "x86_64"
    execute.store_result(result, directory)
    return directory


def test_nothing_is_stored(rig: Rig) -> None:
    assert rig() == (0, "The history is empty: no run is stored.\n", "")
    status, out, err = rig("v6.12")
    assert (status, out) == (2, "")
    assert "the history is empty" in err


def test_a_case(store: Store, results: Results, rig: Rig) -> None:
    result = results["pass"][0]
    for number in range(1, 6):
        night(store, result, number)
    night(store, result, 6, Outcome.FAIL)
    status, out, err = rig("stale_tlb/anon_lost_write")
    assert (status, err) == (0, "")
    assert out == (
        "stale_tlb/anon_lost_write, nights 2026-11-01 to 2026-11-06\n"
        ". passed  F failed  f some runs failed  - inconclusive  s skipped  B broken\n"
        "  (a letter is a night in which it was run, the newest last)\n"
        "\n"
        "unmap-batch@v2 on v6.12\n"
        "  x86_64 tcg live\n"
        "    stale_tlb/anon_lost_write                  .....F  5 of 6 passed\n"
        f"      pswpout {2 * FLOOR + 5:,}, 2.0 times its floor {FLOOR:,} (median 2.0, lowest 2.0)\n"
        "\n"
        "What changed in 2026-11-06:\n"
        "\n"
        "new failure\n"
        "  stale_tlb/anon_lost_write\n"
        "      unmap-batch@v2 on v6.12, x86_64 tcg live, since 2026-11-06\n"
        "      page 7: lost\n"
        "      commits 000000000000..000000000000\n"
        "      runs/20261106-020000-x\n"
    )


@pytest.mark.parametrize("name", ["unmap-batch", "unmap-batch@v2", "v6.12", "anon_lost_write"])
def test_other_names(store: Store, results: Results, rig: Rig, name: str) -> None:
    night(store, results["pass"][0], 1)
    status, out, _ = rig(name)
    assert status == 0
    assert "    stale_tlb/anon_lost_write                  .  1 of 1 passed\n" in out


def test_a_name_with_a_typing_error(store: Store, results: Results, rig: Rig) -> None:
    night(store, results["pass"][0], 1)
    status, out, err = rig("unmap-btach")
    assert (status, out) == (2, "")
    assert "did you mean unmap-batch" in err


def test_the_newest_night(store: Store, results: Results, rig: Rig) -> None:
    for number in (1, 2):
        night(store, results["pass"][0], number, Outcome.FAIL)
    assert rig()[1].startswith(
        "2026-11-02: nothing changed, 1 failure as before\n"
        "2 runs of 1 tree in 2 nights, 2026-11-01 to 2026-11-02\n\nnever passed, as before\n"
    )
    night(store, results["pass"][0], 3)
    assert rig()[1].startswith("2026-11-03: 1 change, 0 failures as before\n")


def test_another_night(store: Store, results: Results, rig: Rig) -> None:
    for number, outcome in enumerate((Outcome.PASS, Outcome.FAIL, Outcome.FAIL), 1):
        night(store, results["pass"][0], number, outcome)
    assert rig("--night", "2026-11-02")[1].startswith("2026-11-02: 1 change, ")
    assert "\nnew failure\n" in rig("v6.12", "--night", "2026-11-02")[1]
    assert "still failing, as before" in rig("v6.12")[1]
    status, out, err = rig("--night", "2026-11-22")
    assert (status, out) == (2, "") and "did you mean 2026-11-02" in err


def test_it_fits_a_terminal(store: Store, results: Results, rig: Rig) -> None:
    for number in range(1, 31):
        night(store, results["pass"][0], number, Outcome.FAIL if number % 5 else Outcome.PASS)
    for words in ((), ("v6.12",), ("stale_tlb/anon_lost_write",)):
        assert max(map(len, rig(*words)[1].splitlines())) <= 80


def test_what_a_stranger_wrote_is_harmless(
    store: Store, results: Results, rig: Rig, evil: str, harmless: Callable[..., None]
) -> None:
    evil = evil.replace("\udcff", "")  # a result with it cannot be stored
    result = results["fail"][0]
    case = replace(result.suites[0].cases[0], name=f"c{evil}", reason=evil)
    suites = (replace(result.suites[0], suite=f"s{evil}", cases=(case,)),)
    subject = replace(result.provenance.subject, base=evil)
    origin = replace(result.provenance, subject=subject, commit=evil, build=evil,
                     request=replace(result.provenance.request, mutant=""))  # fmt: skip
    directory = store.root / "runs" / "20261101-020000-x" / "x86_64"
    execute.store_result(replace(result, suites=suites, provenance=origin), directory)
    harmless(rig()[1])
    harmless(rig(f"s{evil}")[1])


def test_stored_runs_are_imported_once(store: Store, results: Results, rig: Rig) -> None:
    night(store, results["pass"][0], 1)
    database.path_of(store).unlink()
    assert "Importing 1 stored campaign" in rig()[2]
    assert rig()[2] == ""


def test_a_damaged_history_is_broken(store: Store, results: Results, rig: Rig) -> None:
    night(store, results["pass"][0], 1)
    database.path_of(store).write_bytes(b"no database " * 100)
    status, out, err = rig()
    assert (status, out) == (3, "")
    assert "is damaged: file is not a database" in err and "move it away (mv " in err
