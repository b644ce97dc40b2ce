# SPDX-License-Identifier: GPL-2.0-only
"""The whole loop of `rig bisect` over a real git history, with kernels and guests of the test's."""

import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rig import __main__ as main
from rig import git
from rig.campaigns import bisect as bisecting
from rig.campaigns import bisection, commits, forecast, inquiry, pipeline, request, stored, suspects
from rig.campaigns import execute as executing
from rig.campaigns.bisect import Options
from rig.campaigns.bisection import Bisection
from rig.campaigns.forecast import Spent
from rig.campaigns.inquiry import Kind, Question
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import BuildError, ConfigError, InfraError
from rig.guest.console import Splat, SplatKind
from rig.guest.qemu import Live, Seeded
from rig.kernel import base as bases
from rig.kernel.tree import TreeSpec
from rig.log import Event
from rig.report import bisect as report
from rig.series import model, rfc822
from rig.shelves import Shelves
from rig.store import Store
from rig.suites.suite import Selection
from rig.verdict.rules import Outcome, Owner, Shows, Trouble
from tests.unit.campaigns.test_commits import commit, sh
from tests.unit.conftest import case
from tests.unit.conftest import result as make_result

MBX = Path(__file__).parents[2] / "data" / "mbx"
SHELVES = Shelves(kconfigs=Path("/k"), patches=Path("/p"), images=Path("/i"))
CASE, OPTIONS = Question(), Options()
WRONG = "page 17: CPU 2 wrote 42, read back 41"
NO_FUNCTION = "mm/rmap.c:7:2: error: implicit declaration of function 'rig_gone'"
BUG = Splat(
    kind=SplatKind.BUG, title="kernel BUG at mm/rmap.c:99!", text=("RIP: 0010:page_add+0x12/0x34",),
    fatal=True, at=1.0,
)  # fmt: skip


@dataclass
class World:
    """What the kernels of a history do. Commits are named by their subjects."""

    tree: Path
    culprit: str = ""
    bad: float = 1.0
    good: float = 0.0
    unrelated: float = 0.0
    """How often any kernel fails in another way."""
    no_build: tuple[str, ...] = ()
    no_boot: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()
    broken: int = 0
    """So many of the next runs are broken by the host."""
    stop_at: int = 0
    """The run in which the user presses Ctrl-C."""
    built: list[str] = field(default_factory=list)
    ran: list[tuple[str, int]] = field(default_factory=list)
    seeded: bool = True

    def __post_init__(self) -> None:
        lines = sh(self.tree, "log", "--all", "--format=%H %s").splitlines()
        self.name = dict(line.partition(" ")[::2] for line in lines)
        words = ("rev-list", "--all", "--ancestry-path", f"^{self.culprit}")
        self.bad_ones = {*sh(self.tree, *words).split()} if self.culprit else set()
        self.bad_ones |= {commit for commit, name in self.name.items() if name == self.culprit}

    def prepare(self, context: Context, spec: RunSpec) -> "Prepared":
        commit = spec.tree.base.commit
        name = self.name[commit]
        self.built.append(name)
        if name in self.no_build:
            raise BuildError(f"it does not compile: {NO_FUNCTION}", detail=NO_FUNCTION)
        if "no config" in name:
            raise ConfigError("1 of the requested settings cannot be set")
        return Prepared(spec=spec, name=name, is_bad=commit in self.bad_ones)

    def execute(self, prepared: "Prepared", directory: Path) -> RunResult:
        spec, name = prepared.spec, prepared.name
        self.ran.append((name, spec.request.seed))
        if len(self.ran) == self.stop_at:
            raise KeyboardInterrupt
        dice = random.Random(f"{name} {spec.request.seed}")
        cases, rest = [case("anon_lost_write")], dict[str, Any]()
        if name in self.no_boot:
            cases, why = [], "the kernel hangs at boot"
            rest = {"trouble": Trouble(owner=Owner.KERNEL, reason=why), "boot_seconds": 0.0}
        elif name in self.skips:
            cases = [case("anon_lost_write", Outcome.SKIP, "no such rule before v7.0")]
        elif dice.random() < (self.bad if prepared.is_bad else self.good):
            cases = [case("anon_lost_write", Outcome.FAIL, WRONG, shows=Shows.WRONG_DATA)]
        elif dice.random() < self.unrelated:
            cases = [case("anon_lost_write", Outcome.FAIL, BUG.title, shows=Shows.LOST)]
            rest = {"splats": (BUG,)}
        if self.broken:
            self.broken -= 1
            rest = {"trouble": Trouble(owner=Owner.RIG, reason="QEMU does not start")}
        if not spec.suites or "trouble" in rest:
            cases = []
        return self.of(spec, make_result(cases=tuple(cases), **rest))

    def of(self, spec: RunSpec, result: RunResult) -> RunResult:
        origin = replace(
            result.provenance, request=spec.request, build=f"b{spec.tree.base.commit[:20]}"
        )
        return replace(result, provenance=origin, machine=spec.machine, seconds=2.0)


@dataclass
class Prepared:
    spec: RunSpec
    name: str
    is_bad: bool


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "linux"
    path.mkdir()
    sh(path, "init", "--quiet", "--initial-branch=main")
    commit(path, "Makefile", "base")
    for number in range(1, 17):
        commit(path, ("mm/rmap.c", "include/mm.h", "drivers/x.c")[number % 3], f"c{number}")
    return path


@pytest.fixture
def line(written: Path, tmp_path: Path) -> Path:
    """A history of 16 commits: `base`, then `c1` to `c16`."""
    path = Path(shutil.copytree(written, tmp_path / "linux"))
    sh(path, "status")  # the copy's index has other times
    return path


Bisect = Callable[..., Bisection]


@pytest.fixture
def bisect(monkeypatch: pytest.MonkeyPatch, store: Store, spec: RunSpec) -> Iterator[Bisect]:
    """Bisect the tree of a world: base..main by default."""

    def run(
        world: World,
        good: str = "base",
        bad: str = "main",
        question: Question = CASE,
        options: Options = OPTIONS,
        paths: tuple[str, ...] = (),
        forecasts: bool = False,
    ) -> Bisection:
        def specs(context: Context, asked: Request) -> tuple[RunSpec, ...]:
            machine = replace(spec.machine, schedule=Seeded(seed=1) if world.seeded else Live())
            base = bases.resolve(store, asked.target, tree=asked.tree)
            selected = (Selection(suite="stale_tlb", cases=("anon_lost_write",)),)
            tree = TreeSpec(base=base)
            return (replace(spec, request=asked, tree=tree, machine=machine, suites=selected),)

        if not forecasts:  # it takes longer than all the rest
            spent = Spent(guests=100, builds=7, seconds=600)
            monkeypatch.setattr(forecast, "expected", lambda *_, **__: spent)
        monkeypatch.setattr(request, "specs", specs)
        monkeypatch.setattr(executing, "Prepared", Prepared)
        monkeypatch.setattr(executing, "side_by_side", lambda specs: min(2, len(specs)))
        monkeypatch.setattr(pipeline, "prepare", world.prepare)
        monkeypatch.setattr(pipeline, "execute", world.execute)
        monkeypatch.setattr(pipeline, "built", lambda prepared, _: world.of(prepared.spec, BUILT))
        context = Context(store, SHELVES)
        asked = Request(target=bad, tree=world.tree, schedule="seeded" if world.seeded else "live")
        range_ = suspects.of_tree(context, asked, good, paths=paths)
        found, directory = bisecting.bisect(context, range_, question, options)
        assert bisection.load(directory) == found
        run.directory = directory  # type: ignore[attr-defined]
        return found

    yield run


BUILT = replace(make_result(), seconds=0.0)


def subject(found: Bisection) -> str:
    return found.culprit.subject if found.culprit else ""


def replays(tree: Path, log: str, tmp_path: Path) -> str:
    """What git says after it has read the log, in a clone."""
    clone = tmp_path / "clone"
    sh(tmp_path, "clone", "--quiet", tree, clone)
    file = tmp_path / "log"
    file.write_text(log)
    return sh(clone, "bisect", "replay", file, status=(0, 2))


# The search


def test_a_search_whose_time_is_used_up_goes_on_later(line: Path, bisect: Bisect) -> None:
    world = World(line, culprit="c11")
    found = bisect(world, options=Options(deadline=0.0))
    assert (found.culprit, world.ran, found.outcome) == (None, [], Outcome.INCONCLUSIVE)
    assert "time" in found.reason and found.hint == bisecting.GO_ON
    assert subject(bisect(world)) == "c11"


def test_a_race_is_found_and_the_end_is_evidence(
    line: Path, bisect: Bisect, events: list[Event], store: Store, tmp_path: Path
) -> None:
    world = World(line, culprit="c11", bad=0.3)
    found = bisect(world, forecasts=True)
    assert (subject(found), found.outcome) == ("c11", Outcome.PASS)
    assert found.culprit and found.culprit.chance >= 0.99
    assert found.signature == "stale_tlb/anon_lost_write: wrong data"
    assert found.low < 0.3 < found.high
    (evidence,) = found.culprit.passing
    failing = found.culprit.failing
    assert failing and len(failing.seeds) == failing.runs
    assert {("c11", seed) for seed in failing.seeds} <= {*world.ran}
    assert evidence.runs == len(evidence.seeds) >= 4
    assert failing.again[:3] == ("rig", "run", found.culprit.name)
    assert evidence.again[:2] == ("rig", "explore")
    assert len({seed for _, seed in world.ran}) == len(world.ran), "every run has a fresh seed"
    assert found.guests == len(world.ran)
    (note,) = [event.text for event in events if "expected for 16 commits" in event.text]
    assert "the bad end fails in" in note and "builds and" in note
    log = bisection.log(store)
    assert "is the first bad commit" in replays(line, log, tmp_path)
    shown = report.render(found, "NAME")
    assert "(c11) is the culprit, with" in shown and "rig bisect log NAME" in shown
    assert sh(line, "status", "--porcelain") == "" and sh(line, "for-each-ref").count("\n") == 17


def test_a_failure_of_every_run_needs_few_kernels(line: Path, bisect: Bisect) -> None:
    world = World(line, culprit="c6")
    found = bisect(world)
    assert subject(found) == "c6"
    assert len({name for name, _ in world.ran}) <= 7
    assert found.rate > 0.9


def test_a_culprit_on_a_side_branch(line: Path, bisect: Bisect) -> None:
    sh(line, "checkout", "--quiet", "-b", "side", "c4")
    for number in range(1, 6):
        commit(line, "net/core.c", f"s{number}")
    sh(line, "checkout", "--quiet", "main")
    sh(line, "merge", "--quiet", "--no-ff", "-m", "merge", "side")
    commit(line, "mm/rmap.c", "last")
    world = World(line, culprit="s2", bad=0.5)
    assert subject(bisect(world)) == "s2"


def test_unrelated_failures_are_listed_apart_and_do_not_mislead(line: Path, bisect: Bisect) -> None:
    found = bisect(World(line, culprit="c5", bad=0.5, unrelated=0.2))
    assert subject(found) == "c5"
    assert found.others and all("kernel BUG" in other for other in found.others)
    assert all(not entry.failed for entry in found.tested if entry.bad < 0.5)
    assert "failures that are not this one:" in report.render(found)


def test_commits_that_do_not_build_boot_or_know_the_case_are_skipped(
    line: Path, bisect: Bisect
) -> None:
    commit(line, "mm/rmap.c", "no config")
    commit(line, "mm/rmap.c", "c18")
    odd: dict[str, Any] = {
        "no_build": ("c7", "c8", "c9"), "no_boot": ("c10",), "skips": ("c1", "c2"),
    }  # fmt: skip
    found = bisect(World(line, culprit="c4", bad=0.6, **odd))
    assert subject(found) == "c4"
    skipped = {entry.subject: entry.skipped for entry in found.tested if entry.skipped}
    assert skipped, "it has met one of them"
    reasons = {
        **dict.fromkeys(odd["no_build"], "does not compile"),
        **dict.fromkeys(odd["no_boot"], "does not boot"),
        **dict.fromkeys(odd["skips"], "no such rule"),
        "no config": "cannot be set",
    }
    assert all(reasons[name] in reason for name, reason in skipped.items())


def test_a_culprit_hidden_by_skipped_commits_is_a_set(
    line: Path, bisect: Bisect, store: Store, tmp_path: Path
) -> None:
    found = bisect(World(line, culprit="c8", no_build=("c7", "c8")))
    assert (found.outcome, found.culprit) == (Outcome.INCONCLUSIVE, None)
    assert [entry.subject for entry in found.suspects[:3]] == ["c7", "c8", "c9"]
    assert "3 commits cannot be told apart" in found.reason
    assert "only 'skip'ped commits left" in replays(line, bisection.log(store), tmp_path)


def test_seeds_are_not_shared_with_other_cases_of_a_live_run(line: Path, bisect: Bisect) -> None:
    found = bisect(World(line, culprit="c3", bad=0.5, seeded=False))
    assert subject(found) == "c3"
    assert found.culprit and found.culprit.failing and not found.culprit.failing.seeds
    assert "--repeat" in found.culprit.failing.again


# Ends that are wrong


def test_a_bad_end_that_never_fails_is_given_up(line: Path, bisect: Bisect) -> None:
    world = World(line)
    found = bisect(world, options=Options(runs=20))
    assert (found.outcome, found.culprit) == (Outcome.INCONCLUSIVE, None)
    assert "has not failed in 20 runs" in found.reason and "--runs 160" in found.hint
    assert {name for name, _ in world.ran} == {"c16"} and len(world.ran) == 20
    shown = report.render(found, "NAME")
    assert "INCONCLUSIVE: the bad end has not failed in 20 runs" in shown
    more = bisect(world, options=Options(runs=30))
    assert len(world.ran) == 30 and "in 30 runs" in more.reason, "it goes on with the same runs"


def test_a_bad_end_that_fails_too_rarely_is_given_up(line: Path, bisect: Bisect) -> None:
    found = bisect(World(line, culprit="c2", bad=0.02), options=Options(runs=20))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "too rarely" in found.reason or "has not failed" in found.reason


def test_a_good_end_that_fails_as_well_is_said(line: Path, bisect: Bisect) -> None:
    found = bisect(World(line, culprit="base", bad=0.5), good="c1")
    assert (found.outcome, found.culprit) == (Outcome.INCONCLUSIVE, None)
    assert "the good end fails as well: in " in found.reason


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"no_build": ("c16",)}, "does not compile"),
        ({"no_boot": ("c16",)}, "does not boot"),
        ({"skips": ("c16",)}, "no such rule"),
    ],
)
def test_a_bad_end_that_cannot_be_tested_is_said(
    line: Path, bisect: Bisect, odd: dict[str, Any], reason: str
) -> None:
    found = bisect(World(line, culprit="c3", **odd))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "the bad end cannot be tested" in found.reason and reason in found.reason
    assert "--build" in found.hint


def test_a_bad_end_that_cannot_be_configured_is_an_error(line: Path, bisect: Bisect) -> None:
    commit(line, "mm/rmap.c", "no config")
    with pytest.raises(ConfigError, match="cannot be set"):
        bisect(World(line, culprit="c3"))


# Interrupted


def test_what_was_interrupted_goes_on(
    line: Path, bisect: Bisect, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = World(line, culprit="c11", bad=0.3)
    expected = bisect(whole)
    for directory in (store.root / "runs").iterdir():
        directory.rename(store.root / "elsewhere")
    world, stops = World(line, culprit="c11", bad=0.3), 0
    for stop in (1, 2, 9, 20, len(whole.ran) - 2):
        world.stop_at = stop
        with monkeypatch.context() as patch:
            if stop % 2 == 0:  # as if killed: nobody cleans up
                patch.setattr(bisecting, "_remove_pending", lambda _: None)
            with pytest.raises(KeyboardInterrupt):
                bisect(world)
        stops += 1
        (directory,) = (store.root / "runs").iterdir()
        assert stored.is_whole(directory) == (stop % 2 != 0)
    world.stop_at = 0
    found = bisect(world)
    assert found.culprit and expected.culprit and found.culprit.name == expected.culprit.name
    # A run that was interrupted is run again, as the other one beside it is.
    assert len(world.ran) <= found.guests + 2 * stops
    before = len(world.ran)
    assert bisect(world) == found and len(world.ran) == before, "nothing is run again"
    (directory,) = (store.root / "runs").iterdir()
    assert stored.is_whole(directory) and executing.find(store) == directory


def test_a_damaged_result_is_made_again(line: Path, bisect: Bisect, store: Store) -> None:
    world = World(line, culprit="c11")
    found = bisect(world)
    paths = sorted((store.root / "runs").glob("*/*/result.json"))
    paths[-1].write_text("{")
    before = len(world.ran)
    again = bisect(world)
    assert subject(again) == subject(found) == "c11"
    assert len(world.ran) == before + 1
    assert len([*(store.root / "runs").glob("*/*/result.json")]) == len(paths)


def test_each_stored_result_is_read_once(
    line: Path, bisect: Bisect, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, read, load = World(line, culprit="c11", bad=0.3), list[Path](), executing.load
    found = bisect(world)
    monkeypatch.setattr(executing, "load", lambda path: (read.append(path), load(path))[1])
    assert bisect(world) == found
    paths = (store.root / "runs").glob("*/*/result.json")
    assert sorted(read) == sorted(paths)


def test_trouble_of_the_host_ends_it_and_it_goes_on(line: Path, bisect: Bisect) -> None:
    world = World(line, culprit="c11", broken=3)
    with pytest.raises(InfraError, match="QEMU does not start") as raised:
        bisect(world)
    assert "goes on" in raised.value.hint
    world.broken = 2
    assert subject(bisect(world)) == "c11"


# Other questions


def test_the_commit_that_does_not_compile_any_more(line: Path, bisect: Bisect) -> None:
    names = tuple(f"c{number}" for number in range(9, 17))
    world = World(line, no_build=names)
    found = bisect(world, question=Question(kind=Kind.BUILD))
    assert subject(found) == "c9"
    assert world.ran == [] and found.guests == 0
    assert len(world.built) <= 6
    assert "implicit declaration" in report.render(found)
    assert found.culprit and found.culprit.failing
    assert found.culprit.failing.again[:2] == ("rig", "build")
    fine = bisect(World(line), bad="c8", question=Question(kind=Kind.BUILD))
    assert fine.outcome is Outcome.INCONCLUSIVE and "does not fail" in fine.reason


def test_the_commit_that_does_not_boot_any_more(line: Path, bisect: Bisect) -> None:
    names = tuple(f"c{number}" for number in range(14, 17))
    found = bisect(World(line, no_boot=names, seeded=False), question=Question(kind=Kind.BOOT))
    assert subject(found) == "c14"
    assert found.signature == "the boot: guest lost"
    with pytest.raises(ConfigError, match="--boot runs no case"):
        bisect(World(line, no_boot=names), question=Question(kind=Kind.BOOT))


def test_the_commit_that_brought_a_splat(line: Path, bisect: Bisect) -> None:
    world = World(line, culprit="base", bad=0.0, unrelated=0.4)
    asked = Question(kind=Kind.SPLAT, splat="kernel BUG at mm/rmap.c:123!")
    found = bisect(world, question=asked)
    assert "the good end fails as well" in found.reason, "another line number is the same splat"


def test_the_commit_that_made_it_dearer(
    line: Path, bisect: Bisect, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(line, culprit="c12")

    def execute(prepared: Prepared, directory: Path) -> RunResult:
        world.ran.append((prepared.name, prepared.spec.request.seed))
        count = 1100 if prepared.is_bad else 1000
        counters = (("pgscan_anon", count), ("nanoseconds", 10**6), ("pgsteal_anon", 500))
        cases = (case("shared_dirty_reclaim", counters=counters),)
        return world.of(prepared.spec, make_result(cases=cases))

    world.execute = execute  # type: ignore[method-assign]
    asked = inquiry.question(
        splat="", build=False, boot=False, metric="shared_dirty_reclaim:pgscan_anon", above=1.05
    )
    found = bisect(world, question=asked)
    assert subject(found) == "c12"
    assert {seed for _, seed in world.ran} == {1} and len(world.ran) <= 7
    assert world.ran[0][0] == "base", "the count of the good end comes first"
    assert "1.1000 of the good end's" in found.headline
    equal = bisect(world, question=replace(asked, above=1.2))
    assert "does not fail" in equal.reason


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"build": True, "boot": True}, "two questions"),
        ({"metric": "shared_dirty_reclaim:instructions"}, "belong together"),
        ({"above": 1.1}, "belong together"),
        ({"metric": "shared_dirty_reclaim:no_such", "above": 1.1}, "no metric of"),
        ({"metric": "shared_dirty_reclaim:ops_per_s", "above": 1.1}, "no metric of"),
        ({"metric": "no_such:instructions", "above": 1.1}, "no benchmark"),
        ({"metric": "shared_dirty_reclaim:instructions", "above": 0.9}, "out of range"),
        ({"metric": "shared_dirty_reclaim:instructions", "above": float("nan")}, "out of range"),
        ({"splat": "0x1234 17"}, "no title"),
    ],
)
def test_questions_that_are_none(given: dict[str, Any], complaint: str) -> None:
    nothing: dict[str, Any] = {
        "splat": "", "build": False, "boot": False, "metric": "", "above": 0.0,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=complaint):
        inquiry.question(**nothing | given)


# A series


def test_which_patch_of_a_series(
    monkeypatch: pytest.MonkeyPatch, store: Store, spec: RunSpec, tmp_path: Path
) -> None:
    series = model.read(MBX / "shelf" / "unmap-batch" / "v2.mbx")
    count, built = len(series.patches), list[int]()
    assert count > 1

    def prepare(context: Context, spec: RunSpec) -> Prepared:
        built.append(len(spec.tree.own))
        return Prepared(spec=spec, name="", is_bad=len(spec.tree.own) == count)

    def execute(prepared: Prepared, directory: Path) -> RunResult:
        outcome = Outcome.FAIL if prepared.is_bad else Outcome.PASS
        result = make_result(cases=(case("anon_lost_write", outcome, WRONG * prepared.is_bad),))
        request = prepared.spec.request
        origin = replace(result.provenance, request=request, build=prepared.spec.tree.label)
        return replace(result, provenance=origin, machine=prepared.spec.machine, seconds=2.0)

    whole = replace(
        spec,
        tree=replace(spec.tree, series=series),
        request=replace(spec.request, target=f"{series.label}", base="v6.12"),
        suites=(Selection(suite="stale_tlb", cases=("anon_lost_write",)),),
    )
    monkeypatch.setattr(request, "specs", lambda *_: (whole,))
    monkeypatch.setattr(request, "names_a_series", lambda *_: True)
    monkeypatch.setattr(executing, "Prepared", Prepared)
    monkeypatch.setattr(pipeline, "prepare", prepare)
    monkeypatch.setattr(pipeline, "execute", execute)
    context = Context(store, SHELVES)
    range_ = suspects.of_series(context, whole.request)
    found, directory = bisecting.bisect(context, range_, CASE, OPTIONS)
    assert found.culprit and found.culprit.name == f"{series.label}:{count}"
    assert found.culprit.subject == series.patches[-1].subject
    assert "changed" in found.culprit.diffstat and found.culprit.link
    mail = found.culprit.mail.encode()
    assert rfc822.header(mail, "Message-ID") == found.culprit.link
    assert b"diff --git" not in mail and b"\n\n" not in mail
    assert {0, count} & {*built} and found.commits == count
    with pytest.raises(ConfigError, match="of the patches of a series"):
        bisection.log(store, directory.name)


# The culprit's mail


@pytest.mark.parametrize(
    ("trailers", "identifier"),
    [
        ("Link: https://lore.kernel.org/r/a-1@example.org", "a-1@example.org"),
        ("Link: https://patch.msgid.link/a%2B1@example.org", "a+1@example.org"),
        (
            "Link: https://lore.kernel.org/all/report@example.org/ [1]\n"
            "Link: https://patch.msgid.link/patch@example.org\n"
            "Link: https://lore.kernel.org/all/talk@example.org/",
            "patch@example.org",
        ),
        (
            "Link: https://lore.kernel.org/r/report@example.org\n"
            "Link: https://lore.kernel.org/r/patch@example.org # v3",
            "patch@example.org",
        ),
        ("Link: https://bugs.example.org/1\nMessage-ID: <a-1@example.org>", "a-1@example.org"),
        ("Link: https://bugs.example.org/1", ""),
        ("Signed-off-by: C <c@example.org>", ""),
    ],
)
def test_the_mail_of_a_commit(line: Path, spec: RunSpec, trailers: str, identifier: str) -> None:
    text = f"mm: a\x1b subject\n\nWhy.\n\nReviewed-by: R (x) <r@example.org>\n{trailers}"
    commit(line, "mm/rmap.c", "c17")
    sh(line, "commit", "--amend", "--quiet", "-m", text)
    range_ = suspects.Suspects(range=commits.read(line, "c16", "main"), whole=spec)
    mail = range_.mail(0)
    assert bool(mail) == bool(identifier)
    if identifier:
        assert rfc822.header(mail, "Message-ID") == f"<{identifier}>"
        assert rfc822.header(mail, "Subject") == "[PATCH] mm: a\\x1b subject"
        assert "r@example.org" in rfc822.header(mail, "Cc") and b"\x1b" not in mail
        assert rfc822.header(mail, "Date") and rfc822.header(mail, "From")


# The verb


def test_the_verb(
    line: Path, bisect: Bisect, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("RIG_STORE", str(store.root))
    world = World(line, culprit="c11")
    found = bisect(world)
    ends = ("base", "main", "--tree", line, "--schedule", "seeded")

    def rig(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rig", *map(str, words)])
        status = main.run(sys.argv[1:])
        output = capsys.readouterr()
        return status, output.out, output.err

    status, out, err = rig("bisect", *ends, "--json", tmp_path / "out.json")
    assert status == 0, err
    assert "(c11) is the culprit" in out
    assert json.loads((tmp_path / "out.json").read_text())["culprit"]["subject"] == "c11"
    assert found.culprit and found.culprit.name in out
    assert rig("report")[:2] == (0, out)
    log = rig("bisect", "log")
    assert (log[0], log[1].splitlines()[0]) == (0, "git bisect start")
    assert rig("bisect", "base..main", *ends[2:])[1] == out
    (line / "Makefile").write_text("changed")
    assert "are not committed" in rig("bisect", *ends)[2]
    assert rig("bisect", "main", "base", *ends[2:])[0] == 2
    status, out, err = rig("bisect", *ends, "--", "no/such/path")
    assert (status, out) == (2, "") and "changes no/such/path" in err
    world.stop_at = len(world.ran) + 1
    status, out, err = rig("bisect", "c3", *ends[1:])
    assert (status, out) == (130, "") and "the same command goes on from here: rig" in err


def test_two_architectures_are_refused_before_the_host_is_looked_at(
    line: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "specs", lambda *_: pytest.fail("a guest is probed"))
    asked = Request(target="main", tree=line, arch=("x86_64", "arm64"))
    with pytest.raises(ConfigError, match="takes one architecture, and 2 are named"):
        suspects.of_tree(Context(store, SHELVES), asked, "base")


def test_commits_that_only_a_night_has_fetched(
    line: Path, store: Store, spec: RunSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(suspects, "_single", lambda _, request: replace(spec, request=request))
    clone, context = tmp_path / "clone", Context(store, SHELVES)
    sh(tmp_path, "clone", "--quiet", str(line), str(clone))
    good = commit(line, "mm/rmap.c", "c17")
    bad = commit(line, "mm/rmap.c", "c18")
    git.fetch(store, clone, "origin")
    request = replace(spec.request, target=bad, tree=clone)
    for end, length in ((good, 1), ("HEAD", 2)):
        range_ = suspects.of_tree(context, request, end)
        assert [range_.name(number) for number in range(len(range_.range))][-1] == bad[:12]
        assert len(range_.range) == length and "mm/rmap.c" in range_.diffstat(0)
        assert range_.spec(store, 0).tree.base.commit == range_.range.commits[0].name
    with pytest.raises(ConfigError, match="has no revision named 'gone'"):
        suspects.of_tree(context, request, "gone")


# The report


def test_the_same_kernel_as_its_parents_is_no_culprit(
    line: Path, bisect: Bisect, store: Store
) -> None:
    world = World(line, culprit="c11")
    for name in ("c10", "c11"):
        build = f"b{sh(line, 'rev-parse', name)[:20]}"

        def make(directory: Path) -> dict[str, Any]:
            (directory / "bzImage").write_text("the same")
            return {"image": "bzImage", "seconds": 30.0}

        store.make("builds", build, {}, make)
    found = bisect(world)
    assert subject(found) == "c11" and found.culprit and found.culprit.same_kernel
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "byte for byte" in report.render(found)


def test_a_strangers_text_is_harmless(
    line: Path, bisect: Bisect, evil: str, harmless: Callable[..., None]
) -> None:
    found = bisect(World(line, culprit="c2"))
    assert found.culprit
    entry = replace(found.tested[0], subject=evil, skipped=evil)
    culprit = replace(found.culprit, subject=evil, author=evil, link=evil, diffstat=evil)
    bad = replace(
        found, culprit=culprit, headline=evil, others=(evil,), tested=(entry,), signature=evil
    )
    harmless(report.render(bad))
    harmless(report.render(replace(bad, culprit=None, reason=evil, hint=evil)))
