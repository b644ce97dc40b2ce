# SPDX-License-Identifier: GPL-2.0-only
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig.benches import benchmark
from rig.benches.benchmark import Benchmark, Metric
from rig.campaigns import compare, request, statistics
from rig.campaigns import execute as executing
from rig.campaigns.compare import Comparison
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.campaigns.statistics import Difference, Line
from rig.context import Context
from rig.errors import ConfigError
from rig.guest.console import SplatKind
from rig.guest.qemu import Accel, Live, Seeded
from rig.kernel.tree import TreeSpec
from rig.log import Event
from rig.report import comparison, picture
from rig.series import claims
from rig.series.claims import Claim
from rig.series.model import Patch, SeriesVersion
from rig.shelves import Shelves
from rig.store import Store
from rig.verdict.rules import CaseResult, Outcome, SuiteResult, Verdict

SHELVES = Shelves(kconfigs=Path("/k"), patches=Path("/p"), images=Path("/i"))
ONE = Benchmark(
    name="shared_dirty_reclaim",
    summary="a test's",
    case="shared_dirty_reclaim",
    work="none",
    metrics=(
        Metric(name="ops_per_s", title="ops", of="bogo_ops", per="nanoseconds", time=True),
        Metric(name="tlb_shootdowns", title="shootdowns", of="tlb_shootdowns"),
        Metric(name="tlb_shootdowns_per_page", title="per page", of="tlb_shootdowns", per="pages"),
        Metric(name="pgscan_anon", title="scan", of="pgscan_anon"),
        Metric(name="pgsteal_anon", title="steal", of="pgsteal_anon"),
        Metric(name="instructions_per_page", title="instr", of="instructions", per="pages"),
    ),
)
CLAIM = Claim(
    bench=(ONE.name,), metric="tlb_shootdowns", change=-68.2, said="cover", machine="16 CPUs"
)
Shows = Callable[[bool, int], dict[str, int]]
"""(after?, round) -> counters"""


@pytest.fixture
def rounds(
    spec: RunSpec, results: dict[str, tuple[RunResult, ...]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[tuple[str, int]]]:
    """Kernels `before` and `after`; what a guest counts is the test's to say. (side, round) of each
    guest is listed."""

    def be(
        shows: Shows,
        outcome: Callable[[bool, int], Outcome] = lambda *_: Outcome.PASS,
        seeded: bool = False,
        trees: Mapping[str, TreeSpec] = {},
        dead: RunResult = results["splat"][0],
    ) -> list[tuple[str, int]]:
        booted: list[tuple[str, int]] = []
        schedule = Seeded(seed=1) if seeded else Live()
        machine = replace(spec.machine, accel=Accel.TCG, schedule=schedule)

        def specs(context: Context, asked: Request) -> tuple[RunSpec, ...]:
            tree = replace(spec.tree, base=replace(spec.tree.base, name=asked.target))
            return (replace(spec, tree=trees.get(asked.target, tree), machine=machine),)

        def execute(
            context: Context, specs: Sequence[RunSpec], directory: Path, suffix: str
        ) -> tuple[RunResult, ...]:
            (spec,) = specs
            side, number = suffix.rpartition("-")[2], spec.request.seed
            booted.append((side, number))
            after = side == "after"
            result = outcome(after, number)
            case = CaseResult(
                name="shared_dirty_reclaim", outcome=result, reason="",
                counters=tuple(shows(after, number).items()),
            )  # fmt: skip
            whole = dead if result is Outcome.FAIL else results["pass"][0]
            provenance = replace(whole.provenance, label=spec.tree.label)
            suites = (SuiteResult(suite="bench", cases=(case,)),)
            verdict = Verdict(
                outcome=result, reason="kernel BUG" if result is Outcome.FAIL else "why"
            )
            whole = replace(whole, provenance=provenance, suites=suites, verdict=verdict)
            return (replace(whole, machine=spec.machine),)

        monkeypatch.setattr(request, "specs", specs)
        monkeypatch.setattr(executing, "execute", execute)
        return booted

    return be


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that goes on by a minute whenever it is asked."""
    asked: list[float] = []

    def monotonic() -> float:
        asked.append(60.0 * len(asked))
        return asked[-1]

    monkeypatch.setattr(compare.time, "monotonic", monotonic)
    yield asked


def measured(
    store: Store, number: int = 0, *, against: str = "before", target: str = "after"
) -> Comparison:
    asked = Request(target=target)
    ((compared,), directory) = compare.compare(
        Context(store, SHELVES), asked, against, [ONE], number
    )
    assert compare.load(directory) == (compared,)
    return compared


def a_series(name: str, revision: int) -> SeriesVersion:
    """Of two patches."""
    mails = (f"{name} v{revision} {number}/2" for number in (1, 2))
    patches = tuple(
        Patch(number=number, subject=mail, author="", files=("x.c",), mail=mail.encode())
        for number, mail in enumerate(mails, 1)
    )
    return SeriesVersion(
        name=name, revision=revision, change_id="", base="", cover="", patches=patches
    )


def lines(compared: Comparison) -> dict[str, Line]:
    return {line.metric: line for line in compared.lines}


def noisy(least: int, most: int, seed: int) -> Callable[[], int]:
    random_numbers = random.Random(seed)
    return lambda: random_numbers.randint(least, most)


def test_rounds_are_in_random_order_and_as_many_as_can_decide(
    store: Store, rounds: Callable[..., list[tuple[str, int]]]
) -> None:
    booted = rounds(lambda after, number: {"tlb_shootdowns": 100 + number, "pages": 10})
    compared = measured(store)
    pairs = list(zip(booted[::2], booted[1::2], strict=True))
    assert all(first[1] == second[1] for first, second in pairs)
    name = f"{next(store.root.glob('runs/*')).name} {ONE.name} {compared.machine.arch}"
    orders = [order for order, _ in zip(statistics.orders(name), pairs, strict=False)]
    assert [("before", "after")[order[0]] for order in orders] == [side for (side, _), _ in pairs]
    assert compared.rounds == statistics.rounds_needed(ONE, compared.machine) == 8
    with pytest.raises(ConfigError, match="--rounds 4 is too few to decide"):
        measured(store, 4)


def test_rounds_go_on_until_the_interval_is_narrow_or_the_time_is_spent(
    store: Store, rounds: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 500)
    noise = noisy(-14, 14, seed=1)
    rounds(lambda after, number: {"tlb_shootdowns": 100 + noise(), "pages": 10})
    compared = measured(store)
    assert compared.rounds == 10, "a minute each, from the end of the first: eight of them"
    monkeypatch.setattr(compare, "BUDGET", 1e9)
    compared = measured(store)
    line = lines(compared)["tlb_shootdowns"]
    assert compared.rounds > 12
    kept = [
        ({"tlb_shootdowns": old}, {"tlb_shootdowns": new})
        for old, new in zip(line.before, line.after, strict=True)
    ]
    assert statistics.narrow(ONE, compared.machine, kept)
    assert not statistics.narrow(ONE, compared.machine, kept[:-1]), "not one round more"


def test_discarded_rounds_are_made_good(store: Store, rounds: Callable[..., object]) -> None:
    rounds(
        lambda after, number: {"tlb_shootdowns": 100, "pages": 10, "oom_kill": number % 2},
    )
    compared = measured(store)
    assert (compared.rounds, len(compared.discarded)) == (8, 8)
    rounds(lambda after, number: {"tlb_shootdowns": 100, "pages": 10, "oom_kill": 1})
    compared = measured(store)
    assert (compared.rounds, len(compared.discarded)) == (0, 16)
    assert compared.outcome is Outcome.INCONCLUSIVE


def test_a_difference_in_every_round_is_found_and_seconds_under_tcg_are_not_judged(
    store: Store, rounds: Callable[..., object]
) -> None:
    noise = noisy(-5, 5, seed=1)
    rounds(
        lambda after, number: {
            "tlb_shootdowns": (40 if after else 100) + noise(), "pages": 10,
            "bogo_ops": 900 if after else 100, "nanoseconds": 5,
        }
    )  # fmt: skip
    by_metric = lines(measured(store))
    assert by_metric["tlb_shootdowns"].difference is Difference.LOWER
    assert by_metric["tlb_shootdowns"].low < -60 + 5 and by_metric["tlb_shootdowns"].high > -60 - 5
    assert by_metric["tlb_shootdowns_per_page"].difference is Difference.LOWER
    assert by_metric["ops_per_s"].difference is Difference.NOT_JUDGED
    assert "instructions_per_page" not in by_metric, "the live schedule counts none"


def test_the_same_kernel_twice_seldom_differs(store: Store, rounds: Callable[..., object]) -> None:
    claimed, names = 0, ("tlb_shootdowns", "pages", "pgscan_anon", "pgsteal_anon")
    for seed in range(100):
        noise = noisy(0, 1000, seed)
        rounds(lambda after, number, noise=noise: {name: 1 + noise() for name in names})
        compared = lines(measured(store, 8))
        claimed += any(
            line.difference in (Difference.LOWER, Difference.HIGHER) for line in compared.values()
        )
    assert claimed <= 10, "one in twenty is meant; so many would be chance once in a hundred times"


def test_a_seed_is_the_same_to_the_last_digit_or_it_differs(
    store: Store, rounds: Callable[..., object]
) -> None:
    rounds(
        lambda after, number: {
            "tlb_shootdowns": 100 + number - after, "pages": 10,
            "nanoseconds": 6400, "bogo_ops": 1,
        },
        seeded=True,
    )  # fmt: skip
    compared = lines(measured(store))
    assert compared["tlb_shootdowns"].difference is Difference.LOWER
    assert (compared["tlb_shootdowns"].low, compared["tlb_shootdowns"].high) == (-1, -1)
    assert compared["instructions_per_page"].difference is Difference.SAME
    assert compared["instructions_per_page"].before[:3] == (10.0, 5.0, 20.0), (
        "of 64, 128 and 32 ns each"
    )


def test_seeds_are_as_many_as_can_decide_and_fewer_only_show_numbers(
    store: Store, rounds: Callable[..., object]
) -> None:
    """Three seeds of a count that only follows the interleaving agree in 25 of 100 campaigns."""
    rounds(lambda after, number: {"tlb_shootdowns": 100 - after, "pages": 10}, seeded=True)
    compared = measured(store)
    assert compared.rounds == statistics.rounds_needed(ONE, compared.machine) == 8
    assert compared.outcome is Outcome.PASS
    assert lines(compared)["tlb_shootdowns"].difference is Difference.LOWER
    compared = measured(store, 3)
    assert (compared.rounds, compared.outcome) == (3, Outcome.INCONCLUSIVE)
    assert lines(compared)["tlb_shootdowns"].difference is Difference.UNDECIDED
    text = comparison.render([compared])
    assert "Too few rounds to decide anything" in text and "at most 5 %" not in text


def test_what_the_seeds_disagree_about_is_undecided(
    store: Store, rounds: Callable[..., object]
) -> None:
    rounds(
        lambda after, number: {"tlb_shootdowns": 100 + after * (-1) ** number, "pages": 10},
        seeded=True,
    )
    assert lines(measured(store))["tlb_shootdowns"].difference is Difference.UNDECIDED


def test_a_round_with_an_oom_kill_is_discarded(store: Store, rounds: Callable[..., object]) -> None:
    rounds(
        lambda after, number: {
            "tlb_shootdowns": 100 if number != 3 else 10**9, "pages": 10,
            "oom_kill": int(after and number == 3),
        }
    )  # fmt: skip
    compared = measured(store, 8)
    (discarded,) = compared.discarded
    assert re.fullmatch("round 3: .*: the OOM killer ended 1 processes", discarded)
    assert compared.rounds == 7
    assert set(lines(compared)["tlb_shootdowns"].before) == {100}
    assert "discarded: round 3" in comparison.render([compared])


def test_a_program_that_was_killed_at_its_limit_is_no_kernel_that_died(
    store: Store,
    rounds: Callable[..., list[tuple[str, int]]],
    results: dict[str, tuple[RunResult, ...]],
) -> None:
    (dead,) = results["splat"]
    oom = replace(dead.splats[0], kind=SplatKind.OOM, title="bench invoked oom-killer")
    booted = rounds(
        lambda after, number: {"pages": 10},
        lambda after, number: Outcome.FAIL if after and number == 3 else Outcome.PASS,
        dead=replace(dead, splats=(oom,), detail=""),
    )
    compared = measured(store)
    assert len(booted) > 6 and not compared.failure
    (discarded,) = compared.discarded
    assert discarded == "round 3: after: the OOM killer ended the benchmark"


def test_a_kernel_that_dies_ends_it_and_the_rounds_so_far_are_kept(
    store: Store, rounds: Callable[..., list[tuple[str, int]]]
) -> None:
    booted = rounds(
        lambda after, number: {"tlb_shootdowns": 40 if after else 100, "pages": 10},
        lambda after, number: Outcome.FAIL if after and number == 2 else Outcome.PASS,
    )
    compared = measured(store)
    assert len(booted) == 4
    assert (compared.outcome, compared.rounds) == (Outcome.FAIL, 1)
    assert lines(compared)["tlb_shootdowns"].difference is Difference.UNDECIDED
    output = comparison.render([compared])
    assert "kernel BUG" in output
    row = f"{'TLB shootdowns':<22} 100           40            -60 (-60.0%)"
    assert f"{row}\n{'':<22} undecided\n" in output


def test_of_a_kernel_that_dies_the_splat_is_shown(
    store: Store, rounds: Callable[..., object], results: dict[str, tuple[RunResult, ...]]
) -> None:
    (dead,) = results["splat"]
    (splat,) = dead.splats
    oom = replace(splat, kind=SplatKind.OOM, title="stress-ng invoked oom-killer")
    rounds(
        lambda *_: {},
        lambda after, _: Outcome.FAIL if after else Outcome.PASS,
        dead=replace(dead, splats=(oom, splat), detail="console line"),
    )
    compared = measured(store)
    assert compared.splats == (splat,)
    output = comparison.render([compared])
    assert "  splat: BUG: KASAN: slab-use-after-free in shrink_folio_list" in output
    assert f"\n      Call Trace:\n       <TASK>\n{'':7}dump_stack_lvl+0x5d/0x80\n" in output
    assert f"\n      [{len(splat.text) - 30} more lines]\n" in output
    assert "console line" not in output


def test_of_a_kernel_that_is_not_built_the_compilers_words_are_shown(
    store: Store, rounds: Callable[..., object], results: dict[str, tuple[RunResult, ...]]
) -> None:
    (dead,), (died,) = results["build"], results["splat"]
    oom = tuple(replace(splat, kind=SplatKind.OOM) for splat in died.splats)
    rounds(
        lambda *_: {}, lambda after, _: Outcome.FAIL if after else Outcome.PASS,
        dead=replace(dead, splats=oom, provenance=replace(dead.provenance, release="")),
    )  # fmt: skip
    compared = measured(store)
    assert compared.release == "6.12.0-rig", "the other's"
    output = comparison.render([compared])
    assert "  Kernel: 6.12.0-rig   CPUs: 4" in output
    assert "\n      mm/vmscan.c:7: error: no\n          7 | no;\n" in output


def test_of_two_kernels_that_die_both_are_named(
    store: Store, rounds: Callable[..., object]
) -> None:
    rounds(lambda *_: {}, lambda *_: Outcome.FAIL)
    assert measured(store).failure == "before: kernel BUG; after: kernel BUG"


@pytest.mark.parametrize("kept", [1, 2, 5])
@pytest.mark.parametrize("fewer", [0, 60])
def test_so_few_rounds_that_count_are_printed_and_decide_nothing(
    store: Store, rounds: Callable[..., object], kept: int, fewer: int
) -> None:
    rounds(
        lambda after, number: {
            "tlb_shootdowns": 100 - after * fewer, "pages": 10, "oom_kill": int(number > kept),
        }
    )  # fmt: skip
    compared = measured(store, 8)
    assert (compared.outcome, compared.rounds) == (Outcome.INCONCLUSIVE, kept)
    assert {line.difference for line in compared.lines} == {Difference.UNDECIDED}
    output = comparison.render([compared])
    assert (
        "Too few rounds to decide anything" in output and f"discarded: round {kept + 1}" in output
    )
    assert output.count("[") == (0 if kept == 1 else 3), (
        "an interval for each metric, and what it is"
    )


def test_of_a_kernel_that_never_came_to_the_end_nothing_else_is_said(
    store: Store, rounds: Callable[..., object], spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(
        lambda *_: {}, lambda after, _: Outcome.FAIL if after else Outcome.PASS,
        trees={"after": TreeSpec(base=spec.tree.base, series=a_series("s", 1))},
    )  # fmt: skip
    monkeypatch.setattr(claims, "load", lambda *_: (CLAIM,))
    compared = measured(store)
    assert compared.claims == ()
    output = comparison.render([compared])
    assert "kernel BUG" in output and "not counted here" not in output


@pytest.mark.parametrize(
    ("before", "after", "judged"),
    [
        ("v6.12", "s@v2", True),
        ("s@v2", "t@v1", True),
        ("v7.2", "s@v2", False),
        ("s@v1", "s@v2", False),
        ("s@v2", "s@v2", False),
        ("v6.12", "s@v2:1", False),
        ("s@v2:1", "s@v2", False),
        ("v6.12", "t@v1", False),
        ("v6.12", "v6.12", False),
    ],
)
def test_a_claim_is_of_a_whole_series_against_what_it_is_applied_to(
    store: Store, rounds: Callable[..., object], spec: RunSpec, monkeypatch: pytest.MonkeyPatch,
    before: str, after: str, judged: bool,
) -> None:  # fmt: skip
    base, newest = spec.tree.base, a_series("s", 2)
    trees = {
        "v6.12": TreeSpec(base=base),
        "v7.2": TreeSpec(base=replace(base, name="v7.2", commit="7" * 40)),
        "s@v1": TreeSpec(base=base, series=a_series("s", 1)),
        "s@v2": TreeSpec(base=base, series=newest),
        "s@v2:1": TreeSpec(base=base, series=newest, upto=1),
        "t@v1": TreeSpec(base=base, series=a_series("t", 1), below=(newest,)),
    }
    rounds(lambda side, number: {"tlb_shootdowns": 9, "pages": 1}, seeded=True, trees=trees)
    monkeypatch.setattr(claims, "load", lambda *_: (CLAIM,))
    compared = measured(store, 1, against=before, target=after)
    assert [judged_claim.claim for judged_claim in compared.claims] == [CLAIM] * judged


def test_what_the_image_lacks_it_lacks_in_the_next_round_too(
    store: Store, rounds: Callable[..., list[tuple[str, int]]]
) -> None:
    booted = rounds(lambda *_: {}, lambda *_: Outcome.SKIP)
    compared = measured(store)
    assert len(booted) == 2
    assert compared.outcome is Outcome.INCONCLUSIVE
    (discarded,) = compared.discarded
    assert re.fullmatch("round 1: .*: why", discarded)


def test_what_works_for_a_time_has_no_seeds(
    store: Store, rounds: Callable[..., list[tuple[str, int]]], events: list[Event]
) -> None:
    booted = rounds(lambda after, number: {"tlb_shootdowns": 100, "pages": 10}, seeded=True)
    both, asked = [benchmark.pick("dirty_reclaim"), ONE], Request(target="after")
    compared, _ = compare.compare(Context(store, SHELVES), asked, "before", both, 0)
    assert [entry.bench for entry in compared] == [ONE.name]
    assert any(
        "dirty_reclaim does not run in the seeded schedule: stress-ng runs for a" in str(entry)
        for entry in events
    )
    booted.clear()
    with pytest.raises(ConfigError, match="none of these benchmarks runs in"):
        compare.compare(Context(store, SHELVES), asked, "before", both[:1], 0)
    assert booted == []


def test_a_benchmark_is_run_in_its_own_image(
    store: Store, rounds: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(lambda after, number: {"tlb_shootdowns": 100, "pages": 10})
    execute = executing.execute
    seen: set[tuple[tuple[str, ...], str]] = set()

    def look(context: Context, specs: Sequence[RunSpec], *rest: Any, **more: Any):  # type: ignore[no-untyped-def]
        seen.update((spec.suites[0].cases, spec.image) for spec in specs)
        return execute(context, specs, *rest, **more)

    monkeypatch.setattr(executing, "execute", look)
    both = [benchmark.pick("dirty_reclaim"), ONE]
    compare.compare(Context(store, SHELVES), Request(target="after"), "before", both, 10)
    assert seen == {(("dirty_reclaim",), "bench"), (("shared_dirty_reclaim",), "test")}


def test_a_base_by_itself_is_compared_with_nothing(
    store: Store, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = replace(spec.tree, series=None)
    monkeypatch.setattr(request, "tree_spec", lambda *_: tree)
    with pytest.raises(ConfigError, match=r"v6\.12 is not a series") as bad:
        compare.compare(Context(store, SHELVES), Request(target="v6.12"), "", [ONE], 0)
    assert "--against v6.12" in bad.value.hint


@pytest.mark.parametrize(
    ("against", "tree", "base"),
    [
        ("batch-dirty-tlb-flush", None, "v7.2"),
        ("batch-dirty-tlb-flush:2", None, "v7.2"),
        ("batch-dirty-tlb-flush@v2", None, "v7.2"),
        ("./x.mbx", None, "v7.2"),
        ("./x.mbx", Path("/linux"), "v7.2"),
        ("v6.12", None, ""),
        ("mm/unstable", Path("/linux"), ""),
        ("HEAD@{1}", Path("/linux"), ""),
    ],
)
def test_the_base_that_is_named_is_of_both_series(
    store: Store, monkeypatch: pytest.MonkeyPatch, against: str, tree: Path | None, base: str
) -> None:
    seen: list[Request] = []

    def specs(context: Context, asked: Request) -> tuple[RunSpec, ...]:
        seen.append(asked)
        raise ConfigError("enough")

    monkeypatch.setattr(request, "specs", specs)
    asked = Request(target="batch-dirty-tlb-flush@v2", base="v7.2", tree=tree)
    with pytest.raises(ConfigError, match="enough"):
        compare.compare(Context(store, Shelves.default()), asked, against, [ONE], 0)
    assert [
        (asked_request.target, asked_request.base, asked_request.tree) for asked_request in seen
    ] == [(against, base, tree)]


@pytest.mark.parametrize(
    ("target", "against"),
    [
        ("batch@v1,v2", ""),
        ("batch@v1,v2", "v6.12"),
        ("batch@v1", "batch@v1,v2"),
        ("batch@v1,v2", "batch@v1,v2"),
    ],
)
def test_one_revision_is_compared_with_one(
    store: Store, rounds: Callable[..., object], spec: RunSpec, monkeypatch: pytest.MonkeyPatch,
    target: str, against: str,
) -> None:  # fmt: skip
    rounds(lambda *_: {})
    original = request.specs

    def each(context: Context, asked: Request) -> tuple[RunSpec, ...]:
        each = request.revisions(asked)
        return tuple(spec for asked in each for spec in original(context, asked))

    monkeypatch.setattr(request, "specs", each)
    with pytest.raises(ConfigError, match=r"^batch@v1,v2 names 2 revisions") as bad:
        measured(store, against=against, target=target)
    assert bad.value.hint == "rig bench batch@v2 --against batch@v1"


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("[[claim]]", "[[claim]", ""),
        ("tlb_shootdowns", "tlb_shootdown", "did you mean tlb_shootdowns"),
        (ONE.name, "shared_dirty", "did you mean shared_dirty_reclaim"),
    ],
)
def test_claims_that_cannot_be_judged_are_said_before_the_first_guest(
    store: Store, rounds: Callable[..., list[tuple[str, int]]], spec: RunSpec, tmp_path: Path,
    old: str, new: str, hint: str,
) -> None:  # fmt: skip
    trees = {"after": TreeSpec(base=spec.tree.base, series=a_series("s", 1))}
    trees["before"] = replace(trees["after"], series=None)
    booted = rounds(lambda *_: {"tlb_shootdowns": 9}, seeded=True, trees=trees)
    shelves = replace(SHELVES, patches=tmp_path)
    (tmp_path / "s").mkdir()
    text = (Shelves.default().patches / "batch-dirty-tlb-flush" / claims.FILE).read_text()
    assert old in text
    (tmp_path / "s" / claims.FILE).write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=r"s/claims\.toml: ") as bad:
        compare.compare(Context(store, shelves), Request(target="after"), "before", [ONE], 0)
    assert hint in bad.value.hint
    assert (booted, list(store.root.glob("runs/*"))) == ([], [])


def test_the_table_is_the_cover_letters(store: Store, rounds: Callable[..., object]) -> None:
    noise = noisy(-2, 2, seed=4)
    rounds(lambda after, number: {"tlb_shootdowns": (40 if after else 100) + noise(), "pages": 10})
    output = comparison.render([measured(store)], "20261120-1")
    assert "Metric                 Before        After         Delta (abs / %)" in output
    assert "lower, p = 0.0078" in output
    assert "not counted here: bogo ops/s" in output
    assert "instructions / page (--schedule seeded counts them)" in " ".join(output.split())
    assert output.endswith("rig report 20261120-1\n")
    assert all(len(line) <= 100 for line in output.splitlines())


def test_a_picture_has_every_metric_and_is_the_same_again(
    store: Store, rounds: Callable[..., object], tmp_path: Path
) -> None:
    noise = noisy(-2, 2, seed=4)
    rounds(lambda after, number: {"tlb_shootdowns": (40 if after else 100) + noise(), "pages": 10})
    compared = measured(store)
    for name in ("one.svg", "two.svg", "one.png"):
        picture.check(tmp_path / name)
        picture.draw([compared], tmp_path / name)
    output = (tmp_path / "one.svg").read_text()
    assert "shared_dirty_reclaim: TLB shootdowns" in output and "after against before" in output
    assert re.search(r"-\d\d\.\d %: lower", output.replace("\u2212", "-"))
    assert output == (tmp_path / "two.svg").read_text()
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    picture.draw([replace(compared, lines=())], tmp_path / "none.svg")
    assert "no round counts" in (tmp_path / "none.svg").read_text()


def test_what_cannot_be_drawn_is_said_before_the_work_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture.check(None)
    with pytest.raises(ConfigError, match=r"one\.pdf does not end in \.svg or \.png"):
        picture.check(Path("one.pdf"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match="matplotlib is not installed") as bad:
        picture.check(Path("one.svg"))
    assert bad.value.hint == "in a checkout: .venv/bin/pip install --editable '.[bench]'"


def test_statistics_that_are_not_there_are_said_before_the_work_begins(
    store: Store, rounds: Callable[..., list[tuple[str, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    booted = rounds(lambda after, number: {"tlb_shootdowns": 100, "pages": 10})
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ConfigError, match="scipy is not installed"):
        measured(store)
    assert booted == []
