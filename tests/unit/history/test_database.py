# SPDX-License-Identifier: GPL-2.0-only
"""The file: every entry once, whatever happens to those who write it."""

import os
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig.errors import DiskFull, InfraError
from rig.history import database, schema
from rig.history.entries import Fate, Measured, Result, Run
from rig.store import Store

MakeRun = Callable[..., Run]
Script = Callable[..., "subprocess.Popen[str]"]

WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, "tests/unit/history")
from conftest import a_run
from rig.history import database
from rig.store import Store
store, name, number, wait = Store(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3]), sys.argv[4]
for count in range(number):
    with database.writing(store) as writer:
        writer.add([a_run(f"runs/{name}/{count}")])
        if wait:
            print("added", flush=True)
            time.sleep(600)
"""


def count(store: Store, table: str = "run") -> int:
    with database.reading(store) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def add(store: Store, *runs: Run | Fate) -> int:
    with database.writing(store) as writer:
        return writer.add(runs)


def test_an_entry_is_there_once(store: Store, make_run: MakeRun) -> None:
    assert (add(store, make_run()), add(store, make_run())) == (1, 0)
    assert (count(store), count(store, "result"), count(store, "counter")) == (1, 1, 2)
    assert add(store, make_run("runs/20261128-010203-v6.12/arm64")) == 1
    with database.reading(store) as connection:
        rows = connection.execute("SELECT outcome, runs FROM tally").fetchall()
    assert rows == [("PASS", 2)]


def test_what_a_person_queries(store: Store, make_run: MakeRun) -> None:
    measured = (Measured(bench="b", metric="m", value=2.5, judged=True),)
    run = make_run(measured=measured)
    fate = Fate(path="runs/x", night="2026-11-28", tree=run.tree, setup=run.setup,
                mutant="no-flush", fate="SURVIVED", reason="passes")  # fmt: skip
    add(store, run, fate, fate)
    with database.reading(store) as connection:
        read = connection.execute
        case = ("2026-11-28", "v6.12", "x86_64 tcg live", "stale_tlb/anon_lost_write", "PASS")
        assert read("SELECT night, tree, setup, name, outcome FROM results").fetchall() == [case]
        rows = read("SELECT counter, value, floor FROM counters ORDER BY 1").fetchall()
        assert rows == [("lost", 0, None), ("pswpout", 4000, 2000)]
        assert read("SELECT bench, metric, value FROM benches").fetchall() == [("b", "m", 2.5)]
        assert read("SELECT mutant, fate FROM mutants").fetchall() == [("no-flush", "SURVIVED")]


def test_two_rigs_write_at_a_time(store: Store, script: Script) -> None:
    writers = [script(WRITER, store.root, name, 20, "") for name in ("a", "b")]
    for writer in writers:
        _, said = writer.communicate()
        assert writer.returncode == 0, said
    assert count(store) == 40
    with database.reading(store) as connection:
        assert connection.execute("SELECT runs FROM tally").fetchall() == [(40,)]


def test_threads_write_at_a_time(store: Store, make_run: MakeRun) -> None:
    """Into a file that is not there yet, so that each of them may make it."""

    def work(number: int) -> None:
        add(store, make_run(f"runs/{number}"))

    for attempt in range(5):
        database.path_of(store).unlink(missing_ok=True)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert count(store) == 8, attempt


def test_a_rig_that_is_killed_leaves_nothing_half(
    store: Store, script: Script, make_run: MakeRun
) -> None:
    add(store, make_run())
    writer = script(WRITER, store.root, "a", 1, "wait")
    assert writer.stdout and writer.stdout.readline() == "added\n"
    writer.kill()
    writer.communicate()
    assert (count(store), count(store, "result")) == (1, 1)
    assert add(store, make_run("runs/next")) == 1


def test_an_error_undoes_its_whole_transaction(store: Store, make_run: MakeRun) -> None:
    with pytest.raises(KeyError), database.writing(store) as writer:
        writer.add([make_run()])
        raise KeyError
    assert count(store) == 0


def test_a_file_that_is_not_there_is_an_empty_history(store: Store) -> None:
    assert count(store) == 0
    assert not database.path_of(store).exists()


def test_a_newer_file_is_left_alone(store: Store, make_run: MakeRun) -> None:
    add(store, make_run())
    connection = sqlite3.connect(database.path_of(store))
    connection.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    connection.close()
    with pytest.raises(InfraError, match="is newer than this rig: its version is 2, and") as caught:
        add(store, make_run("runs/x"))
    assert "update the rig; or move it away" in caught.value.hint


def test_an_older_file_is_brought_up_to_date(
    store: Store, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, make_run())
    step = "ALTER TABLE run ADD COLUMN host TEXT NOT NULL DEFAULT 'here';"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, step))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with database.reading(store) as connection:
        assert connection.execute("SELECT host FROM run").fetchall() == [("here",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert add(store, make_run("runs/x")) == 1


def test_a_step_that_fails_leaves_the_older_file(
    store: Store, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, make_run())
    with monkeypatch.context() as patched:
        step = "CREATE TABLE more (id INTEGER);\nSELECT * FROM nothing;"
        patched.setattr(schema, "STEPS", (*schema.STEPS, step))
        patched.setattr(schema, "VERSION", schema.VERSION + 1)
        with pytest.raises(InfraError):
            count(store)
    assert count(store) == 1
    assert add(store, make_run("runs/x")) == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"this is no database, and never was one. " * 100, "is damaged: file is not"),
        (lambda data: data[:100] + bytes(len(data) - 100), "is damaged"),
        (lambda data: data[: len(data) // 2], "is damaged"),
        (lambda data: data[:4096] + os.urandom(len(data) - 4096), "is damaged"),
    ],
)
def test_a_damaged_file_is_said(
    store: Store, make_run: MakeRun, damage: Callable[[bytes], bytes], message: str
) -> None:
    add(store, *(make_run(f"runs/{number}") for number in range(50)))
    path = database.path_of(store)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InfraError, match=message) as caught:
        add(store, make_run("runs/x"))
        count(store, "results")
    assert f"mv {path} {path}.old" in caught.value.hint


def test_a_file_of_another_program_is_left_alone(store: Store, make_run: MakeRun) -> None:
    connection = sqlite3.connect(database.path_of(store))
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()
    with pytest.raises(InfraError, match="is not a history of the rig"):
        add(store, make_run())


def test_a_full_disk_is_said(store: Store, make_run: MakeRun) -> None:
    add(store, make_run())
    with pytest.raises(DiskFull), database.writing(store) as writer:
        writer.connection.execute("PRAGMA max_page_count=1")
        writer.add(make_run(f"runs/{number}") for number in range(1000))
    assert count(store) == 1


def test_a_file_that_somebody_holds_is_said(
    store: Store, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT", 0.05)
    with database.writing(store) as writer:
        writer.add([make_run()])
        with pytest.raises(InfraError, match=r"is locked: another program has held it"):
            add(store, make_run("runs/x"))
        assert count(store) == 0, "readers do not wait"
    assert count(store) == 1


def test_a_store_that_cannot_be_written_is_read(
    store: Store, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, make_run())
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert count(store) == 1
    assert [path.name for path in store.root.iterdir()] == [database.FILE]


def test_text_and_numbers_that_sqlite_has_not(store: Store, make_run: MakeRun) -> None:
    odd = Result(suite="s", name="c\udcff", outcome="FAIL", reason="\0 \udcff \u202e '; DROP",
                 seconds=1, counters=(("n", 2**64 - 1, None), ("m", -(2**70), 1)))  # fmt: skip
    add(store, replace(make_run(), results=(odd,), seed=2**64))
    with database.reading(store) as connection:
        values = connection.execute("SELECT value FROM counters ORDER BY value").fetchall()
        (reason,) = connection.execute("SELECT reason FROM results").fetchone()
    assert values == [(-database.LARGEST,), (database.LARGEST,)]
    assert reason == "\0 \\udcff \u202e '; DROP"


def test_a_directory_that_does_not_exist_is_made(tmp_path: Path, make_run: MakeRun) -> None:
    assert add(Store(tmp_path / "new"), make_run()) == 1
