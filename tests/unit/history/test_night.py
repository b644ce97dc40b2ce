# SPDX-License-Identifier: GPL-2.0-only
"""What changed in a night, from a database of nights."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from rig.errors import ConfigError
from rig.history import database, night, queries
from rig.history.changes import Kind
from rig.history.entries import Fate, Measured, Result, Run
from rig.history.night import Change
from rig.store import Store

MakeRun = Callable[..., Run]
Nights = Callable[..., None]


@pytest.fixture
def add(store: Store, make_run: MakeRun) -> Nights:
    """A run of the next night: the outcome of each case, `suite/name=OUTCOME`."""
    count = 0

    def one(*cases: str, again: bool = False, **rest: Any) -> None:
        nonlocal count
        count += not again
        results = []
        for case in cases:
            name, _, outcome = case.partition("=")
            suite, _, name = name.partition("/")
            results.append(Result(suite=suite, name=name, outcome=outcome or "PASS",
                                  reason="" if outcome in ("", "PASS") else f"why {count}",
                                  seconds=1))  # fmt: skip
        given = {"night": f"2026-01-{count:02}", "results": tuple(results), "commit": f"c{count}",
                 "build": f"b{count}"}  # fmt: skip
        with database.writing(store) as writer:
            path = f"runs/{count}-{again}-{rest.pop('slot', 'x86_64')}"
            writer.add([make_run(path, **{**given, **rest})])

    return one


def changed(store: Store, name: str = "") -> tuple[Change, ...]:
    with database.reading(store) as connection:
        return night.changed(connection, name)


def kinds(store: Store) -> list[tuple[str, Kind]]:
    return [(change.name, change.finding.kind) for change in changed(store)]


def test_a_new_failure_comes_first(store: Store, add: Nights) -> None:
    for _ in range(3):
        add("a/one", "a/two", "a/three=FAIL")
    add("a/one", "a/two=FAIL", "a/three")
    first, second = changed(store)
    assert (first.name, first.finding.kind, first.finding.new) == ("a/two", Kind.NEW_FAILURE, True)
    assert first.finding.text == "why 4"
    assert first.finding.commits == ("c3", "c4")
    assert first.finding.since.path == "runs/4-False-x86_64"
    assert (second.name, second.finding.kind) == ("a/three", Kind.FIXED)


def test_an_earlier_night_is_judged_by_what_was_known_then(store: Store, add: Nights) -> None:
    for outcome in ("", "", "=FAIL", "=FAIL"):
        add(f"a/one{outcome}")
    assert kinds(store) == [("a/one", Kind.STILL_FAILING)]
    (then,) = changed(store, "2026-01-03")
    assert then.finding.kind is Kind.NEW_FAILURE
    assert changed(store, "2026-01-02") == changed(store, "2025-01-01") == ()


def test_the_runs_of_a_night_count_together(store: Store, add: Nights) -> None:
    add("a/one")
    add("a/one")
    for number in range(3):
        add("a/one=FAIL", again=True, slot=f"x86_64-{number}", seed=number)
    (change,) = changed(store)
    assert change.finding.text == "3 of 4 runs failed: why 2"


def test_another_setup_is_another_line(store: Store, add: Nights, make_run: MakeRun) -> None:
    seeded = replace(make_run().setup, label="x86_64 tcg seeded", schedule="seeded")
    add("a/one")
    add("a/one=FAIL", again=True, slot="seeded", setup=seeded)
    add("a/one")
    assert kinds(store) == []
    assert [change.setup for change in changed(store, "2026-01-01")] == ["x86_64 tcg seeded"]


def test_a_benchmark_that_was_not_run_has_not_disappeared(store: Store, add: Nights) -> None:
    """Each has a run of its own, and a night may have time for some of them."""
    for benches in (("x", "y"), ("x",)):
        add("a/one")
        for name in benches:
            add(f"bench/{name}", again=True, slot=name, selected=True)
    assert kinds(store) == []


def test_a_case_appears_and_disappears(store: Store, add: Nights) -> None:
    add("a/one", "a/two")
    add("a/one", "a/two", "a/new")
    assert kinds(store) == [("a/new", Kind.APPEARED)]
    add("a/one", "a/two")
    assert kinds(store) == [("a/new", Kind.DISAPPEARED)]
    add("a/one", "a/two")
    assert kinds(store) == [], "it is told once"


def test_a_tree_that_is_new_does_not_appear_case_by_case(store: Store, add: Nights) -> None:
    add("a/one", "a/two")
    assert kinds(store) == []


def test_a_selection_of_cases_misses_none(store: Store, add: Nights) -> None:
    add("a/one", "a/two", "a/three")
    add("a/one", "a/two", selected=True)
    assert kinds(store) == []
    add("a/three")
    assert kinds(store) == []


def test_a_kernel_that_does_not_boot_is_one_change(store: Store, add: Nights) -> None:
    add("a/one", "a/two", "kernel/health")
    add("kernel/health=FAIL")
    assert kinds(store) == [("kernel/health", Kind.NEW_FAILURE)]


def test_a_guest_that_is_lost_is_one_change(store: Store, add: Nights, make_run: MakeRun) -> None:
    add("a/one", "a/two")
    lost = [
        Result(suite="a", name="one", outcome="FAIL", reason="panic", seconds=1),
        Result(suite="a", name="two", outcome="INCONCLUSIVE", reason="not run: panic", seconds=0),
    ]
    add(results=tuple(lost))
    assert kinds(store) == [("a/one", Kind.NEW_FAILURE)]


def test_a_mutants_own_failures_are_no_news(store: Store, add: Nights) -> None:
    add("a/one", mutant="no-flush")
    add("a/one=FAIL", mutant="no-flush")
    assert kinds(store) == []
    add("a/one", mutant="none")
    add("a/one=FAIL", mutant="none")
    assert kinds(store) == [("a/one", Kind.NEW_FAILURE)]


def test_a_mutant_that_is_no_longer_killed(store: Store, make_run: MakeRun) -> None:
    run = make_run()
    for number, fate in enumerate(("KILLED", "KILLED", "SURVIVED"), 1):
        entry = Fate(
            path=f"runs/{number}",
            night=f"2026-01-0{number}",
            tree=run.tree,
            setup=run.setup,
            mutant="no-flush",
            fate=fate,
            reason="a/one: passes",
        )
        equivalent = replace(entry, mutant="other", fate="EQUIVALENT")
        with database.writing(store) as writer:
            writer.add([entry, equivalent])
    assert kinds(store) == [("no-flush", Kind.SURVIVES)]


def bench(store: Store, make_run: MakeRun, values: Iterable[dict[str, float]], **rest: Any) -> None:
    with database.writing(store) as writer:
        for number, metrics in enumerate(values):
            measured = tuple(Measured(bench="b", metric=name, value=value, judged=name != "seconds")
                             for name, value in metrics.items())  # fmt: skip
            day = f"2026-{number // 28 + 1:02}-{number % 28 + 1:02}"
            writer.add([make_run(f"runs/{number}", night=day, results=(), measured=measured,
                                 build=f"b{number}", **rest)])  # fmt: skip


def test_seeded_metrics_of_a_benchmark_are_one_change(store: Store, make_run: MakeRun) -> None:
    seeded = replace(make_run().setup, label="x86_64 tcg seeded", schedule="seeded")
    metrics = {"m": 100.0, "n": 200.0, "o": 5.0, "p": 6.0, "same": 7.0, "seconds": 1.0}
    moved = {"m": 150.0, "n": 202.0, "o": 5.1, "p": 6.01, "same": 7.0, "seconds": 9.0}
    bench(store, make_run, [metrics, metrics, moved], setup=seeded)
    (change,) = changed(store)
    assert (change.name, change.finding.kind) == ("b", Kind.BENCH)
    assert change.finding.text == (
        "m 100 -> 150 (+50.0 %); o 5 -> 5.1 (+2.0 %); n 200 -> 202 (+1.0 %); and 1 more metrics"
    )


def test_live_metrics_need_more_than_a_night(store: Store, make_run: MakeRun) -> None:
    quiet = [{"m": 100.0 + number % 7 / 10} for number in range(60)]
    bench(store, make_run, [*quiet, {"m": 150.0}])
    assert kinds(store) == []
    bench(store, make_run, [*quiet, *({"m": 150.0 + number % 3} for number in range(8))])
    assert kinds(store) in ([], [("b", Kind.BENCH)])
    days = [day for day in ("2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09")
            if changed(store, day)]  # fmt: skip
    assert len(days) == 1, "it is told once"


def test_evidence_that_drifts(store: Store, make_run: MakeRun) -> None:
    with database.writing(store) as writer:
        for number in range(80):
            value = int(10_000 * 0.95 ** max(0, number - 60)) + number % 5
            result = Result(suite="a", name="one", outcome="PASS", reason="", seconds=1,
                            counters=(("pswpout", value, 2000), ("free", value, None)))  # fmt: skip
            day = f"2026-{number // 28 + 1:02}-{number % 28 + 1:02}"
            writer.add([make_run(f"runs/{number}", night=day, results=(result,))])
    (change,) = changed(store)
    assert (change.name, change.finding.kind) == ("a/one", Kind.DRIFTS)
    assert change.finding.text.startswith("pswpout was 5.0 times its floor and is 2.")


@pytest.mark.parametrize(
    ("name", "lines"),
    [("a/one", 2), ("one", 2), ("a", 3), ("v6.12", 3), ("", 3), ("no-flush", 0), ("b", 0)],
)
def test_a_name_selects_lines(
    store: Store, add: Nights, make_run: MakeRun, name: str, lines: int
) -> None:
    series = replace(make_run().tree, label="batch@v2 on v6.12", series="batch@v2")
    measured = (Measured(bench="b", metric="m", value=1, judged=True),)
    add("a/one", "a/two", measured=measured)
    add("a/one", tree=series, again=True, slot="series")
    run = make_run()
    with database.writing(store) as writer:
        writer.add([Fate(path="runs/m", night="2026-01-01", tree=run.tree, setup=run.setup,
                         mutant="no-flush", fate="KILLED", reason="")])  # fmt: skip
    with database.reading(store) as connection:
        selected = queries.select(connection, name)
        assert len(queries.lines(connection, selected)) == lines
        assert bool(queries.mutants(connection, selected)) == (name in ("v6.12", "", "no-flush"))
        assert bool(queries.benches(connection, selected)) == (name in ("v6.12", "", "b"))
        for name in ("batch", "batch@v2", "batch@v2 on v6.12"):
            assert len(queries.lines(connection, queries.select(connection, name))) == 1


def test_a_name_that_is_not_there(store: Store, add: Nights) -> None:
    with database.reading(store) as connection, pytest.raises(ConfigError, match="is empty"):
        queries.select(connection, "a/one")
    add("stale_tlb/anon_lost_write")
    with database.reading(store) as connection, pytest.raises(ConfigError) as caught:
        queries.select(connection, "stale_tlb/anon_lost_wirte")
    assert "did you mean stale_tlb/anon_lost_write" in caught.value.hint
