# SPDX-License-Identifier: GPL-2.0-only
"""What a night's plan asks history: when a row was run last, and how long its runs take."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count

import pytest

from rig.history import database, rows, schema
from rig.history.entries import Result
from tests.unit.history.conftest import SETUP, TREE, MakeRun

Add = Callable[..., None]
HERE = ((TREE.label, TREE.source), SETUP.label)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("".join(schema.STEPS))
        yield connection


@pytest.fixture
def add(connection: sqlite3.Connection, make_run: MakeRun) -> Add:
    writer, numbers = database.Writer(connection), count()

    def one(*cases: str, seconds: float = 1.0, **rest: object) -> None:
        results = tuple(
            Result(suite=case.split("/")[0], name=case.split("/")[1], outcome="PASS", reason="",
                   seconds=seconds)
            for case in cases
        )  # fmt: skip
        writer.add([make_run(f"runs/a/{next(numbers)}", results=results, **rest)])

    return one


def test_the_last_night_of_a_row(connection: sqlite3.Connection, add: Add) -> None:
    assert rows.last(connection, *HERE, ["stale_tlb"]) is None
    add("stale_tlb/a", night="2026-11-01", commit="old", outcome="FAIL")
    add("stale_tlb/a", night="2026-11-02", commit="new", outcome="FAIL")
    add("stale_tlb/a", night="2026-11-02", commit="new")
    add("reclaim/b", night="2026-11-03", commit="other")
    add("stale_tlb/a", night="2026-11-04", tree=replace(TREE, source="/l"))
    add("stale_tlb/a", night="2026-11-04", setup=replace(SETUP, label="arm64"))
    add("stale_tlb/a", night="2026-11-04", mutant="no-flush")
    last = rows.last(connection, *HERE, ["stale_tlb"])
    assert last == rows.Last(night="2026-11-02", commit="new", build="b01d", failed=True)
    last = rows.last(connection, *HERE, ["reclaim/b"])
    assert last and (last.night, last.failed) == ("2026-11-03", False)
    assert rows.last(connection, *HERE, ["reclaim/c"]) is None
    add("stale_tlb/a", night="2026-11-05")
    last = rows.last(connection, *HERE, ["stale_tlb"])
    assert last and not last.failed


def test_a_kernel_that_was_not_built_was_run_last(connection: sqlite3.Connection, add: Add) -> None:
    add("stale_tlb/a", night="2026-11-01")
    add("kernel/health", night="2026-11-02", outcome="FAIL", build="")
    last = rows.last(connection, *HERE, ["stale_tlb"])
    assert last and (last.night, last.failed, last.build) == ("2026-11-02", True, "")


def test_seconds_are_the_median_of_boot_and_suites(
    connection: sqlite3.Connection, add: Add
) -> None:
    for seconds in (1.0, 2.0, 100.0):
        add("kernel/health", "stale_tlb/a", "stale_tlb/b", "reclaim/b", seconds=seconds)
    assert rows.seconds(connection, *HERE, ["stale_tlb"]) == 2.0 + 2 * 2.0
    assert rows.seconds(connection, *HERE, ["stale_tlb", "reclaim"]) == 2.0 + 3 * 2.0
    assert rows.seconds(connection, *HERE, ["stale_tlb", "madv_free"]) is None
    # Of another tree on the same machine, but not of another machine.
    elsewhere = ("v7.2", "")
    assert rows.seconds(connection, elsewhere, SETUP.label, ["stale_tlb"]) == 6.0
    assert rows.seconds(connection, elsewhere, "arm64 tcg live", ["stale_tlb"]) is None


def test_a_run_of_some_cases_is_no_measure_of_a_suite(
    connection: sqlite3.Connection, add: Add
) -> None:
    add("stale_tlb/a", seconds=1.0, selected=True)
    assert rows.seconds(connection, *HERE, ["stale_tlb"]) is None
    assert rows.seconds(connection, *HERE, ["stale_tlb/a"]) == 1.0
