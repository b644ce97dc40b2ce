# SPDX-License-Identifier: GPL-2.0-only
"""Before and after on real kernels: exact where it is seeded, and claims that get their answer."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig import arch, proc
from rig.benches import benchmark
from rig.campaigns import execute, request
from rig.campaigns.options import Request
from rig.campaigns.statistics import Difference
from rig.context import Context
from rig.shelves import Shelves
from rig.store import Store
from rig.verdict.rules import Outcome

BOTH = ",".join(arch.standard())


def seeded(
    target: str, file: Path, *words: str, on: str = BOTH, rounds: int = 1
) -> list[dict[str, Any]]:
    """Rounds of seed 1, 2, … on each architecture, from --json. One seed decides nothing."""
    argv = [sys.executable, "-m", "rig", "bench", target, "--schedule", "seeded"]
    argv += ["--rounds", str(rounds), "--arch", on]
    result = proc.run([*argv, "--json", file, *words], check=False, deadline=3600)
    assert result.status == (0 if rounds > 1 else 4), result.stdout + result.stderr
    comparisons: list[dict[str, Any]] = json.loads(file.read_text())
    return comparisons


def test_a_kernel_is_itself_to_the_last_digit(tmp_path: Path) -> None:
    words = ("--against", "v6.12", "--bench", "shared_dirty_reclaim,lazyfree_reclaim")
    comparisons = seeded("v6.12", tmp_path / "out.json", *words)
    assert len(comparisons) == 2 * len(arch.standard())
    for comparison in comparisons:
        counted = {line["metric"] for line in comparison["lines"]}
        has_flush_ipis = (
            comparison["machine"]["arch"] == "x86_64" and "shared" in comparison["bench"]
        )
        assert ("tlb_shootdowns_per_page" in counted) == has_flush_ipis
        assert counted & {"instructions_per_page", "instructions_per_folio"}
        for line in comparison["lines"]:
            assert line["before"] == line["after"]
            assert line["difference"] in (Difference.SAME, Difference.NOT_JUDGED)


def test_lazyfree_folios_are_not_split_any_more_and_cost_less(tmp_path: Path) -> None:
    target, words = "lazyfree-batched-unmap@v4", ("--bench", "lazyfree_reclaim")
    for comparison in seeded(target, tmp_path / "out.json", *words):
        lines = {line["metric"]: line for line in comparison["lines"]}
        ((before,), (after,)) = (lines["split_deferred"][side] for side in ("before", "after"))
        assert (before, after) == (2048, 0)
        ((before,), (after,)) = (
            lines["instructions_per_folio"][side] for side in ("before", "after")
        )
        assert after < before
        assert comparison["claims"][0]["word"] == "UNDECIDED", "by one seed"
    (comparison,) = seeded(target, tmp_path / "all.json", *words, on="x86_64", rounds=7)
    lines = {line["metric"]: line for line in comparison["lines"]}
    assert lines["instructions_per_folio"]["difference"] == Difference.LOWER
    assert comparison["claims"][0]["word"] == "REPRODUCED"


@pytest.mark.parametrize(
    ("target", "name", "least", "most"),
    [
        ("unmap-flush-ablation@v1", "shared_clean_reclaim", 3, 10),
        ("batch-dirty-tlb-flush@v2", "shared_dirty_reclaim", 0.05, 0.5),
    ],
)
def test_what_flushes_cost_each_page_is_seen(
    target: str, name: str, least: float, most: float, tmp_path: Path
) -> None:
    """On x86_64, which sends IPIs: times as many with batching taken away, or with more of it."""
    (comparison,) = seeded(target, tmp_path / "out.json", "--bench", name, on="x86_64")
    lines = {line["metric"]: line for line in comparison["lines"]}
    (before,), (after,) = (lines["tlb_shootdowns_per_page"][side] for side in ("before", "after"))
    assert least < after / before < most


@pytest.mark.parametrize("name", list(arch.standard()))
def test_stress_ng_works_in_the_image_that_has_it(name: str) -> None:
    """A guest, for the statistics' nine rounds of it are minutes."""
    store, shelves = Store.default(), Shelves.default()
    bench = benchmark.pick("dirty_reclaim")
    (spec,) = request.specs(Context(store, shelves), Request(target="v6.12", arch=(name,)))
    spec = replace(spec, suites=(bench.selection,))
    directory = execute.new_directory(store, f"stress-ng-{name}")
    results = {
        image: execute.execute(
            Context(store, shelves), [replace(spec, image=image)], directory, suffix=f"-{image}"
        )[0]
        for image in (bench.image, "test")
    }
    has, lacks = results.values()
    assert has.verdict.outcome is Outcome.PASS, has.verdict.reason
    ((case,),) = (suite.cases for suite in has.suites)
    assert {"bogo_ops", "pgsteal_anon"} <= dict(case.counters).keys()
    assert lacks.verdict.outcome is Outcome.INCONCLUSIVE
    assert "this image has no /usr/bin/stress-ng" in lacks.verdict.reason
