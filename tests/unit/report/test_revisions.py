# SPDX-License-Identifier: GPL-2.0-only
"""`rig series`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig.campaigns import compare, execute, mutation
from rig.campaigns.results import RunResult
from rig.errors import ConfigError
from rig.kernel.tree import Subject
from rig.log import Event
from rig.report import revisions
from rig.store import Store
from rig.verdict.rules import Outcome, Verdict
from tests.unit.conftest import about

SHELF = Path(__file__).parents[2] / "data" / "mbx" / "shelf"
V2 = Subject(base="v6.12", series=("unmap-batch@v2",))
Results = dict[str, tuple[RunResult, ...]]


def stored(store: Store, name: str, results: Sequence[RunResult], **change: object) -> None:
    for number, result in enumerate(results):
        origin = about(result.provenance, **change)  # type: ignore[arg-type]
        execute.store_result(
            replace(result, provenance=origin), store.root / "runs" / name / str(number)
        )


def test_without_runs(store: Store) -> None:
    assert revisions.table(store, SHELF) == (
        "series          patches  base         date\n"
        "unmap-batch@v1  2        -            2026-03-02\n"
        "unmap-batch@v2  3        v6.12, v9.9  2026-03-02\n"
    )


def verdicts(store: Store) -> list[str]:
    """Of v2, by architecture."""
    lines = [line.split() for line in revisions.table(store, SHELF).splitlines()]
    return [f"{arch} {outcome}" for arch, outcome in zip(lines[0][4:], lines[2][5:], strict=True)]


def test_the_last_verdict_on_each_architecture(store: Store, results: Results) -> None:
    stored(store, "20260101-000000-unmap-batch@v2-on-v6.12", results["inconclusive"])
    assert verdicts(store) == ["x86_64 INCONCLUSIVE"]
    stored(store, "20260102-000000-unmap-batch@v2-on-v6.12", results["pass"])
    assert verdicts(store) == ["x86_64 PASS", "arm64 PASS"]
    stored(store, "20260103-000000-unmap-batch@v2-on-v6.12", results["splat"])
    assert verdicts(store) == ["x86_64 FAIL", "arm64 PASS"]
    lines = revisions.table(store, SHELF).splitlines()
    assert lines[1].split()[-2:] == ["-", "-"], "v1 was not run"


def test_of_a_run_that_is_repeated_the_worst(store: Store, results: Results) -> None:
    both = (*results["pass"], *results["inconclusive"])
    stored(store, "20260101-000000-unmap-batch@v2-on-v6.12", both)
    assert verdicts(store) == ["x86_64 INCONCLUSIVE", "arm64 PASS"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("unmap-batch@v2-on-v6.12", {"mutant": "no-flush"}),
        (
            "unmap-batch@v2-1-on-v6.12",
            {"subject": Subject(base="v6.12", series=("unmap-batch@v2",), upto=1)},
        ),
        (
            "my-unmap-batch@v2-on-v6.12",
            {"subject": Subject(base="v6.12", series=("my-unmap-batch@v2",))},
        ),
    ],
)
def test_runs_of_something_else(
    store: Store, results: Results, name: str, change: dict[str, Any]
) -> None:
    stored(store, f"20260101-000000-{name}", results["pass"], **change)
    assert verdicts(store) == []


@pytest.mark.parametrize("file", [compare.FILE, mutation.FILE])
def test_a_bench_tests_nothing(store: Store, results: Results, file: str) -> None:
    name = "20260101-000000-bench-unmap-batch@v2-on-v6.12"
    stored(store, name, results["pass"])
    assert verdicts(store) == ["x86_64 PASS", "arm64 PASS"]
    (store.root / "runs" / name / file).write_text("[]")
    assert verdicts(store) == []
    (store.root / "runs" / name / file).unlink()
    (first, *_) = results["pass"]
    interrupted = replace(first, suites=(replace(first.suites[0], suite="bench"),))
    stored(store, name, [interrupted, interrupted])
    assert verdicts(store) == []


def test_a_series_that_does_not_bisect_fails(store: Store, results: Results) -> None:
    part, own = results["each-patch"]
    stored(store, "20260101-000000-unmap-batch@v2-on-v6.12", [part])
    assert verdicts(store) == [], "a part is not the series"
    execute.store_result(own, store.root / "runs" / "20260101-000000-unmap-batch@v2-on-v6.12" / "1")
    execute.store_result(
        replace(part, verdict=Verdict(outcome=Outcome.FAIL, reason="it does not compile")),
        store.root / "runs" / "20260101-000000-unmap-batch@v2-on-v6.12" / "0",
    )
    assert verdicts(store) == ["x86_64 FAIL"]


def test_a_damaged_run_does_not_hide_the_others(
    store: Store, results: Results, events: list[Event]
) -> None:
    stored(store, "20260101-000000-unmap-batch@v2-on-v6.12", results["pass"])
    stored(store, "20260102-000000-unmap-batch@v2-on-v6.12", results["splat"])
    (path,) = store.root.glob("runs/20260102*/0/result.json")
    path.write_text("{")
    assert verdicts(store) == ["x86_64 PASS", "arm64 PASS"]
    assert any("is damaged" in str(event) for event in events)


def test_only_some(store: Store) -> None:
    with pytest.raises(ConfigError, match="no series named 'unmap'"):
        revisions.table(store, SHELF, ["unmap"])
    assert revisions.table(store, SHELF, ["unmap-batch"]) == revisions.table(store, SHELF)
