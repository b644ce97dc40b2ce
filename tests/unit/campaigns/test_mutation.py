# SPDX-License-Identifier: GPL-2.0-only
"""Planning and folding of mutation campaigns; guests are in tests/kernel."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig.campaigns import execute as executing
from rig.campaigns import mutation, request
from rig.campaigns.mutation import Fate, Mutation, Row
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import ConfigError
from rig.guest.console import Splat, scan
from rig.guest.qemu import Seeded
from rig.kernel import mutant, tree
from rig.kernel.mutant import NONE, Mutant
from rig.report import mutants as report
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite
from rig.suites.suite import Selection
from rig.verdict.rules import CaseResult, Outcome, SuiteResult, conclude
from rig.version import KernelVersion
from tests.unit.conftest import about

V6_12, V7_2 = KernelVersion.parse("6.12"), KernelVersion.parse("7.2")
LOST = "page 17: CPU 2 wrote 42, read back 41"


def make(name: str, *killed_by: str, more: str = "") -> Mutant:
    symbol = name.upper().replace("-", "_")
    text = f"// Rule: one\n// Files: mm/rmap.c\n// Killed-By: {' '.join(killed_by)}\n{more}"
    return mutant.parse(name, f"{text}\nrig_mutant({symbol})\n")


FLUSH = make("flush", "stale_tlb/anon_lost_write")
BOTH = make("both", "stale_tlb/anon_lost_write", "reclaim/anon_roundtrip")
DIES = make("dies", "splat/oops")
NEW = make("new", "reclaim/anon_roundtrip", more="// Not-On: <v7.0: nothing is batched there\n")
BROADCAST = make("broadcast", "stale_tlb/anon_lost_write", more="// Equivalent-On: arm64: DVM\n")
ALL = (FLUSH, BOTH, DIES, NEW, BROADCAST)


@pytest.fixture
def specs(spec: RunSpec) -> list[RunSpec]:
    """One for each architecture."""
    arm64 = replace(spec, machine=replace(spec.machine, arch="arm64"))
    return [spec, arm64]


@pytest.fixture
def ran(results: dict[str, tuple[RunResult, ...]]) -> Callable[..., RunResult]:
    """A guest's result: cases as (name, outcome)."""

    def make_result(
        name: str, *cases: tuple[str, Outcome], arch: str = "x86_64", splats: tuple[Splat, ...] = ()
    ) -> RunResult:
        suites = tuple(
            SuiteResult(
                suite=full.split("/")[0],
                cases=(
                    CaseResult(
                        name=full.split("/")[1],
                        outcome=outcome,
                        reason="" if outcome is Outcome.PASS else LOST,
                        counters=(("writes", 1234),),
                        seconds=0.9,
                    ),
                ),
            )
            for full, outcome in cases
        )
        whole = results["pass"][0]
        return replace(
            whole,
            machine=replace(whole.machine, arch=arch),
            provenance=about(whole.provenance, mutant=name),
            suites=suites,
            splats=splats,
            verdict=conclude(suites, splats, None),
        )

    return make_result


def chosen(planned: mutation.Plan) -> list[tuple[str, str, str]]:
    return [
        (spec.machine.arch, spec.request.mutant, f"{picked.suite}/{'+'.join(picked.cases)}")
        for spec in (*planned.clean, *planned.trials)
        for picked in spec.suites
    ]


def test_each_mutant_meets_the_cases_that_name_it_and_the_clean_kernel_all_of_them(
    spec: RunSpec,
) -> None:
    planned = mutation.plan([spec], [FLUSH, BOTH], V6_12, all_cases=False)
    assert chosen(planned) == [
        ("x86_64", NONE, "stale_tlb/anon_lost_write"),
        ("x86_64", NONE, "reclaim/anon_roundtrip"),
        ("x86_64", "flush", "stale_tlb/anon_lost_write"),
        ("x86_64", "both", "stale_tlb/anon_lost_write"),
        ("x86_64", "both", "reclaim/anon_roundtrip"),
    ]


def test_all_cases_are_a_guest_for_each_suite(spec: RunSpec) -> None:
    planned = mutation.plan([spec], [FLUSH], V6_12, all_cases=True)
    assert [run[1:] for run in chosen(planned)][2:] == [
        ("flush", "stale_tlb/anon_lost_write"),
        ("flush", "reclaim/anon_roundtrip"),
    ]
    assert [len(spec.suites) for spec in planned.trials] == [1, 1]


def test_a_mutant_only_a_splat_names_meets_every_case(spec: RunSpec) -> None:
    planned = mutation.plan([spec], [DIES], V6_12, all_cases=False)
    assert [run[2] for run in chosen(planned) if run[1] == "dies"] == [
        "stale_tlb/anon_lost_write",
        "reclaim/anon_roundtrip",
    ]


def test_what_cannot_be_noticed_has_its_reason_and_no_guest(specs: list[RunSpec]) -> None:
    planned = mutation.plan(specs, [NEW, BROADCAST], V6_12, all_cases=False)
    assert [(row.mutant, row.arch, row.fate, row.reason) for row in planned.rows] == [
        ("new", "x86_64", Fate.NOT_APPLICABLE, "nothing is batched there"),
        ("new", "arm64", Fate.NOT_APPLICABLE, "nothing is batched there"),
        ("broadcast", "arm64", Fate.EQUIVALENT, "DVM"),
    ]
    assert [(spec.machine.arch, spec.request.mutant) for spec in planned.trials] == [
        ("x86_64", "broadcast")
    ]
    newer = mutation.plan(specs, [NEW], V7_2, all_cases=False)
    assert (newer.rows, len(newer.trials)) == ((), 2)


def test_whom_only_live_cases_kill_has_no_seeds(spec: RunSpec) -> None:
    one = make("w", "kselftest_mm/cow")
    everything = replace(spec, suites=suite.select(("kselftest_mm",), ()))
    assert len(mutation.plan([everything], [one], V6_12, all_cases=False).trials) == 1
    seeded = replace(everything, machine=replace(spec.machine, schedule=Seeded(seed=1)))
    (row,) = mutation.plan([seeded], [one], V6_12, all_cases=False).rows
    assert row.fate is Fate.NOT_APPLICABLE
    assert row.reason.startswith("only in the live schedule, by cow: ")


def test_a_selection_that_leaves_nothing_is_an_error(spec: RunSpec) -> None:
    only = replace(spec, suites=(Selection(suite="madv_free"),))
    with pytest.raises(ConfigError, match="names none of these cases"):
        mutation.plan([only], [FLUSH], V6_12, all_cases=False)


def test_the_case_that_names_it_kills_it(ran: Callable[..., RunResult]) -> None:
    (row,) = mutation.fold(ALL, [ran("flush", ("stale_tlb/anon_lost_write", Outcome.FAIL))])
    assert (row.fate, row.missed, row.reason) == (Fate.KILLED, (), "")
    (kill,) = row.kills
    assert (kill.case, kill.how, kill.seconds, kill.writes) == (
        "stale_tlb/anon_lost_write", LOST, 0.9, 1234,
    )  # fmt: skip


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.FAIL])
def test_whatever_is_no_fail_is_no_kill(outcome: Outcome, ran: Callable[..., RunResult]) -> None:
    (row,) = mutation.fold(ALL, [ran("flush", ("stale_tlb/anon_lost_write", outcome))])
    assert (row.fate, row.missed) == (Fate.SURVIVED, ("stale_tlb/anon_lost_write",))
    assert row.reason == ("" if outcome is Outcome.PASS else row.reason)


def test_a_case_that_does_not_name_it_does_not_kill_it(ran: Callable[..., RunResult]) -> None:
    cases = (("stale_tlb/anon_lost_write", Outcome.PASS), ("reclaim/x", Outcome.FAIL))
    (row,) = mutation.fold(ALL, [ran("flush", *cases)])
    assert (row.fate, row.others) == (Fate.SURVIVED, ("reclaim/x",))


def test_killed_means_every_time_by_the_same_case(ran: Callable[..., RunResult]) -> None:
    stale, round_ = "stale_tlb/anon_lost_write", "reclaim/anon_roundtrip"
    kill, miss = Outcome.FAIL, Outcome.PASS
    runs = [ran("both", (stale, kill)), ran("both", (round_, miss))]
    (row,) = mutation.fold(ALL, [*runs, *runs])
    assert (row.fate, len(row.kills), row.missed) == (Fate.KILLED, 2, (round_, round_))
    (row,) = mutation.fold(ALL, [*runs, ran("both", (stale, miss)), ran("both", (round_, kill))])
    assert (row.fate, len(row.kills)) == (Fate.SURVIVED, 2)


def test_a_splat_it_names_kills_it_and_another_does_not(ran: Callable[..., RunResult]) -> None:
    data = Path(__file__).parents[2] / "data" / "console"
    splats = {
        splat.kind: splat
        for path in data.glob("*.log")
        for splat in scan(path.read_text(errors="replace"))
    }
    named = next(kind for kind in splats if kind.failure)
    dies = make("dies", f"splat/{named}")
    case = ("stale_tlb/anon_lost_write", Outcome.PASS)
    (row,) = mutation.fold([dies], [ran("dies", case, splats=(splats[named],))])
    assert (row.fate, row.kills[0].how.split(":")[0]) == (Fate.KILLED, f"splat/{named}")
    other = next(kind for kind in splats if kind.failure and kind != named)
    (row,) = mutation.fold([dies], [ran("dies", case, splats=(splats[other],))])
    assert row.fate is not Fate.KILLED


def test_a_guest_that_never_came_up_is_broken(ran: Callable[..., RunResult]) -> None:
    (row,) = mutation.fold(ALL, [ran("flush")])
    assert (row.fate, row.fate.outcome) == (Fate.BROKEN, Outcome.BROKEN)
    assert row.reason


def test_architectures_have_rows_of_their_own(ran: Callable[..., RunResult]) -> None:
    case = "stale_tlb/anon_lost_write"
    runs = [
        ran("flush", (case, Outcome.PASS), arch="arm64"),
        ran("flush", (case, Outcome.FAIL)),
    ]
    rows = mutation.fold(ALL, runs)
    assert {row.arch: row.fate for row in rows} == {
        "arm64": Fate.SURVIVED,
        "x86_64": Fate.KILLED,
    }


def test_a_killed_by_that_names_no_case_names_the_file() -> None:
    mutation.check_named([FLUSH, DIES])
    with pytest.raises(ConfigError) as bad:
        mutation.check_named([make("typo", "stale_tlb/anon_lost_writes")])
    assert "patches/mutants/typo.cocci" in bad.value.message
    assert "stale_tlb/anon_lost_write" in bad.value.hint


def test_a_splat_or_an_architecture_there_is_not_names_the_file() -> None:
    mutation.check_named([make("fine", "splat/bug:do_swap_page"), BROADCAST])
    with pytest.raises(ConfigError, match=r"Killed-By of patches/mutants/typo\.cocci") as bad:
        mutation.check_named([make("typo", "splat/bugs:do_swap_page")])
    assert "splat/bug" in bad.value.hint
    with pytest.raises(ConfigError, match=r"Equivalent-On of patches/mutants/typo\.cocci") as bad:
        mutation.check_named([make("typo", "splat/oops", more="// Equivalent-On: arm: DVM\n")])
    assert "arm64" in bad.value.hint


def test_the_shelf_names_cases_there_are() -> None:
    mutation.check_named(mutant.load_all(Shelves.default().patches))


def test_names_are_chosen_and_typos_are_told() -> None:
    assert mutation.choose(ALL, ["new"]) == (NEW,)
    assert mutation.choose(ALL, []) == ALL
    with pytest.raises(ConfigError, match="no mutant named 'flash'"):
        mutation.choose(ALL, ["flash"])


Campaign = Callable[[Callable[[RunSpec], Outcome]], list[RunSpec]]


@pytest.fixture
def campaigns(
    spec: RunSpec, ran: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch
) -> Campaign:
    """Campaigns of the shelf ALL against one spec; what a guest shows is the test's to say."""

    def be(shows: Callable[[RunSpec], Outcome]) -> list[RunSpec]:
        asked: list[RunSpec] = []

        def execute(
            context: Context, specs: Sequence[RunSpec], directory: Path, **rest: Any
        ) -> tuple[RunResult, ...]:
            asked.extend(specs)
            results = []
            for spec in specs:
                (picked,) = spec.suites
                full = f"{picked.suite}/{picked.cases[0]}"
                results.append(
                    ran(spec.request.mutant, (full, shows(spec)), arch=spec.machine.arch)
                )
                rest["on_result"](results[-1])
            return tuple(results)

        monkeypatch.setattr(executing, "execute", execute)
        monkeypatch.setattr(mutant, "load_all", lambda shelf: ALL)
        monkeypatch.setattr(request, "specs", lambda context, asked: (spec,))
        kernel_tree = type("Made", (), {"version": V6_12})
        monkeypatch.setattr(tree, "materialize", lambda store, spec: kernel_tree)
        return asked

    return be


def test_a_campaign_is_run_stored_and_read_again(store: Store, campaigns: Campaign) -> None:
    ran_specs = campaigns(
        lambda spec: Outcome.PASS if spec.request.mutant == NONE else Outcome.FAIL
    )
    result, directory = mutation.mutate(
        Context(store, Shelves.default()),
        Request(target="v6.12", repeat=2),
        ["flush"],
        all_cases=False,
    )
    assert [spec.request.mutant for spec in ran_specs] == [NONE, "flush", "flush"]
    assert (result.outcome, result.repeat, len(result.rows[0].kills)) == (Outcome.PASS, 2, 2)
    assert mutation.load(directory) == result
    assert mutation.load(directory.parent) is None


def test_seeds_are_tried_until_one_kills_and_the_clean_kernel_has_that_one(
    store: Store, campaigns: Campaign
) -> None:
    ran_specs = campaigns(
        lambda spec: (
            Outcome.FAIL if spec.request.mutant != NONE and spec.request.seed == 3 else Outcome.PASS
        )
    )
    result, _ = mutation.mutate(
        Context(store, Shelves.default()), Request(target="v6.12", schedule="seeded"), ["flush"],
        all_cases=False, seeds=range(1, 17),
    )  # fmt: skip
    assert [(spec.request.mutant, spec.request.seed) for spec in ran_specs] == [
        ("flush", 1), ("flush", 2), ("flush", 3), (NONE, 3),
    ]  # fmt: skip
    assert [spec.machine.schedule for spec in ran_specs] == [
        Seeded(seed=spec.request.seed) for spec in ran_specs
    ]
    assert [(row.fate, row.seed) for row in result.rows] == [(Fate.KILLED, 3)]
    assert len(result.clean) == 1
    assert ", seed 3, 0.9 s" in report.render(result)


def test_whom_no_seed_kills_has_survived(store: Store, campaigns: Campaign) -> None:
    ran_specs = campaigns(lambda spec: Outcome.PASS)
    result, _ = mutation.mutate(
        Context(store, Shelves.default()), Request(target="v6.12", schedule="seeded"), ["flush"],
        all_cases=False, seeds=(1, 2),
    )  # fmt: skip
    assert [spec.request.seed for spec in ran_specs] == [1, 2]
    assert [(row.fate, row.seed) for row in result.rows] == [(Fate.SURVIVED, 2)]


# The table


def a_mutation(*rows: Row, clean: tuple[RunResult, ...] = ()) -> Mutation:
    return Mutation(label="v6.12", origin="a test", repeat=1, clean=clean, rows=rows)


def test_a_survivor_fails_the_campaign_and_a_broken_guest_breaks_it() -> None:
    rows = [Row(mutant="m", arch="arm64", fate=fate) for fate in Fate]
    assert [a_mutation(row).outcome for row in rows] == [
        Outcome.PASS, Outcome.FAIL, Outcome.BROKEN, Outcome.PASS, Outcome.PASS,
    ]  # fmt: skip


def test_the_table(ran: Callable[..., RunResult]) -> None:
    stale, round_ = "stale_tlb/anon_lost_write", "reclaim/anon_roundtrip"
    runs = [
        ran("both", (stale, Outcome.FAIL)),
        ran("both", (round_, Outcome.PASS)),
        ran("flush", (stale, Outcome.PASS)),
    ]
    spared = Row(mutant="new", arch="x86_64", fate=Fate.NOT_APPLICABLE, reason="no batches")
    clean = (ran(NONE, (stale, Outcome.PASS)),)
    whole = a_mutation(*mutation.fold(ALL, runs), spared, clean=clean)
    assert report.render(whole, "2026-mutate").splitlines() == [
        "v6.12: mutants FAIL",
        "  a test",
        "",
        "no mutant on: 1 cases, none fails",
        "",
        "both                           x86_64   KILLED",
        "    stale_tlb/anon_lost_write, 0.9 s, 1,234 writes",
        f"      > {LOST}",
        "    reclaim/anon_roundtrip did not fail",
        "flush                          x86_64   SURVIVED",
        "    stale_tlb/anon_lost_write did not fail",
        "new                            x86_64   NOT APPLICABLE",
        "    no batches",
        "",
        "1 killed, 1 survived, 1 not applicable, median 0.9 s, longest 0.9 s",
        "",
        "rig report 2026-mutate",
    ]


def test_a_case_that_fails_on_the_clean_kernel_comes_first(ran: Callable[..., RunResult]) -> None:
    case = ("stale_tlb/anon_lost_write", Outcome.FAIL)
    whole = a_mutation(*mutation.fold(ALL, [ran("flush", case)]), clean=(ran(NONE, case),))
    assert whole.outcome is Outcome.FAIL
    output = report.render(whole)
    assert output.index("FAIL on the clean x86_64: stale_tlb/anon_lost_write") < output.index(
        "KILLED"
    )


def test_every_case_has_a_name_of_its_own() -> None:
    names = [
        f"{entry.name}/{case.name}" for entry in suite.known().values() for case in entry.cases
    ]
    assert len(names) == len(set(names))
