# SPDX-License-Identifier: GPL-2.0-only
"""Planning and running of mutation campaigns; guests are in tests/kernel."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rig.campaigns import execute as executing
from rig.campaigns import mutation, request
from rig.campaigns.fates import Fate
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import ConfigError
from rig.guest.qemu import Seeded
from rig.kernel import mutant, tree
from rig.kernel.mutant import NONE
from rig.report import mutants as report
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite
from rig.suites.suite import Selection
from rig.verdict.rules import Outcome
from rig.version import KernelVersion
from tests.unit.campaigns.conftest import ALL, BOTH, BROADCAST, DIES, FLUSH, NEW, Ran, make

V6_12, V7_2 = KernelVersion.parse("6.12"), KernelVersion.parse("7.2")
STALE, ROUND = "stale_tlb/anon_lost_write", "reclaim/anon_roundtrip"


@pytest.fixture
def specs(spec: RunSpec) -> list[RunSpec]:
    """One for each architecture."""
    arm64 = replace(spec, machine=replace(spec.machine, arch="arm64"))
    return [spec, arm64]


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


def test_all_cases_are_a_guest_for_each_suite_and_for_each_named_case(spec: RunSpec) -> None:
    """A case that is named is run, whatever the cases beside it do to their guest."""
    cases = ("anon_lost_write", "read_after_free", "first_write_to_clean")
    whole = replace(spec, suites=(Selection(suite="stale_tlb", cases=cases), *spec.suites[1:]))
    planned = mutation.plan([whole], [BOTH], V6_12, all_cases=True)
    assert [run[1:] for run in chosen(planned) if run[1] != NONE] == [
        ("both", STALE),
        ("both", ROUND),
        ("both", "stale_tlb/first_write_to_clean+read_after_free"),
    ]
    assert {len(spec.suites) for spec in planned.trials} == {1}


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
    also = replace(seeded, suites=suite.select(("kselftest_mm", "stale_tlb"), ()))
    (row,) = mutation.plan([also], [one, FLUSH], V6_12, all_cases=False).rows
    assert row.fate is Fate.NOT_APPLICABLE
    assert row.reason.startswith("only in the live schedule, by cow: ")
    with pytest.raises(ConfigError, match="nothing to run: w on x86_64: only in the live schedule"):
        mutation.plan([seeded], [one], V6_12, all_cases=False)


def test_cases_of_the_live_schedule_have_no_seeds(spec: RunSpec) -> None:
    some = make("w", "kselftest_mm/cow", STALE)
    both = replace(spec, suites=suite.select((), ("kselftest_mm/cow", STALE)))
    assert len(mutation.plan([both], [some], V6_12, all_cases=False).trials) == 2
    seeded = replace(both, machine=replace(spec.machine, schedule=Seeded(seed=1)))
    planned = mutation.plan([seeded], [some], V6_12, all_cases=False)
    assert (chosen(planned)[1:], planned.rows) == ([("x86_64", "w", STALE)], ())


def test_a_selection_that_leaves_nothing_is_an_error(spec: RunSpec) -> None:
    only = replace(spec, suites=(Selection(suite="madv_free"),))
    with pytest.raises(ConfigError, match="names none of these cases"):
        mutation.plan([only], [FLUSH], V6_12, all_cases=False)
    with pytest.raises(ConfigError, match="names none of these cases"):
        mutation.plan([only], [FLUSH, NEW], V6_12, all_cases=False)
    with pytest.raises(ConfigError, match=r"new on x86_64: nothing is batched there"):
        mutation.plan([only], [NEW], V6_12, all_cases=True)
    for release in ("v6.12", "6.12.9"):
        with pytest.raises(ConfigError, match=f"new on {release}: nothing is batched there"):
            mutant.check_release([NEW], release)
    mutant.check_release([NEW, FLUSH], "v6.12")
    mutant.check_release([NEW], "batch@v1")


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


Campaign = Callable[[Callable[[RunSpec], Outcome | None]], list[RunSpec]]


@pytest.fixture
def campaigns(spec: RunSpec, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """Campaigns of the shelf ALL against one spec; what a guest shows is the test's to say."""

    def be(shows: Callable[[RunSpec], Outcome | None]) -> list[RunSpec]:
        asked: list[RunSpec] = []

        def execute(
            context: Context, specs: Sequence[RunSpec], directory: Path, **rest: Any
        ) -> tuple[RunResult, ...]:
            asked.extend(specs)
            results = []
            for spec in specs:
                (picked,) = spec.suites
                cases = [
                    (f"{picked.suite}/{name}", outcome)
                    for name in picked.cases
                    if (outcome := shows(spec))
                ]
                results.append(ran(spec.request.mutant, *cases, arch=spec.machine.arch))
                rest["on_result"](results[-1])
            return tuple(results)

        monkeypatch.setattr(executing, "execute", execute)
        monkeypatch.setattr(mutant, "load_all", lambda shelf: ALL)
        monkeypatch.setattr(request, "specs", lambda context, asked: (spec,))
        kernel_tree = type("Made", (), {"version": V6_12})
        monkeypatch.setattr(tree, "materialize", lambda store, spec: kernel_tree)
        return asked

    return be


def run(
    store: Store, name: str, *, seeds: Sequence[int] = (), **options: Any
) -> tuple[mutation.Mutation, Path]:
    options = {"target": "v6.12", "schedule": "seeded" if seeds else "live"} | options
    return mutation.mutate(
        Context(store, Shelves.default()), Request(**options), [name], all_cases=False, seeds=seeds
    )


def case_of(spec: RunSpec) -> str:
    (picked,) = spec.suites
    return f"{picked.suite}/{picked.cases[0]}"


def test_a_campaign_is_run_stored_and_read_again(store: Store, campaigns: Campaign) -> None:
    ran_specs = campaigns(
        lambda spec: Outcome.PASS if spec.request.mutant == NONE else Outcome.FAIL
    )
    result, directory = run(store, "flush", repeat=2)
    assert [spec.request.mutant for spec in ran_specs] == [NONE, "flush", "flush"]
    assert (result.outcome, result.repeat, len(result.rows[0].kills)) == (Outcome.PASS, 2, 2)
    assert mutation.load(directory) == result
    assert mutation.load(directory.parent) is None


def test_a_case_that_has_not_killed_gets_more_guests_and_the_others_do_not(
    store: Store, campaigns: Campaign
) -> None:
    """A race is not lost in every guest. An early guest may also have been lost."""
    outcomes = iter((Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL))

    def shows(spec: RunSpec) -> Outcome:
        if spec.request.mutant == NONE:
            return Outcome.PASS
        return next(outcomes) if case_of(spec) == ROUND else Outcome.FAIL

    ran_specs = campaigns(shows)
    result, _ = run(store, "both")
    assert [case_of(spec) for spec in ran_specs if spec.request.mutant == "both"] == [
        STALE, ROUND, ROUND, ROUND,
    ]  # fmt: skip
    (row,) = result.rows
    assert (row.fate, [(case.case, len(case.kills), case.guests) for case in row.cases]) == (
        Fate.KILLED, [(STALE, 1, 1), (ROUND, 1, 3)],
    )  # fmt: skip
    assert f"    {ROUND}, fails in 1 of 3 guests, 0.9 s" in report.render(result)


def test_the_number_of_more_guests_is_bounded(store: Store, campaigns: Campaign) -> None:
    ran_specs = campaigns(lambda spec: Outcome.FAIL if case_of(spec) == STALE else Outcome.PASS)
    result, _ = run(store, "both")
    tried = [case_of(spec) for spec in ran_specs if spec.request.mutant == "both"]
    assert (tried.count(STALE), tried.count(ROUND)) == (1, 1 + mutation.MORE_GUESTS)
    (row,) = result.rows
    assert (row.fate, result.outcome) == (Fate.SURVIVED, Outcome.FAIL)
    assert [case.fate for case in row.cases] == [Fate.KILLED, Fate.SURVIVED]


def shown(outcome: Outcome | None, spec: RunSpec) -> Outcome | None:
    return outcome


def test_a_program_that_is_broken_on_a_mutant_gets_more_guests(
    store: Store, campaigns: Campaign
) -> None:
    """A stale write may land in the kernel's own memory: CI once had an ENOENT of open(2)."""
    outcomes = iter([Outcome.BROKEN, Outcome.BROKEN, Outcome.FAIL])
    ran_specs = campaigns(
        lambda spec: Outcome.PASS if spec.request.mutant == NONE else next(outcomes)
    )
    result, _ = run(store, "flush")
    assert len([spec for spec in ran_specs if spec.request.mutant != NONE]) == 3
    assert (result.rows[0].fate, result.outcome) == (Fate.KILLED, Outcome.PASS)
    ran_specs = campaigns(partial(shown, Outcome.BROKEN))
    result, _ = run(store, "flush")
    tried = [spec for spec in ran_specs if spec.request.mutant != NONE]
    assert (len(tried), result.rows[0].fate) == (1 + mutation.MORE_GUESTS, Fate.BROKEN)


def test_what_was_never_started_and_what_is_repeated_gets_no_more_guests(
    store: Store, campaigns: Campaign
) -> None:
    for outcome, repeat, fate in ((None, 1, Fate.BROKEN), (Outcome.PASS, 3, Fate.SURVIVED)):
        ran_specs = campaigns(partial(shown, outcome))
        result, _ = run(store, "flush", repeat=repeat)
        assert len([spec for spec in ran_specs if spec.request.mutant != NONE]) == repeat
        assert result.rows[0].fate is fate


def test_seeds_are_tried_until_one_kills_and_the_clean_kernel_has_that_one(
    store: Store, campaigns: Campaign
) -> None:
    ran_specs = campaigns(
        lambda spec: (
            Outcome.FAIL if spec.request.mutant != NONE and spec.request.seed == 3 else Outcome.PASS
        )
    )
    result, directory = run(store, "flush", seeds=range(1, 17))
    assert [(spec.request.mutant, spec.request.seed) for spec in ran_specs] == [
        ("flush", 1), ("flush", 2), ("flush", 3), (NONE, 3),
    ]  # fmt: skip
    assert [spec.machine.schedule for spec in ran_specs] == [
        Seeded(seed=spec.request.seed) for spec in ran_specs
    ]
    ((case,),) = [row.cases for row in result.rows]
    assert (case.fate, case.seeds, [kill.seed for kill in case.kills]) == (
        Fate.KILLED, (1, 2, 3), [3],
    )  # fmt: skip
    assert len(result.clean) == 1
    assert ", fails in 1 of 3 seeds, seed 3, 0.9 s" in report.render(result)
    assert mutation.load(directory) == result


def test_each_case_has_the_seed_that_it_needs(store: Store, campaigns: Campaign) -> None:
    needs = {STALE: 1, ROUND: 2}
    ran_specs = campaigns(
        lambda spec: (
            Outcome.FAIL
            if spec.request.mutant != NONE and spec.request.seed == needs[case_of(spec)]
            else Outcome.PASS
        )
    )
    result, _ = run(store, "both", seeds=range(1, 17))
    assert [(spec.request.mutant, spec.request.seed, case_of(spec)) for spec in ran_specs] == [
        ("both", 1, STALE), ("both", 1, ROUND), ("both", 2, ROUND),
        (NONE, 1, STALE), (NONE, 2, ROUND),
    ]  # fmt: skip
    assert result.rows[0].fate is Fate.KILLED


def test_whom_no_seed_kills_has_survived(store: Store, campaigns: Campaign) -> None:
    ran_specs = campaigns(lambda spec: Outcome.PASS)
    result, _ = run(store, "flush", seeds=(1, 2))
    assert [spec.request.seed for spec in ran_specs] == [1, 2]
    ((case,),) = [row.cases for row in result.rows]
    assert (result.rows[0].fate, case.seeds) == (Fate.SURVIVED, (1, 2))
    assert f"{STALE}: survived, fails in 0 of 2 seeds" in report.render(result)


def test_every_case_has_a_name_of_its_own() -> None:
    names = [
        f"{entry.name}/{case.name}" for entry in suite.known().values() for case in entry.cases
    ]
    assert len(names) == len(set(names))
