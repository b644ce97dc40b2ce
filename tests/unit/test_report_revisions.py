# SPDX-License-Identifier: GPL-2.0-only
"""`rig series`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rig import campaign
from rig.errors import ConfigError
from rig.report import revisions
from rig.run import RunResult
from rig.store import Store

SHELF = Path(__file__).parent.parent / "data" / "mbx" / "shelf"
Results = dict[str, tuple[RunResult, ...]]


def stored(store: Store, name: str, results: Sequence[RunResult], **change: str) -> None:
    for number, one in enumerate(results):
        known = replace(one.provenance, **change)  # type: ignore[arg-type]
        campaign.store_result(
            replace(one, provenance=known), store.root / "runs" / name / str(number)
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
    return [f"{arch} {said}" for arch, said in zip(lines[0][4:], lines[2][5:], strict=True)]


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
        ("unmap-batch@v2-1-on-v6.12", {"label": "unmap-batch@v2:1 on v6.12"}),
        ("my-unmap-batch@v2-on-v6.12", {"label": "my-unmap-batch@v2 on v6.12"}),
    ],
)
def test_runs_of_something_else(
    store: Store, results: Results, name: str, change: dict[str, str]
) -> None:
    stored(store, f"20260101-000000-{name}", results["pass"], **change)
    assert verdicts(store) == []


def test_only_some(store: Store) -> None:
    with pytest.raises(ConfigError, match="no series named 'unmap'"):
        revisions.table(store, SHELF, ["unmap"])
    assert revisions.table(store, SHELF, ["unmap-batch"]) == revisions.table(store, SHELF)
