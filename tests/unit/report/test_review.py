# SPDX-License-Identifier: GPL-2.0-only
"""What `b4 review` is told; b4's own reading of it is in tests/intake."""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from b4.review import checks

from rig.campaigns import compare, execute, request
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import ConfigError, InfraError
from rig.kernel.tree import Subject
from rig.report import review
from rig.shelves import Shelves
from rig.store import Store
from rig.verdict.rules import Outcome, Verdict
from tests.unit.conftest import about

Results = dict[str, tuple[RunResult, ...]]
TOP = b"From: a@b\nMessage-Id: <unmap-v2-0@example.org>\nSubject: x\n\n"
ID = "unmap-v2-0@example.org"
SHELVES = Shelves(kconfigs=Path("/k"), patches=Path("/p"), images=Path("/i"))


def stored(
    store: Store, day: int, results: Sequence[RunResult], top: bytes = TOP, **change: object
) -> None:
    for number, result in enumerate(results):
        origin = about(result.provenance, **change)  # type: ignore[arg-type]
        path = store.root / "runs" / f"2026010{day}-000000-x" / str(number)
        execute.store_result(replace(result, provenance=origin), path)
        (path / "top.eml").write_bytes(top)


def brief(entries: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(entry["tool"], entry["status"]) for entry in entries]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("pass", [("rig/x86_64", "pass"), ("rig/arm64", "pass")]),
        ("splat", [("rig/x86_64", "fail")]),
        ("build", [("rig/x86_64", "fail")]),
        ("inconclusive", [("rig/x86_64", "warn")]),
        ("broken", [("rig/arm64", "warn")]),
    ],
)
def test_an_outcome_in_b4s_words(
    store: Store, results: Results, kind: str, said: list[tuple[str, str]]
) -> None:
    stored(store, 1, results[kind])
    entries = review.check(Context(store, SHELVES), ID)
    assert brief(entries) == said
    for entry in entries:
        assert set(entry) == {"tool", "status", "summary", "url", "details"}
        assert entry["summary"].startswith(f"{results[kind][0].verdict.outcome}: ")
        assert "\n" not in entry["summary"]
        assert "rig report 20260101-000000-x" in entry["details"]
    assert json.loads(review.render(entries)) == entries


def test_whose_failure_it_is_is_said(store: Store, results: Results) -> None:
    """A failure of the base is no fail of the series (outcome rule 8)."""
    stored(store, 1, results["blamed"])
    x86_64, arm64 = review.check(Context(store, SHELVES), ID)
    assert (x86_64["status"], arm64["status"]) == ("fail", "warn")
    by = "introduced by patch 3/4 (mm/rmap: unmap a folio's PTEs at once); undecided; not run"
    assert f"(and 1 more FAIL); {by}" in x86_64["summary"]
    assert arm64["summary"].startswith("INCONCLUSIVE: already there without the series: stale_tlb/")
    assert "up to patch 2 in 0 of 8" in x86_64["details"]


def test_of_several_runs_the_newest_of_several_results_the_worst(
    store: Store, results: Results
) -> None:
    stored(store, 1, results["splat"])
    stored(store, 2, (*results["repeated"], *results["inconclusive"]))
    (entry,) = review.check(Context(store, SHELVES), ID)
    assert (entry["status"], " (4 runs)" in entry["summary"]) == ("warn", True)


@pytest.mark.parametrize(
    ("top", "change"),
    [
        (TOP.replace(b"v2", b"v1"), {}),
        (b"", {}),
        (TOP, {"mutant": "no-flush"}),
        (TOP, {"subject": Subject(base="v6.12", series=("unmap-batch@v2",), upto=1)}),
    ],
)
def test_what_was_not_run(
    store: Store, results: Results, top: bytes, change: dict[str, str]
) -> None:
    stored(store, 1, results["pass"], top, **change)
    (entry,) = review.check(Context(store, SHELVES), ID)
    assert (entry["tool"], entry["status"], entry["summary"]) == ("rig", "warn", "not run yet")
    assert entry["details"] == f"rig run {ID}"


def test_a_bench_is_no_run(store: Store, results: Results) -> None:
    stored(store, 1, results["pass"])
    (store.root / "runs" / "20260101-000000-x" / compare.FILE).write_text("[]")
    (entry,) = review.check(Context(store, SHELVES), ID)
    assert entry["summary"] == "not run yet"


def test_a_series_that_does_not_bisect_fails(store: Store, results: Results) -> None:
    part, own = results["each-patch"]
    broken = Verdict(outcome=Outcome.FAIL, reason="patch 1/3 (mm: one): it does not compile")
    stored(store, 1, [replace(part, verdict=broken), own])
    (entry,) = review.check(Context(store, SHELVES), ID)
    assert (entry["status"], entry["summary"][:18]) == ("fail", "FAIL: patch 1/3 (m")


def test_it_is_run_on_request(
    store: Store, results: Results, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def specs(context: Context, one: Request) -> tuple[RunSpec, ...]:
        asked.append(one)
        return (spec,)

    monkeypatch.setattr(request, "fetched", lambda shelves, one: one)
    monkeypatch.setattr(request, "specs", specs)
    monkeypatch.setattr(execute, "execute", lambda *given: results["pass"])
    entries = review.check(Context(store, SHELVES), ID, ("x86_64", "arm64"), run=True)
    assert brief(entries) == [("rig/x86_64", "pass"), ("rig/arm64", "pass")]
    assert asked == [Request(target=ID, arch=("x86_64", "arm64"))]
    stored(store, 1, results["splat"])
    again = review.check(Context(store, SHELVES), ID, ("arm64",), run=True)
    assert brief(again) == [("rig/x86_64", "fail")]
    assert len(asked) == 1, "what was run is not run again"


@pytest.mark.parametrize(
    ("own", "python", "words"),
    [
        ("my venv #1/bin/rig", "none/python", ["my venv #1/bin/rig"]),
        ("rig/__main__.py", "venv/bin/python", ["venv/bin/rig"]),
        ("rig/__main__.py", "none/python", ["none/python", "-m", "rig"]),
    ],
)
def test_b4_is_configured_with_the_path_of_this_rig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, python: str, words: list[str]
) -> None:
    """Which b4 would not find in a virtual environment; read back by git and b4."""
    for name in ("my venv #1/bin/rig", "venv/bin/rig", "rig/__main__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [own])
    monkeypatch.setattr(sys, "executable", str(tmp_path / python))
    tree = tmp_path / "my linux"
    subprocess.run(["git", "init", "-q", tree], check=True)
    line = review.configuration(("arm64", "x86_64"), Path("my linux"), run=True)
    subprocess.run(shlex.split(line), check=True, cwd="/")
    words_of_git = ["git", "-C", tree, "config", "b4.review-series-check-cmd"]
    configured = subprocess.run(words_of_git, check=True, capture_output=True, text=True).stdout
    assert checks.parse_cmd(configured) == [
        str(tmp_path / words[0]), *words[1:], "b4-check", "--run", "--tree", str(tree),
        "--arch", "arm64,x86_64",
    ]  # fmt: skip


def test_b4_is_configured_for_every_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["rig"])
    monkeypatch.setattr(sys, "executable", "/none/python")
    line = review.configuration(("x86_64",), None, run=False)
    assert line == "git config b4.review-series-check-cmd '/none/python -m rig b4-check'"
    for arches, tree in ((("amr64",), None), (("arm64",), Path("/gone"))):
        with pytest.raises(ConfigError):
            review.configuration(arches, tree, run=False)


@pytest.mark.parametrize("mail", [b"", b"Subject: x\n\n", b"\xff\x00"])
def test_a_mail_without_a_name(store: Store, mail: bytes) -> None:
    (entry,) = review.check(Context(store, SHELVES), review.message_id(mail))
    assert entry["status"] == "warn"


@pytest.mark.parametrize("error", [InfraError("no disk", hint="h", detail="d"), ConfigError("no")])
def test_trouble_is_not_the_series(error: Any) -> None:
    (entry,) = review.trouble(error)
    assert (entry["status"], entry["summary"]) == ("warn", error.message)
