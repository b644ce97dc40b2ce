# SPDX-License-Identifier: GPL-2.0-only
"""What campaigns store is in the history: at once, and once."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig import log
from rig.campaigns import execute, explore, record, stored
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult
from rig.guest.qemu import Seeded
from rig.history import database, unread
from rig.store import Store
from rig.suites import suite
from rig.verdict.rules import CaseResult, Outcome, SuiteResult, conclude

DATA = Path(__file__).parents[2] / "data" / "results"
Results = dict[str, tuple[RunResult, ...]]


def read(store: Store, query: str) -> list[tuple[Any, ...]]:
    with database.reading(store) as connection:
        return connection.execute(query).fetchall()


def slot(store: Store, run: str = "20261127-233000-v6.12", name: str = "x86_64") -> Path:
    return store.root / "runs" / run / name


def import_new(store: Store) -> int:
    return record.import_all(store, unread.campaigns(store))


def test_a_result_is_in_the_history_when_it_is_stored(store: Store, results: Results) -> None:
    execute.store_result(results["pass"][0], slot(store))
    assert read(store, "SELECT path, outcome, git_commit, build FROM run") == [
        ("runs/20261127-233000-v6.12/x86_64", "PASS", "c0ffee", "b01d")
    ]
    assert read(store, "SELECT night, tree, setup, name, outcome FROM results ORDER BY 4") == [
        ("2026-11-27", "unmap-batch@v2 on v6.12", "x86_64 tcg live", name, "PASS")
        for name in ("kernel/health", "stale_tlb/anon_lost_write", "stale_tlb/other")
    ]
    # anon_lost_write has a floor for pswpout, and the case `other` is not known.
    floors = "SELECT name, floor > 0 FROM counters WHERE counter = 'pswpout' ORDER BY name"
    assert read(store, floors) == [("stale_tlb/anon_lost_write", 1), ("stale_tlb/other", None)]


def test_it_is_there_once(store: Store, results: Results) -> None:
    execute.store_result(results["pass"][0], slot(store))
    assert unread.campaigns(store) == ()
    assert read(store, "SELECT path, problem FROM directory") == [
        ("runs/20261127-233000-v6.12", "")
    ]
    database.path_of(store).unlink()
    assert (import_new(store), import_new(store)) == (1, 0)
    assert read(store, "SELECT count(*) FROM run") == [(1,)]


def test_a_verdict_that_blame_has_changed_is_changed(store: Store, results: Results) -> None:
    result = results["fail"][0]
    execute.store_result(result, slot(store))
    verdict = replace(result.verdict, outcome=Outcome.INCONCLUSIVE, reason="the base fails, too")
    execute.store_result(replace(result, verdict=verdict), slot(store))
    rows = [("INCONCLUSIVE", "the base fails, too")]
    assert read(store, "SELECT outcome, reason FROM run") == rows


@pytest.mark.parametrize(
    "place",
    [
        "20261127-233000-x/blame/x86_64-base-1",
        "20261127-233000-bisect-v6.12-0123456789ab/x86_64-00000-good",
    ],
)
def test_the_runs_of_a_search_are_not_of_the_night(
    store: Store, results: Results, place: str
) -> None:
    execute.store_result(results["fail"][0], store.root / "runs" / place)
    assert read(store, "SELECT count(*) FROM run") == [(0,)]
    assert import_new(store) == 0 and unread.campaigns(store) == ()


def test_a_run_that_is_not_finished_is_looked_at_again(store: Store, results: Results) -> None:
    execute.store_result(results["pass"][0], slot(store))
    slot(store, name="arm64").mkdir()
    (slot(store, name="arm64") / stored.PENDING).touch()
    assert unread.campaigns(store) == ()
    assert read(store, "SELECT * FROM directory") == []
    execute.write_whole(slot(store, name="arm64") / "result.json", b"")
    shutil.copy(slot(store) / "result.json", slot(store, name="arm64"))
    assert import_new(store) == 1


def test_runs_of_a_night_belong_to_it(store: Store, results: Results) -> None:
    """Also if they are imported later, by another rig."""
    night = slot(store, "20261127-233000-nightly-mm")
    night.parent.mkdir(parents=True)
    (night.parent / "night.json").write_text('{"name": "2026-11-26 mm"}')
    execute.store_result(results["pass"][0], night)
    execute.store_result(results["pass"][1], slot(store, name="arm64"))
    nights = [("2026-11-26 mm",), ("2026-11-27",)]
    assert read(store, "SELECT name FROM night ORDER BY 1") == nights
    database.path_of(store).unlink()
    assert import_new(store) == 2
    assert read(store, "SELECT name FROM night ORDER BY 1") == nights


@pytest.mark.parametrize("name", ["base", "stacked", "part"])
def test_what_older_rigs_stored_is_imported(store: Store, name: str) -> None:
    slot(store).mkdir(parents=True)
    shutil.copy(DATA / f"{name}.json", slot(store) / "result.json")
    assert import_new(store) == 1
    assert read(store, "SELECT problem FROM directory") == [("",)]


def test_the_mutants_of_a_campaign(store: Store) -> None:
    slot(store, name="arm64-x").mkdir(parents=True)
    shutil.copy(DATA / "base.json", slot(store, name="arm64-x") / "result.json")
    mutation = json.loads((DATA / "mutation.json").read_text())
    row = mutation["rows"][0] | {"arch": "arm64"}
    survivor = {"mutant": "m", "arch": "arm64", "fate": "SURVIVED", "reason": "", "others": [],
                "cases": [{"case": "a/b", "fate": "SURVIVED", "guests": 8}]}  # fmt: skip
    document = json.dumps(mutation | {"rows": [row, survivor]})
    (slot(store).parent / "mutation.json").write_text(document)
    assert import_new(store) == 3
    fates = read(store, "SELECT mutant, fate, reason FROM mutants ORDER BY mutant = 'm'")
    assert fates == [(row["mutant"], row["fate"], ""), ("m", "SURVIVED", "a/b: passes")]
    assert import_new(store) == 0


def test_a_damaged_result_costs_only_itself(store: Store, results: Results) -> None:
    execute.store_result(results["pass"][0], slot(store))
    for name, text in {"a": "", "b": '{"x": 1}', "c": "[" * 100_000}.items():
        slot(store, name=name).mkdir()
        (slot(store, name=name) / "result.json").write_text(text)
    database.path_of(store).unlink()
    assert import_new(store) == 1
    ((problem,),) = read(store, "SELECT problem FROM directory")
    assert problem.startswith("runs/20261127-233000-v6.12/")
    assert unread.campaigns(store) == (), "it is not tried each time"


def test_a_kernel_that_does_not_come_up_has_a_line(store: Store, results: Results) -> None:
    for name in ("build", "boot", "splat", "fail", "broken"):
        for number, result in enumerate(results[name]):
            execute.store_result(result, slot(store, name=f"{name}-{number}"))
    rows = read(store, "SELECT path, outcome FROM results WHERE name = 'kernel/health'")
    assert {path.split("/")[-1].split("-")[0]: outcome for path, outcome in rows} == {
        "build": "FAIL", "boot": "FAIL", "splat": "FAIL", "fail": "PASS", "broken": "PASS",
    }  # fmt: skip


def test_what_was_only_built_has_no_result(store: Store, results: Results) -> None:
    execute.store_result(results["each-patch"][0], slot(store))
    assert read(store, "SELECT count(*) FROM result") == [(0,)]
    assert read(store, "SELECT outcome FROM run") == [("SKIP",)]


def test_a_benchmark_has_its_metrics(store: Store, results: Results) -> None:
    counters = (("pgscan_anon", 200), ("pgsteal_anon", 100), ("tlb_shootdowns", 50),
                ("nanoseconds", 10**9), ("bogo_ops", 7))  # fmt: skip
    case = CaseResult(name="shared_dirty_reclaim", outcome=Outcome.PASS, reason="",
                      counters=counters)  # fmt: skip
    suites = (SuiteResult(suite="bench", cases=(case,)),)
    plain = results["pass"][0]
    result = replace(plain, suites=suites, verdict=conclude(suites, (), None))
    execute.store_result(result, slot(store))
    killed = replace(case, counters=(*counters, ("oom_kill", 1)))
    suites = (SuiteResult(suite="bench", cases=(killed,)),)
    execute.store_result(replace(result, suites=suites), slot(store, name="arm64"))
    metrics = read(store, "SELECT metric, value, judged FROM benches ORDER BY 1")
    assert ("tlb_shootdowns_per_page", 0.5, 1) in metrics
    assert ("ops_per_s", 7.0, 0) in metrics, "a time under TCG is not judged"
    assert len({name for name, _, _ in metrics}) == len(metrics), "the OOM killer's round counts"


def test_other_options_are_another_setup(store: Store, results: Results) -> None:
    plain = results["pass"][0]
    machine = replace(plain.machine, cpus=8, lru_gen=False, schedule=Seeded(seed=7))
    request = replace(plain.provenance.request, iterations=3)
    other = replace(plain, machine=machine,
                    provenance=replace(plain.provenance, request=request))  # fmt: skip
    execute.store_result(plain, slot(store))
    execute.store_result(other, slot(store, name="again"))
    assert {label for (label,) in read(store, "SELECT label FROM setup")} == {
        "x86_64 tcg live", "x86_64 tcg seeded --no-lru-gen --cpus 8 --iterations 3",
    }  # fmt: skip
    assert read(store, "SELECT seed FROM run ORDER BY id") == [(1,), (7,)]
    floors = read(store, "SELECT floor FROM counters WHERE counter = 'pswpout' AND floor > 0")
    assert len({floor for (floor,) in floors}) == 2, "fewer iterations have lower floors"


def test_seeds_of_an_exploration(store: Store, results: Results) -> None:
    directory = store.root / "explored" / "d1935"
    (directory / "seed-7").mkdir(parents=True)
    plain = results["pass"][0]
    kernel = replace(plain, suites=(SuiteResult(suite="stale_tlb", cases=()),))
    (directory / "kernel.json").write_bytes(record._RESULT.dump_json(kernel))
    case = CaseResult(name="anon_lost_write", outcome=Outcome.FAIL, reason="lost", seconds=2)
    tried = explore.Tried(seed=7, case=case, interleaving="1")
    path = directory / "seed-7" / "seed.json"
    path.write_bytes(explore._TRIED.dump_json(tried))
    os.utime(path, (1795824000, 1795824000))
    record.stored_now(path)
    assert read(store, "SELECT night, name, outcome, reason, seed, setup FROM results"
                " WHERE name LIKE 'stale%'") == [
        ("2026-11-28", "stale_tlb/anon_lost_write", "FAIL", "lost", 7, "x86_64 tcg seeded"),
    ]  # fmt: skip
    assert unread.campaigns(store) == ()
    (directory / "seed-8").mkdir()
    shutil.copy(path, directory / "seed-8")
    assert import_new(store) == 1
    smaller = directory / "shrink-1-2-3" / "seed-7" / "seed.json"
    smaller.parent.mkdir(parents=True)
    shutil.copy(path, smaller)
    record.stored_now(smaller)
    assert unread.campaigns(store) == ()
    assert read(store, "SELECT count(*) FROM run") == [(2,)]


def test_what_is_stored_elsewhere_is_not_recorded(tmp_path: Path, results: Results) -> None:
    execute.store_result(results["pass"][0], tmp_path / "x86_64")
    assert [path.name for path in tmp_path.rglob("*.db")] == []


def test_a_history_that_cannot_be_written_costs_no_verdict(store: Store, results: Results) -> None:
    path = database.path_of(store)
    path.write_text("no database, and more than a hundred bytes of it, or it would be empty" * 20)
    record._note_once.cache_clear()
    notes: list[str] = []
    with log.subscribed(lambda event: notes.append(event.text)):
        for name in ("x86_64", "arm64"):
            execute.store_result(results["pass"][0], slot(store, name=name))
    assert execute.load(slot(store) / execute.RESULT) == results["pass"][0]
    assert len(notes) == 1 and "not in the history yet" in notes[0] and "damaged" in notes[0]
    path.unlink()
    assert import_new(store) == 2


def test_every_case_has_the_floors_that_it_declares() -> None:
    machine = execute.load(DATA / "base.json").machine
    for name, case in suite.declared().items():
        counters = tuple((floor.counter, 1) for floor in case.floors)
        ran = CaseResult(name=case.name, outcome=Outcome.PASS, reason="", counters=counters)
        kept = record._result(name.split("/")[0], ran, Request(target="v6.12"), machine)
        floors = {counter: floor for counter, _, floor in kept.counters}
        seeded = case.seeded(0) if isinstance(machine.schedule, Seeded) else case
        assert floors == {floor.counter: floor.at_least for floor in seeded.floors}
    assert len(suite.declared()) == len(suite.case_names(suite.known().values()))


def test_a_store_that_cannot_be_written_imports_nothing(
    store: Store, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute.store_result(results["pass"][0], slot(store))
    with closing(sqlite3.connect(database.path_of(store))) as connection, connection:
        connection.execute("DELETE FROM run")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert unread.campaigns(store) == ()
