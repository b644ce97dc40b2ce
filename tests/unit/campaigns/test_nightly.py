# SPDX-License-Identifier: GPL-2.0-only
"""Nights, with runs that take no time."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rig import git
from rig.campaigns import execute, handover, nightfile, nightly, nightplan, record, suspects
from rig.campaigns import request as requests
from rig.campaigns.inquiry import Question
from rig.campaigns.nightfile import NightFile
from rig.campaigns.nightly import Morning
from rig.campaigns.nightplan import Why
from rig.campaigns.results import RunSpec
from rig.context import Context
from rig.errors import ConfigError, InfraError
from rig.guest.qemu import Seeded
from rig.history import database
from rig.history.changes import Kind
from rig.series import model
from rig.shelves import Shelves
from rig.store import Store
from rig.verdict.rules import Outcome
from tests.unit.campaigns.fake_runs import Fakes
from tests.unit.conftest import Alive, Eventually, Script

SMALL = """
name = "mm"
bases = ["v6.12", "v7.2"]
[[matrix]]
arch = ["x86_64", "arm64"]
suites = ["stale_tlb"]
schedules = ["live", "seeded"]
live_runs = 1
seeds = 2
"""
RUNS = 2 * 2 * (1 + 2)
Clock = Callable[[str], None]
REAL_SPECS, REAL_TREE_SPEC = requests.specs, requests.tree_spec


@pytest.fixture
def context(store: Store) -> Context:
    return Context(store, Shelves.default())


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    made = Fakes()
    made.install(monkeypatch.setattr)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the wall clock."""
    now = ["2026-11-28T22:00:00+00:00"]
    monkeypatch.setattr(nightly, "_now", lambda: now[0])
    real = nightly.datetime

    class Clock(real):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, zone: Any = None) -> Any:
            return real.fromisoformat(now[0])

    monkeypatch.setattr(nightly, "datetime", Clock)

    def set_to(time: str) -> None:
        now[0] = f"{time}+00:00"

    return set_to


def file(tmp_path: Path, text: str = SMALL) -> NightFile:
    path = tmp_path / "mm.toml"
    path.write_text(text)
    return nightfile.load(path, Shelves.default())


def night(context: Context, wanted: NightFile) -> Morning:
    with nightly.run(context, wanted) as morning:
        pass
    return morning


def read(store: Store, query: str) -> list[tuple[Any, ...]]:
    with database.reading(store) as connection:
        return connection.execute(query).fetchall()


# A whole night


def test_a_night_runs_its_matrix_once(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    morning = night(context, file(tmp_path))
    assert (morning.night.name, morning.outcome) == ("2026-11-28 mm", Outcome.PASS)
    assert len(fakes.ran) == RUNS == len(morning.outcomes)
    counts = Counter(
        (spec.request.target, spec.machine.arch, spec.machine.schedule.kind)
        for _, spec in fakes.ran
    )
    assert set(counts.values()) == {1, 2} and len(counts) == 8
    assert read(context.store, "SELECT DISTINCT name FROM night") == [("2026-11-28 mm",)]
    assert read(context.store, "SELECT count(*), count(DISTINCT path) FROM run") == [(RUNS, RUNS)]
    # Another night, with seeds that no night has had.
    clock("2026-11-29T22:00:00")
    before = {spec.request.seed for _, spec in fakes.ran}
    fakes.ran.clear()
    second = night(context, file(tmp_path))
    assert (second.night.name, len(fakes.ran)) == ("2026-11-29 mm", RUNS)
    assert before.isdisjoint(spec.request.seed for _, spec in fakes.ran)
    assert second.directory != morning.directory


def test_benchmarks_are_alone_and_keep_their_seeds(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    text = SMALL + '[bench]\nnames = ["lazyfree_reclaim"]\nrounds = 2\n'
    seeds = []
    for day in ("2026-11-28", "2026-11-29"):
        clock(f"{day}T22:00:00")
        fakes.ran.clear()
        night(context, file(tmp_path, text))
        specs = [spec for _, spec in fakes.ran if spec.request.suites == ("bench",)]
        seeds.append(sorted((spec.machine.arch, spec.request.seed) for spec in specs))
        assert len(specs) == 2 * 2 * 2
    assert seeds[0] == seeds[1] and {seed for _, seed in seeds[0]} == {1, 2}


def test_a_new_failure_is_worse_and_the_next_night_looks_at_it_first(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    wanted = file(tmp_path)
    assert night(context, wanted).outcome is Outcome.PASS
    clock("2026-11-29T22:00:00")

    def fails(case: str, spec: RunSpec) -> bool:
        where = (spec.request.target, spec.machine.arch, spec.machine.schedule.kind)
        return case == "stale_tlb/anon_lost_write" and where == ("v7.2", "arm64", "live")

    fakes.fails = fails
    morning = night(context, wanted)
    assert morning.outcome is Outcome.FAIL
    (change,) = morning.worse
    assert (change.finding.kind, change.tree) == (Kind.NEW_FAILURE, "v7.2")
    clock("2026-11-30T22:00:00")
    fakes.ran.clear()
    third = night(context, wanted)
    assert third.outcome is Outcome.PASS, "it fails as before"
    first = fakes.ran[0][1]
    assert (first.request.target, first.machine.arch) == ("v7.2", "arm64")
    whys = {row.why for row in third.night.plan.rows}
    assert whys == {Why.FAILED, Why.DUE}


def test_what_changed_is_first(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    wanted = file(tmp_path)
    night(context, wanted)
    clock("2026-11-29T22:00:00")
    fakes.commits["v7.2"] = "badc0de"
    fakes.fails = lambda case, spec: spec.request.target == "v6.12"
    fakes.ran.clear()
    night(context, wanted)
    targets = [spec.request.target for _, spec in fakes.ran]
    assert set(targets[: RUNS // 2]) == {"v7.2"}


def test_each_row_has_a_run_before_any_has_two(
    context: Context, tmp_path: Path, fakes: Fakes
) -> None:
    plan = nightplan.make(context, file(tmp_path), "2026-11-28 mm")
    rows = [job.row for job in plan.jobs]
    assert sorted(rows[:8]) == list(range(8)) and len(rows) == RUNS
    assert len({job.slot for job in plan.jobs}) == RUNS
    kernels = [plan.rows[row].kernel for row in rows[:8]]
    assert sum(one != other for one, other in pairwise(kernels)) == 3


def test_a_row_of_two_products_is_one(context: Context, tmp_path: Path, fakes: Fakes) -> None:
    text = (
        SMALL + '[[matrix]]\narch = ["arm64"]\nsuites = ["stale_tlb"]\nlru = ["default", "mglru"]\n'
    )
    plan = nightplan.make(context, file(tmp_path, text), "a")
    assert len(plan.rows) == 8 + 2 and len({(row.label, row.setup) for row in plan.rows}) == 10


def test_a_flavour_is_left_out_where_it_is_not_for_the_architecture(
    context: Context, tmp_path: Path, fakes: Fakes
) -> None:
    text = 'bases = ["v6.12"]\n[[matrix]]\narch = ["x86_64", "arm64"]\n'
    plan = nightplan.make(context, file(tmp_path, text + 'flavours = ["base", "kcsan"]'), "a")
    kernels = [(row.request.arch[0], row.request.flavour) for row in plan.rows]
    assert kernels == [("x86_64", "base"), ("x86_64", "kcsan"), ("arm64", "base")]
    assert plan.trouble == ()


def test_seeds_come_from_the_name_of_the_night(
    context: Context, tmp_path: Path, fakes: Fakes
) -> None:
    def seeds(name: str) -> list[int]:
        return [job.seed for job in nightplan.make(context, file(tmp_path), name).jobs]

    assert seeds("2026-11-28 mm") == seeds("2026-11-28 mm")
    both = seeds("2026-11-28 mm") + seeds("2026-11-29 mm")
    assert len(set(both)) == 2 * RUNS and max(both) < nightplan.SEEDS


# Trouble


def test_a_tree_in_trouble_costs_only_its_own_rows(
    context: Context, tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SMALL.replace('"v7.2"]', '"v7.2", "v9.9", "v8.1", "v8.2"]').replace("= 1", "= 6")
    fakes.unknown, fakes.broken, fakes.dead = ("v9.9",), ("v8.1",), ("v8.2",)
    monkeypatch.setattr(execute, "side_by_side", lambda specs: 1)
    morning = night(context, file(tmp_path, text))
    assert morning.night.plan.trouble == (("v9.9", "there is no base named v9.9"),)
    runs = Counter(spec.request.target for _, spec in fakes.ran)
    assert runs["v6.12"] == runs["v7.2"] == 2 * (6 + 2)
    # One run of each kernel says that it is not built, and no seed is tried after that.
    assert Counter(fakes.built)["v8.1"] <= 2 * 2
    assert 0 < runs["v8.2"] < 2 * (6 + 2)
    reasons = {reason.partition(":")[0] for _, reason in morning.night.left}
    assert reasons == {"it was not built", "it did not boot"}
    assert morning.outcome is Outcome.PASS


def test_a_request_that_the_pipeline_refuses_costs_its_own_kernel(
    context: Context, tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = fakes.prepare

    def refused(context: Context, spec: RunSpec) -> Any:
        if (spec.request.target, spec.machine.arch) == ("v6.12", "arm64"):
            raise ConfigError("CONFIG_ZSWAP does not hold")
        return prepare(context, spec)

    monkeypatch.setattr(execute.pipeline, "prepare", refused)
    morning = night(context, file(tmp_path))
    assert len(morning.outcomes) == RUNS * 3 // 4
    assert {reason for _, reason in morning.night.left} == {"CONFIG_ZSWAP does not hold"}


def test_a_night_that_runs_nothing_is_no_pass(
    context: Context, tmp_path: Path, fakes: Fakes
) -> None:
    fakes.unknown = ("v6.12", "v7.2")
    assert night(context, file(tmp_path)).outcome is Outcome.BROKEN


def test_two_nights_at_once(context: Context, tmp_path: Path, fakes: Fakes) -> None:
    wanted = file(tmp_path)
    with nightly.run(context, wanted):
        with pytest.raises(ConfigError, match="another night is running"):
            night(context, wanted)
    assert len(fakes.ran) == RUNS


# The budget


def test_what_does_not_fit_is_left_and_comes_first_in_the_next_night(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = file(tmp_path)
    night(context, wanted)
    clock("2026-11-29T22:00:00")
    monkeypatch.setattr(execute, "side_by_side", lambda specs: 1)
    ticks = [0.0]
    monkeypatch.setattr(nightly.time, "monotonic", lambda: ticks[0])
    execute_one = fakes.execute

    def slowly(ready: Any, directory: Path) -> Any:
        ticks[0] += 10.0
        return execute_one(ready, directory)

    monkeypatch.setattr(execute.pipeline, "execute", slowly)
    fakes.ran.clear()
    short = wanted.model_copy(update={"budget": "1m"})
    second = night(context, short)
    assert 0 < len(fakes.ran) <= 6
    assert {reason for _, reason in second.night.left} == {nightly.OUT_OF_TIME}
    assert len(fakes.ran) + len(second.night.left) == RUNS
    assert not [slot for slot, _ in second.night.left if (second.directory / slot).exists()]
    seen = {(spec.request.target, spec.machine.where) for _, spec in fakes.ran}
    clock("2026-11-30T22:00:00")
    fakes.ran.clear()
    ticks[0] = 0.0
    night(context, short)
    assert (fakes.ran[0][1].request.target, fakes.ran[0][1].machine.where) not in seen


def test_no_time_at_all_is_inconclusive(
    context: Context, tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = file(tmp_path).model_copy(update={"budget": "1m"})
    monkeypatch.setattr(nightly, "_since", lambda time: 61.0)
    morning = night(context, wanted)
    assert (fakes.ran, morning.outcome) == ([], Outcome.INCONCLUSIVE)


def test_times_are_those_of_history(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    wanted = file(tmp_path)
    plan = nightplan.make(context, wanted, "a")
    assert {(row.seconds, row.build, row.why) for row in plan.rows} == {(None, None, Why.CHANGED)}
    night(context, wanted)
    cases = len(execute.pipeline.suite.cases_of(fakes.ran[0][1].suites[0]))
    plan = nightplan.make(context, wanted, "b")
    assert {(row.seconds, row.build) for row in plan.rows} == {(2.0 + cases, 0.0)}
    assert {row.last for row in plan.rows} == {"2026-11-28 mm"}


# Names


def test_a_second_night_of_a_day_and_a_clock_that_is_set_back(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    wanted = file(tmp_path)
    names = []
    for when in ("2026-11-28T22:00:00", "2026-11-28T23:00:00", "2026-11-20T23:00:00",
                 "2026-11-29T22:00:00"):  # fmt: skip
        clock(when)
        names.append(night(context, wanted).night.name)
    assert names == ["2026-11-28 mm", "2026-11-28 mm 002", "2026-11-28 mm 003", "2026-11-29 mm"]
    assert names == sorted(names)
    assert len(fakes.ran) == 4 * RUNS


# Interrupted


class Killed(BaseException):
    pass


def killed_after(fakes: Fakes, runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def execute_some(ready: Any, directory: Path) -> Any:
        if len(fakes.ran) == runs:
            raise Killed
        return fakes.execute(ready, directory)

    monkeypatch.setattr(execute, "side_by_side", lambda specs: 1)
    monkeypatch.setattr(execute.pipeline, "execute", execute_some)


def test_an_interrupted_night_goes_on(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = file(tmp_path)
    killed_after(fakes, 5, monkeypatch)
    with pytest.raises(Killed):
        night(context, wanted)
    assert len(fakes.ran) == 5
    monkeypatch.setattr(execute.pipeline, "execute", fakes.execute)
    clock("2026-11-29T05:00:00")
    fakes.commits["v6.12"] = "moved"  # the branch has moved on; the night is of what it was
    morning = night(context, wanted)
    assert morning.night.name == "2026-11-28 mm"
    slots = Counter(slot for slot, _ in fakes.ran)
    assert len(slots) == RUNS and set(slots.values()) == {1}
    assert sorted((slot, spec.request.seed) for slot, spec in fakes.ran) == sorted(
        (job.slot, job.seed) for job in morning.night.plan.jobs
    )
    assert read(context.store, "SELECT count(*), count(DISTINCT path) FROM run") == [(RUNS, RUNS)]


def test_it_goes_on_though_the_clock_was_set_back_before(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = file(tmp_path)
    first = night(context, wanted)
    late = first.directory.with_name("20991231-220000-nightly-mm")
    first.directory.rename(late)
    clock("2026-11-20T22:00:00")
    fakes.ran.clear()
    killed_after(fakes, 5, monkeypatch)
    with pytest.raises(Killed):
        night(context, wanted)
    monkeypatch.setattr(execute.pipeline, "execute", fakes.execute)
    clock("2026-11-20T23:00:00")
    assert night(context, wanted).night.name == "2026-11-28 mm 002"
    assert len(fakes.ran) == RUNS


def test_a_history_that_is_made_anew_knows_the_names_of_nights(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    night(context, file(tmp_path))
    database.path_of(context.store).unlink()
    assert night(context, file(tmp_path)).night.name == "2026-11-28 mm 002"
    counts = read(context.store, "SELECT name, count(*) FROM run JOIN night ON night.id = night"
                                 " GROUP BY 1")  # fmt: skip
    assert counts == [("2026-11-28 mm", RUNS), ("2026-11-28 mm 002", RUNS)]


def test_a_night_that_was_interrupted_long_ago_is_over(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(fakes, 5, monkeypatch)
    with pytest.raises(Killed):
        night(context, file(tmp_path))
    monkeypatch.setattr(execute.pipeline, "execute", fakes.execute)
    clock("2026-11-29T22:00:00")
    assert night(context, file(tmp_path)).night.name == "2026-11-29 mm"
    assert len(fakes.ran) == 5 + RUNS


def test_a_digest_that_was_not_delivered_is_delivered_again_and_nothing_is_run(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    with pytest.raises(InfraError), nightly.run(context, file(tmp_path)) as first:
        raise InfraError("sendmail is not there")
    assert len(fakes.ran) == RUNS
    second = night(context, file(tmp_path))
    assert (second.night.name, second.directory) == (first.night.name, first.directory)
    assert (len(fakes.ran), second.changes) == (RUNS, first.changes)
    assert night(context, file(tmp_path)).night.name == "2026-11-28 mm 002"


def test_a_damaged_result_is_run_again(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    with pytest.raises(InfraError), nightly.run(context, file(tmp_path)) as first:
        raise InfraError("x")
    slot = first.night.plan.jobs[3].slot
    (first.directory / slot / execute.RESULT).write_text("{")
    night(context, file(tmp_path))
    assert fakes.ran[RUNS:][0][0] == slot and len(fakes.ran) == RUNS + 1


def test_what_was_stored_and_not_recorded_is_recorded(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rig was killed between the two."""
    with monkeypatch.context() as patch:
        patch.setattr(record, "stored_now", lambda path: None)
        patch.setattr(nightly, "_mend", lambda store, directory: None)
        with pytest.raises(InfraError), nightly.run(context, file(tmp_path)):
            raise InfraError("x")
    assert read(context.store, "SELECT count(*) FROM run") == [(0,)]
    night(context, file(tmp_path))
    assert read(context.store, "SELECT count(*) FROM run") == [(RUNS,)]
    assert read(context.store, "SELECT name FROM night") == [("2026-11-28 mm",)]


NIGHTS = """
import os
import sys
from pathlib import Path
from rig.campaigns import execute, nightfile, nightly
from rig.context import Context
from rig.shelves import Shelves
from rig.store import Store
from tests.unit.campaigns.fake_runs import Fakes

root, log, path, slow = map(Path, sys.argv[1:])
fakes = Fakes(log=log)
fakes.install(setattr)
execute.side_by_side = lambda specs: 2
context, file = Context(Store(root), Shelves.default()), nightfile.load(path, Shelves.default())
status = 1
while status:
    fakes.delay = 0.06 if slow.exists() else 0.0  # there are runs left for every kill
    if not (pid := os.fork()):
        try:
            with nightly.run(context, file):
                status = 0
        finally:
            os._exit(status)
    print(pid, flush=True)
    status = os.waitpid(pid, 0)[1]
"""
"""The same night, started again until it comes to its end."""


def test_a_night_that_is_killed_again_and_again_loses_nothing_and_runs_nothing_twice(
    store: Store, tmp_path: Path, script: Script, eventually: Eventually, alive: Alive
) -> None:
    """SIGKILL at 20 instants. What was running then is run again; what was stored is not."""
    chance = random.Random(20)
    path = tmp_path / "mm.toml"
    path.write_text(SMALL.replace("seeds = 2", "seeds = 50"))
    log = tmp_path / "ran.log"
    stored: dict[Path, int] = {}

    def check() -> None:
        """No result that was there has gone, or was written again."""
        for result in store.root.glob("runs/*/*/result.json"):
            changed = stored.setdefault(result, result.stat().st_mtime_ns)
            assert changed == result.stat().st_mtime_ns, f"{result} was run twice"
        assert all(result.is_file() for result in stored)

    (slow := tmp_path / "slow").touch()
    nights = script(NIGHTS, store.root, log, path, slow)
    assert nights.stdout
    for kill in range(20):
        pid = int(nights.stdout.readline())
        if kill == 19:
            slow.unlink()  # for the child after this one
        time.sleep(chance.uniform(0.0, 0.2))
        assert alive(pid), "too few runs for so many kills"
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: not alive(pid))
        check()
    assert nights.wait(120) == 0, nights.communicate()
    check()
    (directory,) = (path.parent for path in store.root.glob("runs/*/night.json"))
    night = nightly.load(directory)
    assert night and night.ended and not list(directory.glob("*/pending"))
    jobs = {job.slot: job.seed for job in night.plan.jobs}
    assert len(jobs) == 2 * 2 * (1 + 50)
    assert {path.parent.name for path in directory.glob("*/result.json")} == set(jobs)
    # What was killed was begun more than once, and each time with its own seed.
    began = [line.split() for line in log.read_text().splitlines()]
    assert {(slot.partition("/")[2], int(seed)) for slot, seed in began} == set(jobs.items())
    rows = read(store, "SELECT path, seed, night.name FROM run JOIN night ON night.id = night")
    assert sorted((path.rpartition("/")[2], seed) for path, seed, _ in rows) == sorted(jobs.items())
    assert {name for *_, name in rows} == {night.name}
    health = "SELECT sum(runs) FROM tally JOIN line ON line.id = line WHERE line.name = 'health'"
    assert read(store, health) == [(len(jobs),)]


# Git trees


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """An upstream, and the user's clone of it."""
    upstream, clone = tmp_path / "upstream", tmp_path / "linux"
    upstream.mkdir()
    git.git("init", "--quiet", "--initial-branch=mm", cwd=upstream)
    commit(upstream, "v6.13-rc1", "v6.12.9")
    git.git("clone", "--quiet", upstream, clone, cwd=tmp_path, env={"GIT_ALLOW_PROTOCOL": "file"})
    return upstream, clone


def listing(tree: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in tree.rglob("*")}


def commit(tree: Path, *tags: str) -> str:
    git.git("commit", "--quiet", "--allow-empty", "-m", "x", cwd=tree)
    for tag in tags:
        git.git("tag", tag, cwd=tree)
    return git.text("rev-parse", "HEAD", cwd=tree)


def test_a_tree_is_fetched_and_its_newest_tag_is_tested(
    context: Context, trees: tuple[Path, Path], tmp_path: Path, fakes: Fakes
) -> None:
    upstream, clone = trees
    head = git.text("rev-parse", "HEAD", cwd=clone)
    moved = commit(upstream, "v6.12.10", "v6.13-rc2", "v6.13")
    before = listing(clone)
    text = (
        '[[git]]\npath = "linux"\nbranches = ["origin/mm"]\ntags = ["v6.12.*", "v6.13*", "v9.*"]\n'
    )
    wanted = file(tmp_path, text)
    look = nightplan.make(context, wanted, "a", look=True)
    targets = [row.request.target for row in look.rows]
    assert targets == ["origin/mm", "v6.12.9", "v6.13-rc1"], "--check fetches nothing"
    plan = nightplan.make(context, wanted, "a")
    assert [row.request.target for row in plan.rows] == [moved] * 3
    # A tag's line in history has the name of the pattern, so that nights can be compared.
    assert [nightplan.spec_of(context, row).tree.base.name for row in plan.rows] == [
        "origin/mm", "v6.12.*", "v6.13*",
    ]  # fmt: skip
    assert plan.trouble == ((f"v9.* of {clone}", "there is no such tag"),)
    look = nightplan.make(context, wanted, "a", look=True)
    assert [row.request.target for row in look.rows] == [moved] * 3, "as the last night has it"
    assert listing(clone) == before, "nothing changes in the user's tree"
    assert git.text("rev-parse", "origin/mm", cwd=clone) == head
    unfetched = file(tmp_path, text.replace("linux", 'linux"\nfetch = "'))
    plan = nightplan.make(context, unfetched, "a")
    assert [row.request.target for row in plan.rows] == ["origin/mm", "v6.12.9", "v6.13-rc1"]


@pytest.mark.parametrize("trouble", ["vanished", "remote"])
def test_a_tree_that_is_not_fetched(
    context: Context, trees: tuple[Path, Path], tmp_path: Path, fakes: Fakes, trouble: str
) -> None:
    upstream, clone = trees
    (upstream if trouble == "remote" else clone).rename(tmp_path / "elsewhere")
    text = 'bases = ["v6.12"]\n[[git]]\npath = "linux"\nbranches = ["origin/mm"]\n'
    morning = night(context, file(tmp_path, text))
    ((where, why),) = morning.night.plan.trouble
    assert where == str(clone)
    assert ("git fetch origin: '" if trouble == "remote" else "no such directory") in why
    assert len(morning.outcomes) == 1 and morning.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("tags", "newest"),
    [
        (("v6.13-rc7", "v6.13", "v6.13-rc10"), "v6.13"),
        (("v6.13-rc7", "v6.13-rc10"), "v6.13-rc10"),
        (("v6.13", "v6.13.9", "v6.13.10"), "v6.13.10"),
        (("next-20261127", "next-20261128"), "next-20261128"),
    ],
)
def test_the_newest_tag(tags: tuple[str, ...], newest: str) -> None:
    assert max(tags, key=nightplan._in_order) == newest
    assert max(reversed(tags), key=nightplan._in_order) == newest


def test_the_commit_of_the_plan_is_run_though_the_branch_has_moved(
    context: Context, tmp_path: Path, fakes: Fakes
) -> None:
    (row,) = nightplan.make(context, file(tmp_path, 'bases = ["v6.12"]'), "a").rows
    pinned = replace(row, commit="f00d", name="v6.*")
    base = nightplan.spec_of(context, pinned).tree.base
    assert (base.commit, base.name) == ("f00d", "v6.*")


def test_the_specs_are_those_of_the_pipeline(
    context: Context,
    trees: tuple[Path, Path],
    tmp_path: Path,
    fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fakes stand in for the guests only."""
    upstream, clone = trees
    monkeypatch.setattr(requests, "specs", REAL_SPECS)
    monkeypatch.setattr(requests, "tree_spec", REAL_TREE_SPEC)
    monkeypatch.setattr(execute, "side_by_side", lambda specs: 1)
    text = (
        '[[git]]\npath = "linux"\nbranches = ["origin/mm"]\ntags = ["v6.12.*"]\n[[matrix]]\n'
        'schedules = ["seeded"]\nsuites = ["stale_tlb"]\nseeds = 2\nlru = ["mglru"]\n'
        '[bench]\nnames = ["lazyfree_reclaim"]\n[options]\ncpus = 2\n'
    )
    wanted = file(tmp_path, text)
    head = git.text("rev-parse", "HEAD", cwd=upstream)
    execute_one, moved = fakes.execute, []

    def move_first(ready: Any, directory: Path) -> Any:
        """The branch moves while the night runs."""
        if not moved:
            moved.append(commit(upstream))
            git.fetch(context.store, clone, "origin")
        return execute_one(ready, directory)

    monkeypatch.setattr(execute.pipeline, "execute", move_first)
    first = night(context, wanted)
    assert len(fakes.ran) == 2 * (2 + 3) and first.outcome is Outcome.PASS
    assert {spec.tree.base.commit for _, spec in fakes.ran} == {head}
    for _, spec in fakes.ran:
        machine = spec.machine
        assert (machine.cpus, machine.lru_gen, machine.schedule) == (
            2, True, Seeded(seed=spec.request.seed),
        )  # fmt: skip
    labels = {spec.tree.label for _, spec in fakes.ran}
    assert labels == {"origin/mm", "v6.12.*"}
    assert {name for (name,) in read(context.store, "SELECT label FROM tree")} == labels
    second = night(context, wanted)
    commits = {row.name or row.label: row.commit for row in second.night.plan.rows}
    assert commits == {"origin/mm": moved[0], "v6.12.*": head}
    whys = {row.name: row.why for row in second.night.plan.rows}
    assert whys == {"origin/mm": Why.CHANGED, "v6.12.*": Why.DUE}
    assert git.text("rev-parse", "origin/mm", cwd=clone) == head
    origins = {spec.tree.base.origin for _, spec in fakes.ran}
    assert f"git tree {clone}, {moved[0]}, fetched from its remote" in origins


def test_a_series_is_applied_to_its_base_as_it_was_fetched(
    context: Context,
    trees: tuple[Path, Path],
    tmp_path: Path,
    fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upstream, clone = trees
    monkeypatch.setattr(requests, "specs", REAL_SPECS)
    monkeypatch.setattr(requests, "tree_spec", REAL_TREE_SPEC)
    monkeypatch.setattr(requests.sandbox, "broken", lambda: "")
    moved = commit(upstream)
    text = (
        '[[git]]\npath = "linux"\nbranches = ["origin/mm"]\n[shelf]\ntree = "linux"\n'
        'base = "origin/mm"\nseries = ["batch-dirty-tlb-flush"]\n'
    )
    plan = nightplan.make(context, file(tmp_path, text), "a")
    branch, series = plan.rows
    assert plan.trouble == ()
    assert (series.request.base, series.commit) == (moved, moved)
    # Its line in history is the same every night, and is not that of the branch.
    assert (branch.label, series.label) == (
        "origin/mm", f"{series.request.target} on origin/mm",
    )  # fmt: skip
    clone.rename(tmp_path / "elsewhere")
    trouble = dict(nightplan.make(context, file(tmp_path, text), "a").trouble)
    assert [*trouble] == [str(clone), f"{series.request.target} of {clone}"]


def test_series_of_the_shelf(context: Context, tmp_path: Path, fakes: Fakes) -> None:
    def targets(shelf: str, *, look: bool = False) -> list[str]:
        plan = nightplan.make(context, file(tmp_path, f"[shelf]\n{shelf}\n"), "a", look=look)
        trouble = [f"{where}: {why}" for where, why in plan.trouble]
        return [row.request.target for row in plan.rows] + trouble

    name, patches = "batch-dirty-tlb-flush", context.shelves.patches
    numbers = model.revisions(patches, name)
    assert len(numbers) > 1
    one = f'series = ["{name}"]'
    assert targets(one) == [f"{name}@v{numbers[-1]}"]
    every = targets(f'{one}\nrevisions = "all"')
    assert every == [f"{name}@v{number}" for number in numbers]
    assert len(targets('series = ["all"]')) == len(model.names(patches))
    # What would have to be downloaded is not, if the user only wants to know.
    (trouble,) = targets(f'{one}\nbase = "v7.2"', look=True)
    assert trouble == f"{name}@v{numbers[-1]}: v7.2 is not in the store yet: the night downloads it"
    (trouble,) = targets(one, look=True)
    assert "v6.12 is not in the store yet" in trouble


# Which commit did it


def test_what_is_new_is_bisected_between_the_two_nights(
    context: Context,
    trees: tuple[Path, Path],
    tmp_path: Path,
    fakes: Fakes,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, clone = trees
    text = (
        '[[git]]\npath = "linux"\nbranches = ["mm"]\n[[matrix]]\nschedules = ["live", "seeded"]\n'
    )
    wanted = file(tmp_path, text + 'suites = ["stale_tlb"]\nseeds = 1\n')
    fakes.commits["mm"] = good = "a" * 40
    with nightly.run(context, wanted) as first:
        assert [*handover.searches(context, first)] == []
    clock("2026-11-29T22:00:00")
    fakes.commits["mm"] = bad = "b" * 40
    fakes.fails = lambda case, spec: case == "stale_tlb/dio_pinned"
    asked: list[Any] = []

    def bisected(context: Context, range_: Any, question: Any, options: Any) -> Any:
        asked.append((range_, question, options.deadline - time.monotonic()))
        raise InfraError("no guest here")

    monkeypatch.setattr(suspects, "of_tree", lambda context, request, good: (request, good))
    monkeypatch.setattr(handover.bisect, "bisect", bisected)
    with nightly.run(context, wanted) as second:
        found = handover.run(context, second)
    assert [one.trouble for one in found] == ["no guest here"] * 2
    assert [range_[1] for range_, *_ in asked] == [good, good]
    for (request, _), question, left in asked:
        assert (request.target, request.tree, request.arch) == (bad, clone, ("x86_64",))
        assert request.cases == ("stale_tlb/dio_pinned",) and question == Question()
        assert wanted.seconds - 60 < left <= wanted.seconds
    assert {range_[0].schedule for range_, *_ in asked} == {"live", "seeded"}


@pytest.mark.parametrize(("trouble", "kind"), [("broken", "build"), ("dead", "boot")])
def test_a_kernel_that_no_longer_builds_or_boots_is_searched_as_such(
    context: Context,
    trees: tuple[Path, Path],
    tmp_path: Path,
    fakes: Fakes,
    clock: Clock,
    trouble: str,
    kind: str,
) -> None:
    text = '[[git]]\npath = "linux"\nbranches = ["mm"]\n[[matrix]]\nsuites = ["stale_tlb"]\n'
    fakes.commits["mm"] = "a" * 40
    night(context, file(tmp_path, text))
    clock("2026-11-29T22:00:00")
    fakes.commits["mm"] = "b" * 40
    setattr(fakes, trouble, ("mm",))
    with nightly.run(context, file(tmp_path, text)) as morning:
        (search,) = handover.searches(context, morning)
    assert (search.question.kind, search.request.cases) == (kind, ())
    assert (search.good, search.request.target) == ("a" * 40, "b" * 40)


def test_without_a_commit_between_the_nights_nothing_is_searched(
    context: Context, trees: tuple[Path, Path], tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    """A race that was not seen before, or the host: there is no commit that brought it."""
    text = '[[git]]\npath = "linux"\nbranches = ["mm"]\n[[matrix]]\nsuites = ["stale_tlb"]\n'
    fakes.commits["mm"] = "a" * 40
    night(context, file(tmp_path, text))
    clock("2026-11-29T22:00:00")
    fakes.fails = lambda case, spec: True
    with nightly.run(context, file(tmp_path, text)) as morning:
        assert {change.finding.commits for change in morning.worse} == {("a" * 40, "a" * 40)}
        assert [*handover.searches(context, morning)] == []


def test_a_series_on_a_git_tree_is_not_searched(
    context: Context, trees: tuple[Path, Path], tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    name = "batch-dirty-tlb-flush"
    target = f"{name}@v{model.revisions(context.shelves.patches, name)[-1]}"
    text = f'[shelf]\ntree = "linux"\nbase = "mm"\nseries = ["{name}"]\n'
    fakes.commits[target] = "a" * 40
    night(context, file(tmp_path, text))
    clock("2026-11-29T22:00:00")
    fakes.commits[target] = "b" * 40
    fakes.fails = lambda case, spec: True
    with nightly.run(context, file(tmp_path, text)) as morning:
        assert {change.finding.commits for change in morning.worse} == {("a" * 40, "b" * 40)}
        assert [*handover.searches(context, morning)] == []


def test_a_release_and_a_series_are_not_searched(
    context: Context, tmp_path: Path, fakes: Fakes, clock: Clock
) -> None:
    night(context, file(tmp_path))
    clock("2026-11-29T22:00:00")
    fakes.commits["v7.2"] = "b" * 40
    fakes.fails = lambda case, spec: spec.request.target == "v7.2"
    with nightly.run(context, file(tmp_path)) as morning:
        assert morning.worse and [*handover.searches(context, morning)] == []
