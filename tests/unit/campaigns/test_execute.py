# SPDX-License-Identifier: GPL-2.0-only
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig import log
from rig.campaigns import execute as executing
from rig.campaigns import pipeline
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import ApplyError, BuildError, ConfigError, InfraError
from rig.guest.qemu import Accel, Machine
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.series import model
from rig.shelves import Shelves
from rig.store import Store
from rig.verdict.rules import Outcome

BASE = Base(name="v6.12", commit="c0ffee", origin="a test")
SHELVES = Shelves(kconfigs=Path("/k"), patches=Path("/p"), images=Path("/i"))
Results = dict[str, tuple[RunResult, ...]]
Stage = Callable[..., Any]


def spec(arch: str = "x86_64", mutant: str = "", **rest: Any) -> RunSpec:
    machine = Machine(arch=arch, accel=Accel.TCG)
    asked = Request(target="v6.12", mutant=mutant, arch=(arch,))
    return RunSpec(request=asked, tree=TreeSpec(base=BASE), machine=machine, **rest)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, results: Results) -> list[str]:
    """Preparing and running take no time here; what was run is listed."""
    finished: list[str] = []

    class Prepared:
        def __init__(self, spec: RunSpec) -> None:
            self.spec = spec

    def execute(prepared: Prepared, directory: Path) -> RunResult:
        finished.append(f"{prepared.spec.machine.arch} in {directory.name}")
        (result, *_) = results["pass"]
        origin = replace(result.provenance, request=prepared.spec.request)
        return replace(result, machine=prepared.spec.machine, provenance=origin)

    monkeypatch.setattr(executing, "Prepared", Prepared)
    monkeypatch.setattr(pipeline, "prepare", lambda context, spec: Prepared(spec))
    monkeypatch.setattr(pipeline, "execute", execute)
    return finished


def fails(monkeypatch: pytest.MonkeyPatch, error: Exception, arch: str = "") -> None:
    """Preparing fails so, for one architecture or any."""
    prepare = pipeline.prepare

    def failing(context: Context, spec: RunSpec) -> Any:
        if arch in ("", spec.machine.arch):
            raise error
        return prepare(context, spec)

    monkeypatch.setattr(pipeline, "prepare", failing)


# Directories


def test_a_run_has_a_directory_of_its_own(store: Store) -> None:
    first, second = (executing.new_directory(store, "unmap-batch@v2:3") for _ in range(2))
    assert first != second
    assert first.parent == second.parent == store.root / "runs"
    assert re.fullmatch(r"\d{8}-\d{6}-unmap-batch@v2-3(-2)?", first.name)


@pytest.mark.parametrize(
    ("label", "ending"),
    [("../../etc/x y.mbx", "..-..-etc-x-y.mbx"), ("a" * 300, "a" * 80), ("ä\n", "-")],
)
def test_any_target_makes_a_name(store: Store, label: str, ending: str) -> None:
    path = executing.new_directory(store, label)
    assert path.name[16:] == ending
    assert path.parent == store.root / "runs"


@pytest.mark.parametrize(
    ("arches", "names"),
    [
        (["x86_64"], ["x86_64"]),
        (["x86_64", "arm64"], ["x86_64", "arm64"]),
        (["x86_64", "arm64", "x86_64"], ["x86_64-1", "arm64", "x86_64-2"]),
        (["arm64"] * 10, [*(f"arm64-0{n}" for n in range(1, 10)), "arm64-10"]),
    ],
)
def test_each_result_has_a_directory_of_its_own(
    store: Store, ready: list[str], tmp_path: Path, arches: list[str], names: list[str]
) -> None:
    """Also those of one spec that is repeated."""
    specs = {name: spec(name) for name in arches}
    results = executing.execute(
        Context(store, SHELVES), [specs[name] for name in arches], tmp_path / "run"
    )
    assert [result.machine.arch for result in results] == arches
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(names)
    assert sorted(ready) == sorted(f"{a} in {n}" for a, n in zip(arches, names, strict=True))
    assert len(executing.load_all(tmp_path / "run")) == len(arches)


# Executing


def test_results_are_stored_as_they_were(store: Store, ready: list[str], tmp_path: Path) -> None:
    (result,) = executing.execute(Context(store, SHELVES), [spec()], tmp_path)
    assert executing.load(tmp_path / "x86_64" / "result.json") == result
    assert [path.name for path in (tmp_path / "x86_64").iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ApplyError("patch 2/3 does not apply", detail="@@ -1 +1 @@", hint="--base"), Outcome.FAIL),
        (BuildError("it does not compile: x.c:1", detail="x.c:1: error"), Outcome.FAIL),
        (InfraError("gcc is not installed", hint="rig doctor --fix"), Outcome.BROKEN),
    ],
)
def test_what_cannot_be_prepared_has_its_verdict_without_a_boot(
    store: Store,
    ready: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Any,
    outcome: Outcome,
) -> None:
    fails(monkeypatch, error)
    (result,) = executing.execute(Context(store, SHELVES), [spec(mutant="no-flush")], tmp_path)
    assert (result.verdict.outcome, result.verdict.reason) == (outcome, error.message)
    assert result.detail == "\n".join(filter(None, (error.detail, error.hint)))
    assert result.provenance.origin == "a test"
    assert result.machine.cmdline == ("rig.mutant=no-flush",)
    assert ready == []
    assert executing.load_all(tmp_path) == (result,)


def test_first_patches_come_in_their_order_and_before_the_whole(
    tmp_path: Path, results: dict[str, tuple[RunResult, ...]]
) -> None:
    (result, *_) = results["pass"]
    names = ("arm64-v2:1", "arm64-v2:2", "arm64-v2:10", "arm64-v2", "x86_64-v2:1", "x86_64-v2")
    for name in names:
        changed = replace(result.provenance, label=name)
        executing.store_result(replace(result, provenance=changed), tmp_path / name)
    assert tuple(loaded.provenance.label for loaded in executing.load_all(tmp_path)) == names


def test_the_other_architecture_has_its_verdict_all_the_same(
    store: Store, ready: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, BuildError("it does not compile"), "x86_64")
    results = executing.execute(Context(store, SHELVES), [spec("x86_64"), spec("arm64")], tmp_path)
    assert [result.verdict.outcome for result in results] == [Outcome.FAIL, Outcome.PASS]
    assert [result.machine.arch for result in executing.load_all(tmp_path)] == ["arm64", "x86_64"]


def test_bad_input_is_raised_and_what_ran_before_is_kept(
    store: Store, ready: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, ConfigError("1 of the requested settings cannot be set"), "arm64")
    monkeypatch.setattr(executing.proc, "stop_all", lambda: None)
    with pytest.raises(ConfigError, match="cannot be set"):
        executing.execute(Context(store, SHELVES), [spec("x86_64"), spec("arm64")], tmp_path)
    assert {path.parent.name for path in tmp_path.glob("*/result.json")} <= {"x86_64"}


def test_guests_runside_by_side(
    store: Store,
    ready: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    results: Results,
) -> None:
    together = threading.Barrier(2, timeout=120)

    def execute(prepared: Any, directory: Path) -> RunResult:
        together.wait()
        return results["pass"][0]

    monkeypatch.setattr(pipeline, "execute", execute)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(executing, "side_by_side", lambda specs: 2)
    executing.execute(Context(store, SHELVES), [spec("x86_64"), spec("arm64")], tmp_path)
    assert not together.broken


@pytest.mark.parametrize(
    ("cpus", "available", "wanted", "guests"),
    [(4, 100_000, 2, 2), (1, 100_000, 2, 1), (8, 3000, 8, 1), (8, 4000, 8, 2), (4, 100, 2, 1)],
)
def test_only_as_many_guests_as_the_host_has_room_for(
    monkeypatch: pytest.MonkeyPatch, cpus: int, available: int, wanted: int, guests: int
) -> None:
    """In three quarters of the memory that is available, 1024 MiB and QEMU's own for each."""
    meminfo = f"MemTotal: 1 kB\nMemFree: 2 kB\nMemAvailable:   {available << 10} kB\n"
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cpus)))
    monkeypatch.setattr(Path, "read_text", lambda path: meminfo)
    assert executing.side_by_side([spec()] * wanted) == guests


def test_a_guests_steps_are_part_of_the_one_that_waits_for_them(
    store: Store,
    ready: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    results: Results,
    events: list[log.Event],
) -> None:
    def execute(prepared: Any, directory: Path) -> RunResult:
        with log.step("Booting"):
            return results["pass"][0]

    monkeypatch.setattr(pipeline, "execute", execute)
    with log.step("The campaign") as outer:
        executing.execute(Context(store, SHELVES), [spec()], tmp_path)
    (booting,) = [event for event in events if event.title == "Booting" and event.kind == "begin"]
    assert booting.parent == outer.number


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConfigError("no such setting")])
def test_an_interrupt_ends_the_other_guests_and_stores_nothing_of_them(
    store: Store,
    ready: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    results: Results,
    error: Any,
) -> None:
    """They are killed, and would be BROKEN. The verdict of the run before stays the last one."""
    stopped, runs = threading.Event(), store.root / "runs"
    executing.execute(Context(store, SHELVES), [spec()], runs / "20260101-000000-a")

    def execute(prepared: Any, directory: Path) -> RunResult:
        assert stopped.wait(120)
        return results["broken"][0]

    monkeypatch.setattr(pipeline, "execute", execute)
    monkeypatch.setattr(executing.proc, "stop_all", stopped.set)
    fails(monkeypatch, error, "arm64")
    both = [spec("x86_64"), spec("arm64")]
    with pytest.raises(type(error)):
        executing.execute(Context(store, SHELVES), both, runs / "20260102-000000-b")
    assert stopped.is_set()
    assert list(runs.glob("*-b/*/result.json")) == []
    assert executing.find(store).name == "20260101-000000-a"


def test_a_run_that_was_interrupted_in_the_middle_is_passed_over(
    store: Store, ready: list[str], results: Results
) -> None:
    """As one that was killed by SIGKILL, and one that is still running."""
    stored(store, results, "20260101-1-a", "20260102-1-b")
    pending = store.root / "runs" / "20260102-1-b" / "arm64"
    pending.mkdir()
    (pending / "pending").touch()
    assert [path.name for path in executing.runs(store)] == ["20260101-1-a"]
    assert executing.find(store).name == "20260101-1-a"
    assert executing.find(store, "20260102-1-b").name == "20260102-1-b", "by its whole name"


@pytest.mark.parametrize("gone", ["file", "directory"])
def test_a_result_that_is_gone_is_inconclusive(
    store: Store, results: Results, tmp_path: Path, gone: str
) -> None:
    """The result of the other architecture alone is no PASS."""
    (whole, other) = results["pass"]
    for result in (whole, other):
        asked = replace(result.provenance.request, arch=("x86_64", "aarch64"))
        origin = replace(result.provenance, request=asked)
        executing.store_result(replace(result, provenance=origin), tmp_path / result.machine.arch)
    assert len(executing.load_all(tmp_path)) == 2
    (tmp_path / "arm64" / "result.json").unlink()
    if gone == "directory":
        (tmp_path / "arm64").rmdir()
    kept, missing = executing.load_all(tmp_path)
    assert (kept.machine.arch, kept.verdict.outcome) == ("x86_64", Outcome.PASS)
    assert (missing.machine.arch, missing.verdict.outcome) == ("arm64", Outcome.INCONCLUSIVE)
    assert missing.verdict.reason.startswith("no result is stored")


def test_a_repetition_that_is_gone_is_inconclusive(results: Results, tmp_path: Path) -> None:
    result = results["pass"][0]
    asked = replace(result.provenance.request, repeat=3)
    repeated = replace(result, provenance=replace(result.provenance, request=asked))
    for number in (1, 3):
        executing.store_result(repeated, tmp_path / f"x86_64-{number}")
    outcomes = [loaded.verdict.outcome for loaded in executing.load_all(tmp_path)]
    assert outcomes == [Outcome.PASS, Outcome.PASS, Outcome.INCONCLUSIVE]


# What is stored


@pytest.mark.parametrize(
    "kind", ["pass", "repeated", "fail", "inconclusive", "splat", "build", "boot", "broken"]
)
def test_a_result_comes_back_as_it_was(kind: str, results: Results, tmp_path: Path) -> None:
    for result in results[kind]:
        executing.store_result(result, tmp_path / kind)
        assert executing.load(tmp_path / kind / "result.json") == result


@pytest.mark.parametrize("change", ["truncated", "other", "binary"])
def test_a_result_that_cannot_be_read_is_said(
    change: str, results: Results, tmp_path: Path
) -> None:
    executing.store_result(results["pass"][0], tmp_path)
    path = tmp_path / "result.json"
    data = path.read_bytes()
    document = json.loads(data)
    document["verdict"]["outcome"] = "MAYBE"
    broken = {"truncated": data[:-9], "other": json.dumps(document).encode(), "binary": b"\xff\x00"}
    path.write_bytes(broken[change])
    with pytest.raises(InfraError, match=r"result\.json cannot be read") as bad:
        executing.load(path)
    assert bad.value.detail
    assert bad.value.hint.startswith("delete ")


def stored(store: Store, results: Results, *names: str) -> None:
    for name in names:
        executing.store_result(results["pass"][0], store.root / "runs" / name / "x86_64")


def test_finding_a_run(store: Store, results: Results) -> None:
    with pytest.raises(ConfigError, match="no stored run yet") as bad:
        executing.find(store)
    assert "rig run" in bad.value.hint
    stored(store, results, "20260101-1-a", "20260102-1-b", "20260102-1-b-2")
    (store.root / "runs" / "20260103-1-killed" / "x86_64").mkdir(parents=True)
    assert [path.name for path in executing.runs(store)][-1] == "20260102-1-b-2"
    assert executing.find(store).name == "20260102-1-b-2"
    assert executing.find(store, "0101").name == "20260101-1-a"
    assert executing.find(store, "20260102-1-b").name == "20260102-1-b"
    with pytest.raises(ConfigError, match="'0102' matches 2 runs") as bad:
        executing.find(store, "0102")
    assert bad.value.hint == "the newest is 20260102-1-b-2"
    with pytest.raises(ConfigError, match="no run named '20260101-1-aa'") as bad:
        executing.find(store, "20260101-1-aa")
    assert "20260101-1-a" in bad.value.hint


def test_a_series_that_does_not_build_can_be_answered(
    store: Store, ready: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mbx = Path(__file__).parents[2] / "data" / "mbx" / "shelf" / "unmap-batch" / "v2.mbx"
    series = model.read(mbx, "unmap-batch")
    fails(monkeypatch, BuildError("it does not compile"))
    series_spec = replace(spec(), tree=TreeSpec(base=BASE, series=series))
    executing.execute(Context(store, SHELVES), [series_spec], tmp_path / "run")
    assert (tmp_path / "run" / "x86_64" / pipeline.TOP).read_bytes() == series.top
