# SPDX-License-Identifier: GPL-2.0-only
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig.campaigns import explore, pipeline
from rig.campaigns.explore import Exploration, Tried
from rig.campaigns.results import Prepared, RunSpec
from rig.context import Context
from rig.errors import ConfigError, GuestLost
from rig.guest import seeded
from rig.guest.qemu import Seeded
from rig.report import seeds as report
from rig.shelves import Shelves
from rig.store import Store
from rig.suites.suite import Case, Selection, Suite
from rig.verdict.rules import CaseResult, Outcome, lost

SPLATS = 77
"""The seed at which the case passes, and the kernel has something to say."""
HANGS = 78
"""The seed at which the guest does not come to its end, as with one iteration at any."""
SHELVES = Shelves(kconfigs=Path("/k"), patches=Path("/p"), images=Path("/i"))


@pytest.fixture
def ready(
    prepared: Prepared, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[tuple[int, int, int]]]:
    """What a seed does is the test's to say; (seed, iterations, CPUs) of each boot is listed."""

    def be(fails: Callable[[int, int, int, int], bool]) -> list[tuple[int, int, int]]:
        booted: list[tuple[int, int, int]] = []

        def seeded_case(
            ready: Prepared, suite: Suite, case: Case, directory: Path, deadline: float
        ) -> CaseResult:
            machine = ready.spec.machine
            assert isinstance(machine.schedule, Seeded)
            assert machine.schedule.seed == ready.spec.request.seed
            key = (
                ready.spec.request.seed,
                ready.spec.request.iterations or case.iterations,
                machine.cpus,
            )
            booted.append(key)
            directory.mkdir(parents=True)
            (directory / seeded.ANSWER).write_text(f"# counter writes {key[0] % 5}\n")
            splat = "[    1.000000] kernel BUG at mm/rmap.c:7!\n"
            (directory / seeded.CONSOLE).write_text(splat if key[0] == SPLATS else "")
            if key[0] == HANGS or key[1] == 1:
                return lost(case.name, GuestLost(f"not within {deadline:.0f} s"), deadline)
            failed = fails(*key, ready.spec.request.pages or case.pages)
            outcome = Outcome.FAIL if failed else Outcome.PASS
            return CaseResult(name=case.name, outcome=outcome, reason="lost", digest="d")

        monkeypatch.setattr(pipeline, "prepare", lambda context, spec: prepared)
        monkeypatch.setattr(pipeline, "seeded_case", seeded_case)
        return booted

    return be


@pytest.fixture
def one_case(spec: RunSpec) -> RunSpec:
    selection = Selection(suite="stale_tlb", cases=("anon_lost_write",))
    return replace(spec, suites=(selection,))


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", (7,)), ("1..3", (1, 2, 3)), ("5,1..2,5", (5, 1, 2)), (" 2 , 4 ", (2, 4))],
)
def test_seeds_as_they_are_written(text: str, seeds: tuple[int, ...]) -> None:
    assert explore.parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "x", "3..1", "1..", "..3", "-1", "1...3", "1..99999999", str(2**63)]
)
def test_what_is_no_list_of_seeds(text: str) -> None:
    with pytest.raises(ConfigError, match="is no"):
        explore.parse_seeds(text)


def test_every_seed_is_tried_and_the_failing_are_named(
    store: Store, one_case: RunSpec, ready: Callable[..., Any]
) -> None:
    booted = ready(lambda seed, iterations, cpus, pages: seed in (3, 9))
    exploration = explore.explore(Context(store, SHELVES), one_case, range(1, 13))
    assert [tried.seed for tried in exploration.tried] == list(range(1, 13))
    assert [tried.seed for tried in exploration.failing] == [3, 9]
    assert (exploration.interleavings, exploration.outcome) == (5, Outcome.FAIL)
    assert {seed for seed, _, _ in booted} == set(range(1, 13))


def test_a_campaign_goes_on_where_it_was(
    store: Store, one_case: RunSpec, ready: Callable[..., Any]
) -> None:
    booted = ready(lambda seed, iterations, cpus, pages: False)
    explore.explore(Context(store, SHELVES), one_case, [1, 2, 3])
    explore.explore(Context(store, SHELVES), one_case, [1, 2, 3, 4])
    assert sorted(seed for seed, _, _ in booted) == [1, 2, 3, 4]
    explore.explore(Context(store, SHELVES), one_case.but(iterations=2), [1])
    assert len(booted) == 4, "prepare() gives what it was made for"


def test_it_stops_at_so_many_failures(
    store: Store, one_case: RunSpec, ready: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explore.execute, "side_by_side", lambda specs: 1)
    ready(lambda seed, iterations, cpus, pages: seed % 2 == 0)
    exploration = explore.explore(Context(store, SHELVES), one_case, range(1, 100), failures=2)
    assert [tried.seed for tried in exploration.tried] == [1, 2, 3, 4]


def test_a_failing_seed_is_shrunk(
    store: Store, one_case: RunSpec, ready: Callable[..., Any]
) -> None:
    ready(lambda seed, iterations, cpus, pages: iterations >= 3 and pages >= 600)
    exploration = explore.explore(Context(store, SHELVES), one_case, [5])
    assert exploration.shrunk is not None
    assert (exploration.shrunk.seed, exploration.shrunk.iterations, exploration.shrunk.cpus) == (
        5,
        3,
        2,
    )
    assert exploration.shrunk.line == (
        "rig run v6.12 --schedule seeded --cpus 2 "
        "--suite stale_tlb --case anon_lost_write --seed 5 --iterations 3 --pages 1024"
    )


def test_a_guest_that_hangs_is_a_failure_but_not_a_smaller_one(
    store: Store, one_case: RunSpec, ready: Callable[..., Any]
) -> None:
    ready(lambda *_: True)
    exploration = explore.explore(Context(store, SHELVES), one_case, [5, HANGS])
    assert [tried.case.reason for tried in exploration.failing] == [
        "lost",
        f"not within {seeded.DEADLINE:.0f} s",
    ]
    assert exploration.shrunk is not None
    assert (exploration.shrunk.seed, exploration.shrunk.iterations) == (5, 2)


def test_two_cases_are_two_campaigns(spec: RunSpec, one_case: RunSpec) -> None:
    explore.check([one_case])
    with pytest.raises(ConfigError, match="takes one case, and 2 are selected"):
        explore.check([spec])


def test_a_case_that_needs_the_live_schedule_says_so(
    store: Store, one_case: RunSpec, ready: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(lambda *_: False)
    cases_of = explore.suites.cases_of
    monkeypatch.setattr(
        explore.suites, "cases_of",
        lambda picked: tuple(replace(case, live_only="needs a disk") for case in cases_of(picked)),
    )  # fmt: skip
    with pytest.raises(ConfigError, match="needs a disk"):
        explore.explore(Context(store, SHELVES), one_case, [1])


def test_the_chance_of_a_miss() -> None:
    def tried(seed: int, outcome: Outcome) -> Tried:
        case = CaseResult(name="c", outcome=outcome, reason="page 3 lost")
        return Tried(seed=seed, case=case, interleaving=str(seed))

    runs = (tried(1, Outcome.FAIL), *(tried(n, Outcome.PASS) for n in (2, 3, 4)))
    exploration = Exploration(
        label="v6.12", arch="arm64", suite="s", case="c", mutant="m", tried=runs
    )
    assert exploration.miss(1) == 0.75
    assert exploration.miss(2) == 0.5625
    output = report.explored(exploration)
    assert output.splitlines()[:3] == [
        "v6.12, m on: s/c on arm64: FAIL",
        "  4 seeds, 1 failing, 4 different interleavings",
        "  seed 1: page 3 lost",
    ]
    assert "1: 75%, 2: 56%" in output
    assert replace(exploration, tried=()).miss(9) == 1.0


def test_a_splat_outranks_a_case_that_passes(
    store: Store, one_case: RunSpec, ready: Callable[..., Any]
) -> None:
    ready(lambda seed, iterations, cpus, pages: False)
    exploration = explore.explore(Context(store, SHELVES), one_case, [1, SPLATS])
    assert [tried.seed for tried in exploration.failing] == [SPLATS]
    assert exploration.failing[0].case.reason == "kernel BUG at mm/rmap.c:7!"
