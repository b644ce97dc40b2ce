# SPDX-License-Identifier: GPL-2.0-only
"""Whose failure it is, on kernels that fail as the test says: nothing is built or booted."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rig import log
from rig.campaigns import blame as blaming
from rig.campaigns import execute as executing
from rig.campaigns import failures, pipeline, trial
from rig.campaigns.ancestry import GOOD
from rig.campaigns.options import Request
from rig.campaigns.rates import Runs
from rig.campaigns.results import RunResult, RunSpec, provenance
from rig.context import Context
from rig.errors import BootError, BuildError, DiskFull, GuestLost
from rig.guest.console import Splat, SplatKind
from rig.guest.qemu import Accel, Machine, Seeded
from rig.kernel import tree as trees
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.series import model
from rig.shelves import Shelves
from rig.store import Store
from rig.suites.suite import Selection
from rig.verdict.blame import Blame, Mark, Tally
from rig.verdict.rules import (
    CaseResult,
    Outcome,
    Shows,
    SuiteResult,
    Trouble,
    conclude,
)
from tests.unit.conftest import TOP

BASE = Base(name="v6.12", commit="c0ffee", origin="a test")
SERIES = model.load(TOP / "patches", "lazyfree-batched-unmap", 4, "")
SHELVES = Shelves(kconfigs=Path("/k"), patches=Path("/p"), images=Path("/i"))
CASE, OTHER = "madv_free/straddle_page_table", "madv_free/vma_split"
PATCH_3 = "mm/rmap: unmap a lazyfree large folio's PTEs at once"
LOST = "page 17: CPU 2 wrote 42, read back 41"


def bug(place: str, function: str = "page_table_check_clear") -> Splat:
    title = f"kernel BUG at {place}!"
    text = (title, f"RIP: 0010:{function}+0x10/0x20")
    return Splat(kind=SplatKind.BUG, title=title, text=text, fatal=True, at=1.0)


@dataclass
class World:
    """Kernels, each by the number of patches of the series; 0 is the base."""

    store: Store
    directory: Path
    fails: Callable[[int, int, str], Any] = lambda upto, seed, case: False
    """Whether a case fails: a rate, or how: a splat, another Shows, an Outcome."""
    broken: dict[int, Exception] = field(default_factory=dict)
    """Kernels that do not build or boot."""
    warns: dict[int, tuple[Splat, ...]] = field(default_factory=dict)
    ran: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list)
    """The runs: which kernel, which seed, which cases."""
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def upto(self, tree: TreeSpec) -> int:
        if tree.series is not SERIES:
            return 0
        return tree.upto or len(SERIES.patches)

    def prepare(self, context: Context, spec: RunSpec) -> Any:
        if isinstance(error := self.broken.get(self.upto(spec.tree)), BuildError):
            raise error
        return Prepared(spec)

    def built(self, prepared: Any, directory: Path) -> RunResult:
        return self.result(prepared.spec, (), (), None)

    def execute(self, prepared: Any, directory: Path) -> RunResult:
        spec = prepared.spec
        upto, suites = self.upto(spec.tree), list[SuiteResult]()
        splats = list(self.warns.get(upto, ()))
        names = [f"{each.suite}/{name}" for each in spec.suites for name in each.cases]
        self.ran.append((upto, spec.request.seed, tuple(names)))
        if error := self.broken.get(upto):
            assert isinstance(error, BootError)
            return self.result(spec, (), (), Trouble.of(error), boot_seconds=0.0)
        for selection in spec.suites:
            cases = []
            for name in selection.cases:
                said = self.fails(upto, spec.request.seed, f"{selection.suite}/{name}")
                if isinstance(said, Splat):
                    splats.append(said)
                cases.append(self.case(name, said))
            suites.append(SuiteResult(suite=selection.suite, cases=tuple(cases)))
        return self.result(spec, tuple(suites), tuple(splats), None)

    def case(self, name: str, said: Any) -> CaseResult:
        outcome, shows, reason = Outcome.FAIL, Shows.WRONG_DATA, LOST
        if isinstance(said, Splat):
            shows, reason = Shows.LOST, said.title
        elif isinstance(said, Shows):
            shows, reason = said, "not ok"
        elif isinstance(said, Outcome):
            outcome, reason = said, "pswpout 12, at least 2000 needed"
        elif not self.chance.random() < said:
            outcome, reason = Outcome.PASS, ""
        return CaseResult(name=name, outcome=outcome, reason=reason, shows=shows, seconds=2.0)

    def result(
        self,
        spec: RunSpec,
        suites: tuple[SuiteResult, ...],
        splats: tuple[Splat, ...],
        trouble: Trouble | None,
        **rest: Any,
    ) -> RunResult:
        given = {"boot_seconds": 2.0, "seconds": 6.0, **rest}
        return RunResult(
            machine=spec.machine,
            provenance=replace(provenance(spec), build=f"b{self.upto(spec.tree)}"),
            suites=suites,
            splats=splats,
            verdict=conclude(suites, splats, trouble),
            **given,
        )

    def run(self, *specs: RunSpec) -> tuple[RunResult, ...]:
        """What `rig run` does."""
        context = Context(self.store, SHELVES)
        results = executing.execute(context, specs, self.directory)
        self.ran.clear()
        return blaming.blame(context, specs, results, self.directory)

    def blamed(self, *specs: RunSpec) -> Blame:
        """The blame of a run with one failure."""
        (result, *_) = self.run(*specs)
        (blame,) = result.blame
        return blame


class Prepared:
    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec


def spec(*cases: str, **rest: Any) -> RunSpec:
    names = tuple(name.partition("/")[2] for name in cases or (CASE,))
    machine = rest.pop("machine", Machine(arch="x86_64", accel=Accel.TCG))
    asked = Request(target=SERIES.label, base="v6.12", arch=(machine.arch,))
    tree = rest.pop("tree", TreeSpec(base=BASE, series=SERIES))
    given = {"suites": (Selection(suite="madv_free", cases=names),), **rest}
    return RunSpec(request=asked, tree=tree, machine=machine, **given)


def seeded(seed: int = 1) -> RunSpec:
    machine = Machine(arch="x86_64", accel=Accel.TCG, schedule=Seeded(seed=seed))
    return spec(machine=machine).but(schedule="seeded", seed=seed)


def since(patch: int, how: Any = 1.0, base: Any = 0.0) -> Callable[[int, int, str], Any]:
    return lambda upto, seed, case: how if upto >= patch and case == CASE else base


def after_one(rate: Callable[[int], float]) -> Callable[[int, int, str], float]:
    """The run fails, and then each kernel as often as this says."""
    rates = iter([1.0])
    return lambda upto, seed, case: next(rates, rate(upto))


@pytest.fixture
def world(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(store, tmp_path / "20261128-080000-run")
    monkeypatch.setattr(executing, "Prepared", Prepared)
    monkeypatch.setattr(executing, "side_by_side", lambda specs: min(2, len(specs)))
    for name in ("prepare", "execute", "built"):
        monkeypatch.setattr(pipeline, name, getattr(world, name))
    monkeypatch.setattr(pipeline, "keep_series", lambda spec, path: None)
    monkeypatch.setattr(Store, "manifest", lambda *words: {"seconds": 200.0})
    monkeypatch.setattr(trees, "applies", lambda store, tree: True)
    return world


# The marks


def test_a_failure_that_only_the_series_has_is_introduced_by_its_first_bad_patch(
    world: World,
) -> None:
    world.fails = since(3)
    blame = world.blamed(spec())
    assert (blame.mark, blame.failure, blame.shows) == (Mark.INTRODUCED, CASE, ("wrong data",))
    assert blame.summary == f"introduced by patch 3/4 ({PATCH_3})"
    assert blame.series.failed == blame.series.runs >= 4
    assert blame.base.failed == 0 < 3 < blame.base.runs
    assert blame.against == "v6.12"
    assert blame.culprits[0].chance >= 0.99
    tested = {prefix.upto: prefix.tally for prefix in blame.tested}
    assert tested[2].failed == 0 and tested[3].failed == tested[3].runs > 0
    assert len(world.ran) < 30


@pytest.mark.parametrize("patch", [1, 2, 3, 4])
def test_each_patch_can_be_the_first_bad_one(world: World, patch: int) -> None:
    world.fails = since(patch)
    (culprit,) = world.blamed(spec()).culprits
    assert culprit.number == patch


def test_a_failure_of_the_base_is_not_the_series(world: World) -> None:
    """Outcome rule 8."""
    world.fails = since(0)
    (result,) = world.run(spec(CASE, OTHER))
    (blame,) = result.blame
    assert (blame.mark, blame.by, blame.tested) == (Mark.THERE, "", ())
    assert (blame.series.failed, blame.base.failed) == (blame.series.runs, blame.base.runs)
    assert result.verdict.outcome is Outcome.INCONCLUSIVE
    assert result.verdict.reason == f"already there without the series: {CASE}: {LOST}"
    assert {upto for upto, _, _ in world.ran} <= {0, 4}
    assert len(world.ran) <= 4
    assert executing.load_all(world.directory) == (result,)


def test_a_promise_of_the_series_must_hold_whatever_the_base_does(world: World) -> None:
    world.fails = since(0)
    (result,) = world.run(spec(promises=(CASE,)))
    assert (result.blame[0].mark, result.verdict.outcome) == (Mark.THERE, Outcome.FAIL)
    assert result.blame[0].summary == "already there, but the series promises it"


def test_a_failure_beside_one_of_the_base_is_the_headline(world: World) -> None:
    how = {CASE: lambda upto: 1.0, OTHER: lambda upto: float(upto >= 2)}
    world.fails = lambda upto, seed, case: how[case](upto)
    (result,) = world.run(spec(CASE, OTHER))
    marks = {blame.failure: blame.mark for blame in result.blame}
    assert marks == {CASE: Mark.THERE, OTHER: Mark.INTRODUCED}
    assert result.verdict.outcome is Outcome.FAIL
    assert result.verdict.reason == f"{OTHER}: {LOST}"
    assert [blame.by[:9] for blame in result.blame] == ["", "patch 2/4"]
    # The base's failure is not looked for any more.
    assert all(cases == (OTHER,) for upto, _, cases in world.ran if upto in (1, 2, 3))


# Races


def test_a_race_is_compared_by_rates(world: World) -> None:
    """The series fails in every third run: one run of the base would say nothing."""
    world.fails = after_one(lambda upto: 0.35 * (upto >= 3))
    blame = world.blamed(spec())
    assert blame.mark is Mark.INTRODUCED
    assert 0 < blame.series.failed < blame.series.runs
    assert (blame.base.failed, blame.base.runs >= 10) == (0, True)
    assert [culprit.number for culprit in blame.culprits] == [3]


def test_a_race_of_the_base_is_already_there(world: World) -> None:
    world.fails = after_one(lambda upto: 0.5)
    blame = world.blamed(spec())
    assert blame.mark is Mark.THERE
    assert 0 < blame.base.failed <= blame.base.runs


def test_a_failure_that_does_not_come_again_stays_undecided_and_a_fail(world: World) -> None:
    world.fails = after_one(lambda upto: 0.0)
    (result,) = world.run(spec())
    (blame,) = result.blame
    assert (blame.mark, blame.series.failed, blame.base.failed) == (Mark.UNDECIDED, 1, 0)
    assert blame.series.runs <= trial.RUNS_MOST and blame.base.runs <= trial.RUNS_MOST
    assert result.verdict.outcome is Outcome.FAIL


def test_a_base_that_fails_less_often_does_not_excuse_the_series(world: World) -> None:
    world.fails = since(3, base=0.1)
    blame = world.blamed(spec())
    assert blame.mark is Mark.INTRODUCED
    if blame.base.failed:
        assert blame.reason == "the base fails as well, but less often"


@pytest.mark.parametrize(
    ("series", "base", "low", "high"),
    [
        (Runs(), Runs(), 0.5, 0.5),
        (Runs(failed=1), Runs(failed=1), 0.0, 0.1),
        (Runs(failed=1), Runs(passed=2), 0.6, 0.99),
        (Runs(failed=4), Runs(passed=4), 0.99, 1.0),
        (Runs(failed=2), Runs(failed=2), 0.0, 0.01),
        (Runs(failed=1, passed=31), Runs(passed=32), 0.01, 0.99),
        (Runs(failed=10), Runs(failed=2, passed=8), 0.9, 1.0),
    ],
)
def test_the_chance_that_the_series_did_it(
    series: Runs, base: Runs, low: float, high: float
) -> None:
    assert low <= trial.introduced(series, base) <= high


def test_a_seeded_run_is_compared_with_the_same_seeds_first(world: World) -> None:
    world.fails = since(3)
    assert world.blamed(seeded(5)).culprits[0].number == 3
    seeds: dict[int, list[int]] = {}
    for upto, seed, _ in world.ran:
        seeds.setdefault(upto, []).append(seed)
    assert sorted(seeds[0]) == [*range(5, 5 + len(seeds[0]))]
    # Seed 5 with the series is the run that failed.
    assert sorted(seeds[4]) == [*range(6, 6 + len(seeds[4]))]
    assert sorted(seeds[2])[0] == 5


def test_a_live_run_is_repeated_with_its_own_seed(world: World) -> None:
    world.fails = since(3)
    world.blamed(spec().but(seed=9))
    assert {seed for _, seed, _ in world.ran} == {9}


def test_repetitions_of_a_run_are_runs_too(world: World) -> None:
    world.fails = since(3)
    results = world.run(*[spec()] * 4)
    assert [result.blame[0].series.runs >= 4 for result in results] == [True] * 4
    assert world.ran[0][0] == 0


def test_an_early_end_names_as_many_patches_as_are_needed_to_be_sure() -> None:
    """Not one with 93 %, beside which no other has 5 %."""
    spread = {GOOD: 0.0, 0: 0.005, 1: 0.935, 2: 0.04, 3: 0.02}
    assert trial._credible(spread) == (1, 2, 3)
    assert trial._credible({GOOD: 0.3, 0: 0.001, 1: 0.348, 2: 0.348, 3: 0.003}) == (1, 2)
    assert trial._credible({GOOD: 0.0, 0: 0.996, 1: 0.004}) == (0,)


# Signatures


def test_another_fault_in_the_same_case_is_another_failure(world: World) -> None:
    """The base dies in the case too, of something else: that excuses nothing."""
    world.fails = since(3, how=bug("mm/a.c:90"), base=bug("mm/b.c:7", "free_swap"))
    (result,) = world.run(spec())
    (blame,) = result.blame
    assert (blame.mark, blame.base) == (Mark.UNDECIDED, Tally())
    assert blame.reason == "the base's runs do not tell: FAIL: kernel BUG at mm/b.c:7!"
    assert result.verdict.outcome is Outcome.FAIL


def test_the_line_of_a_fault_is_not_in_its_signature(world: World) -> None:
    world.fails = lambda upto, seed, case: bug(f"mm/rmap.c:{1700 + upto}")
    (result,) = world.run(spec())
    (blame,) = result.blame
    assert (blame.mark, blame.shows) == (Mark.THERE, ("splat/bug:page_table_check_clear",))
    # The splat is the case's failure, and no second one.
    assert result.verdict.outcome is Outcome.INCONCLUSIVE


def test_wrong_data_and_then_a_splat_is_the_same_as_the_splat_alone(world: World) -> None:
    """The guest may die before the program has told. The panic after the BUG is its consequence."""
    panic = replace(bug("x"), kind=SplatKind.PANIC, title="Kernel panic - not syncing", at=1.1)
    die = bug("mm/page_table_check.c:90")
    world.fails = since(3, how=die)
    world.warns = dict.fromkeys((3, 4), (panic,))
    execute = world.execute

    def told(prepared: Any, directory: Path) -> RunResult:
        result = execute(prepared, directory)
        splats = tuple(sorted(result.splats, key=lambda splat: splat.at or 0))
        suites = result.suites
        if splats and len(world.ran) % 3 == 1:
            (suite,) = suites
            (case,) = suite.cases
            both = replace(case, reason=f"{LOST}; then {die.title}", shows=Shows.WRONG_DATA)
            suites = (replace(suite, cases=(both,)),)
        return replace(result, suites=suites, splats=splats)

    pipeline.execute = told  # the fixture puts the real one back
    blame = world.blamed(spec())
    shows = ("wrong data", "splat/bug:page_table_check_clear")
    assert (blame.mark, blame.shows) == (Mark.INTRODUCED, shows)
    assert blame.series.failed == blame.series.runs >= 3
    assert [culprit.number for culprit in blame.culprits] == [3]


def test_a_base_whose_case_proves_nothing_leaves_it_undecided(world: World) -> None:
    world.fails = since(1, base=Outcome.INCONCLUSIVE)
    blame = world.blamed(spec())
    assert blame.mark is Mark.UNDECIDED
    assert "the base's runs do not tell: INCONCLUSIVE: pswpout 12" in blame.reason
    assert len(world.ran) == 2


# What is no case


def test_a_splat_beside_the_cases_is_looked_for_in_all_of_them(world: World) -> None:
    warning = replace(bug("x"), kind=SplatKind.WARNING, fatal=False, title="WARNING: at mm/x.c:1")
    world.warns = dict.fromkeys((2, 3, 4), (warning,))
    blame = world.blamed(spec(CASE, OTHER))
    assert (blame.mark, blame.culprits[0].number) == (Mark.INTRODUCED, 2)
    assert blame.failure.startswith("splat/warning:")
    assert {len(cases) for _, _, cases in world.ran} == {2}


def test_a_build_that_fails_needs_one_build_of_each(world: World) -> None:
    error = BuildError("it does not compile: mm/rmap.c:1: error: no")
    world.broken = dict.fromkeys((3, 4), error)
    blame = world.blamed(spec())
    assert (blame.failure, blame.mark) == ("the build", Mark.INTRODUCED)
    assert [culprit.number for culprit in blame.culprits] == [3]
    assert (blame.series, blame.base) == (Tally(failed=1, runs=1), Tally(failed=0, runs=1))
    assert all(prefix.tally.runs == 1 for prefix in blame.tested)
    assert world.ran == []


def test_a_base_that_does_not_build_is_not_the_series_failure(world: World) -> None:
    world.broken = dict.fromkeys(range(5), BuildError("it does not compile: x.c:1: error: no"))
    (result,) = world.run(spec())
    assert (result.blame[0].mark, result.verdict.outcome) == (Mark.THERE, Outcome.INCONCLUSIVE)


def test_a_boot_that_fails_boots_the_others_without_cases(world: World) -> None:
    world.broken = dict.fromkeys((2, 3, 4), BootError("the kernel hangs at boot"))
    blame = world.blamed(spec())
    assert (blame.failure, blame.mark) == ("the boot", Mark.INTRODUCED)
    assert blame.culprits[0].number == 2
    assert {cases for _, _, cases in world.ran} == {()}


def test_a_series_that_does_not_apply_has_named_its_patch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "applies", lambda store, tree: False)
    world.broken = {4: BuildError("patch 3/4 does not apply")}
    (result,) = world.run(spec())
    assert (result.blame, result.verdict.outcome) == ((), Outcome.FAIL)


# Patches that cannot be tested


def test_a_patch_after_which_it_does_not_build_is_skipped(world: World) -> None:
    world.fails, world.broken = since(4), {2: BuildError("it does not compile: x.c:1")}
    blame = world.blamed(spec())
    assert [culprit.number for culprit in blame.culprits] == [4]
    skipped = [prefix for prefix in blame.tested if prefix.skipped]
    assert [prefix.upto for prefix in skipped] in ([2], [])
    assert all("does not compile" in prefix.skipped for prefix in skipped)


def test_patches_that_cannot_be_told_apart_are_all_named(world: World) -> None:
    world.fails, world.broken = since(3), {2: BuildError("it does not compile: x.c:1")}
    blame = world.blamed(spec())
    assert [culprit.number for culprit in blame.culprits] == [2, 3]
    assert blame.reason == "the patches between them cannot be tested"
    assert " or patch 3/4 (" in blame.by


def test_a_part_of_a_series_is_blamed_patch_by_patch(world: World) -> None:
    world.fails = since(2)
    blame = world.blamed(spec(tree=TreeSpec(base=BASE, series=SERIES, upto=3)))
    assert (blame.culprits[0].number, blame.patches) == (2, 3)


# What is run


def test_the_series_below_is_the_base(world: World) -> None:
    """It stays, and it is built as a stranger's, not as the trusted base."""
    below = model.load(TOP / "patches", "batch-dirty-tlb-flush", 2, "")
    tree = TreeSpec(base=BASE, series=SERIES, below=(below,))
    assert tree.beneath == TreeSpec(base=BASE, series=below)
    assert tree.beneath.patches == below.patches
    world.fails = since(3)
    assert world.blamed(spec(tree=tree)).against == f"{below.label} on v6.12"


@pytest.mark.parametrize(
    "left_out",
    [
        spec().but(blame=False),
        spec().but(mutant="no-remote-flush"),
        spec(tree=TreeSpec(base=BASE)),
        spec(step=object()),
    ],
)
def test_what_is_not_blamed(world: World, left_out: RunSpec) -> None:
    results = executing.execute(
        Context(world.store, SHELVES), [replace(left_out, step=None)], world.directory
    )
    world.ran.clear()
    failing = tuple(replace(result, suites=_failing()) for result in results)
    blamed = blaming.blame(Context(world.store, SHELVES), [left_out], failing, world.directory)
    assert (blamed, world.ran) == (failing, [])


def _failing() -> tuple[SuiteResult, ...]:
    case = CaseResult(name="straddle_page_table", outcome=Outcome.FAIL, reason=LOST)
    return (SuiteResult(suite="madv_free", cases=(case,)),)


def test_a_pass_is_not_blamed(world: World) -> None:
    (result,) = world.run(spec())
    assert (result.blame, world.ran) == ((), [])


def test_without_a_search_nothing_is_built(world: World) -> None:
    world.fails = since(3)
    context = Context(world.store, SHELVES)
    before = executing.execute(context, [spec()], world.directory)
    world.ran.clear()
    (result,) = blaming.blame(context, [spec()], before, world.directory, search=False)
    assert result.blame[0].summary == "introduced by the series"
    assert {upto for upto, _, _ in world.ran} == {0, 4}


def test_each_architecture_is_blamed_by_its_own_runs(world: World) -> None:
    world.fails = since(3)
    arm64 = spec(machine=Machine(arch="arm64", accel=Accel.TCG))
    results = world.run(spec(), arm64)
    assert [result.blame[0].culprits[0].number for result in results] == [3, 3]
    assert {path.name.split("-")[0] for path in (world.directory / "blame").iterdir()} == {
        "x86_64",
        "arm64",
    }
    # They are not results of the run.
    assert {result.machine.arch for result in executing.load_all(world.directory)} == {
        "x86_64",
        "arm64",
    }


def test_it_says_what_it_will_do_and_how_long_that_takes(
    world: World, events: list[log.Event]
) -> None:
    world.fails = since(3)
    world.blamed(spec())
    notes = [event.text for event in events if event.kind == "note"]
    assert (
        f"runs {CASE} on v6.12 and with the series: at most 64 times each, 6.0 s a run, 2 at a"
        " time, at most 6 min (--no-blame leaves it out)" in notes
    )
    (search,) = [text for text in notes if "kernels of its first patches" in text]
    assert search.startswith("at most 2 kernels of its first patches, up to 3 min for the first")
    assert f"{CASE}: introduced by the series" in notes


def test_a_long_case_is_run_less_often(world: World, events: list[log.Event]) -> None:
    world.fails = since(3)
    result = world.result
    world.result = lambda *words, **rest: result(*words, **{**rest, "seconds": 400.0})  # type: ignore[method-assign]
    assert world.blamed(spec()).culprits[0].number == 3
    assert any("at most 4 times each" in event.text for event in events)


# Trouble


def test_ctrl_c_leaves_the_verdict_stored(
    world: World, monkeypatch: pytest.MonkeyPatch, events: list[log.Event]
) -> None:
    world.fails = since(3)
    context = Context(world.store, SHELVES)
    before = executing.execute(context, [spec()], world.directory)

    def interrupted(*words: Any, **rest: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(executing, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        blaming.blame(context, [spec()], before, world.directory)
    assert executing.load_all(world.directory) == before
    assert before[0].verdict.outcome is Outcome.FAIL
    assert any("rig report 20261128-080000-run" in event.text for event in events)


def test_trouble_of_the_host_leaves_it_undecided(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fails = since(3)
    context = Context(world.store, SHELVES)
    before = executing.execute(context, [spec()], world.directory)

    def full(*words: Any, **rest: Any) -> Any:
        raise DiskFull("storing a result")

    monkeypatch.setattr(executing, "execute", full)
    (result,) = blaming.blame(context, [spec()], before, world.directory)
    assert result.verdict == before[0].verdict
    assert result.blame[0].mark is Mark.UNDECIDED
    assert result.blame[0].reason == "the disk is full: storing a result"


def test_a_busy_host_is_tried_again(world: World) -> None:
    """Its trouble says nothing of a kernel: not of the base, and not of a first patch."""
    said = {0: iter([Outcome.BROKEN] * 3), 2: iter([Outcome.BROKEN] * 2)}
    fails = since(3)
    world.fails = lambda upto, seed, case: next(said.get(upto, iter(())), fails(upto, seed, case))
    blame = world.blamed(spec())
    assert (blame.mark, blame.culprits[0].number) == (Mark.INTRODUCED, 3)
    assert blame.base.runs < sum(upto == 0 for upto, _, _ in world.ran)


def test_a_host_that_stays_busy_leaves_it_undecided(world: World) -> None:
    world.fails = since(1, base=Outcome.BROKEN)
    blame = world.blamed(spec())
    assert (blame.mark, blame.base) == (Mark.UNDECIDED, Tally())
    assert sum(upto == 0 for upto, _, _ in world.ran) == trial.BROKEN_MOST
    assert blame.reason.startswith("the base's runs do not tell: BROKEN")


def test_a_guest_that_is_lost_for_good_says_nothing_of_its_other_cases(world: World) -> None:
    lost = GuestLost("9 guests were lost")
    result = world.result(spec(), (), (), Trouble.of(lost))
    assert failures.seen(failures.Failure(name=CASE, shows=("wrong data",)), result) is None
