# SPDX-License-Identifier: GPL-2.0-only
"""Commands that the rig prints: its own parser reads each back as what was run."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from rig import __main__ as main
from rig.benches import benchmark
from rig.benches.benchmark import Benchmark
from rig.campaigns import compare, explore, request
from rig.campaigns.compare import Comparison
from rig.campaigns.options import LEFT_OUT, OPTIONS, Request, command, config_file
from rig.campaigns.results import RunResult, RunSpec
from rig.cli import run as cli
from rig.context import Context
from rig.errors import ConfigError, RigError
from rig.guest.qemu import Accel, Machine, Seeded
from rig.kernel.tree import Subject
from rig.report import reply, review, revisions
from rig.series import model, target
from rig.series.fetch import Fetched
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite

Results = dict[str, tuple[RunResult, ...]]
Sent = tuple[Request, dict[str, Any]]
Parse = Callable[[str], Sent]
ID = "unmap-v2-0@example.org"
TOP = f"Message-ID: <{ID}>\n\n".encode()
MBX = Path(__file__).parents[2] / "data" / "mbx"
NONE = Shelves(kconfigs=Path("/k"), patches=Path("/p"), images=Path("/i"))

ODD: dict[str, Any] = {
    "base": "v7.2",
    "tree": Path("/home/ann/my linux, [old]"),
    "flavour": "debug",
    "mutant": "no-remote-flush",
    "each_patch": True,
    "after": ("1", "2"),
    "unconfined": True,
    "arch": ("arm64", "x86_64"),
    "accel": "tcg",
    "schedule": "seeded",
    "cpus": 3,
    "memory": 2048,
    "zram": 100,
    "swap_disk": 0,
    "lru_gen": False,
    "suites": ("stale_tlb", "reclaim"),
    "cases": ("stale_tlb/anon_lost_write", "anon_roundtrip"),
    "promises": ("madv_free/droppable", "reclaim/anon_roundtrip"),
    "seed": 2**63 - 1,
    "iterations": 7,
    "pages": 64,
    "repeat": 4,
    "blame": False,
}
"""A value that is not the default for each option."""


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Parse:
    """Reads a command line with the rig's own parser: the request, and what a bench has beside."""
    sent: list[Sent] = []
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "again"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    (tmp_path / "again").mkdir()

    def specs(context: Context, asked: Request) -> None:
        sent.append((asked, {}))
        raise RigError("that is all")

    def compared(
        context: Context, asked: Request, against: str, benches: Sequence[Benchmark], rounds: int
    ) -> None:
        names = [bench.name for bench in benches]
        sent.append((asked, {"against": against, "benches": names, "rounds": rounds}))
        raise RigError("that is all")

    monkeypatch.setattr(request, "specs", specs)
    monkeypatch.setattr(request, "fetched", lambda shelves, asked: asked)
    monkeypatch.setattr(compare, "compare", compared)

    def read(line: str) -> Sent:
        sent.clear()
        program, *words = shlex.split(line)
        assert program == "rig"
        monkeypatch.setattr(sys, "argv", [program, *words])
        assert main.run(words) == 3, line
        return sent[0]

    return read


def test_each_option_is_one_that_is_not_the_default() -> None:
    assert set(ODD) == set(OPTIONS)
    assert not [name for name, value in ODD.items() if value == OPTIONS[name].default]


def ran(result: RunResult, asked: Request, arch: str = "x86_64") -> RunResult:
    provenance = replace(result.provenance, request=asked)
    machine = replace(result.machine, arch=arch)
    return replace(result, provenance=provenance, machine=machine, suites=())


@pytest.mark.parametrize("name", ODD)
def test_a_reply_has_each_option_of_the_run(parse: Parse, results: Results, name: str) -> None:
    asked = Request(target="unmap-batch@v2", **{name: ODD[name]})
    of_each = [ran(results["pass"][0], asked, arch) for arch in asked.arch] * asked.repeat
    again, _ = parse(reply.again(of_each, TOP))
    assert again == replace(asked, target=ID)


@pytest.mark.parametrize(
    ("one", "top"),
    [
        ("/home/ann/a 'series', [v2].mbx:1", TOP),
        ("/home/ann/-x;id #.mbx:1", TOP),
        ("unmap-batch@v2:1", TOP),
        ("/store/mails/stdin-0/stdin.mbx", b"Subject: x\n\n"),
    ],
)
def test_a_reply_has_the_target_of_the_run(
    parse: Parse, results: Results, one: str, top: bytes
) -> None:
    """A part of a series, or a series without a message-id, is not in anybody's mail."""
    asked = Request(target=one, each_patch=True, **{"tree": ODD["tree"]})
    subject = Subject(base="v6.12", series=("a@v1", "x@v2"), upto=1 if one[-2:] == ":1" else None)
    result = ran(results["pass"][0], asked)
    result = replace(result, provenance=replace(result.provenance, subject=subject))
    again, _ = parse(reply.again([result], top))
    assert again == replace(asked, each_patch=not subject.upto)


@pytest.mark.parametrize("name", [name for name in ODD if name not in ("arch", "schedule")])
def test_an_exploration_has_each_option(parse: Parse, spec: RunSpec, name: str) -> None:
    case = suite.pick("stale_tlb").cases[0]
    spec = replace(spec, request=replace(spec.request, **{name: ODD[name]}))
    size = explore._Size(iterations=7, pages=64, cpus=3)
    again, _ = parse(explore._command(spec, suite.pick("stale_tlb"), case, 17, size))
    expected = replace(
        spec.request, arch=(spec.machine.arch,), schedule="seeded", seed=17,
        suites=("stale_tlb",), cases=(case.name,), iterations=7, pages=64, cpus=3,
    )  # fmt: skip
    assert again == expected


IN_BENCH = [
    name
    for name in ODD
    if name not in ("mutant", "each_patch", "after", "suites", "cases", "promises")
    and name not in ("seed", "iterations", "pages", "repeat", "blame")
]


def measured(asked: Request, schedule: Seeded | None = None, **rest: Any) -> Comparison:
    machine = Machine(
        arch="x86_64", accel=Accel.TCG, **({"schedule": schedule} if schedule else {})
    )
    given: dict[str, Any] = {
        "bench": "lazyfree_reclaim", "request": asked, "against": "v6.12", "machine": machine,
        "subject": Subject(base="v6.12", series=("b@v4",)), "before": "", "after": "",
        "origin": "", "release": "", "rounds": 20, "discarded": (), "lines": (), **rest,
    }  # fmt: skip
    return Comparison(**given)


@pytest.mark.parametrize("name", IN_BENCH)
def test_a_measurement_has_each_option(parse: Parse, name: str) -> None:
    asked = Request(target="b@v4", **{name: ODD[name], "suites": (benchmark.SUITE,)})
    comparison = measured(asked)
    machine = comparison.machine
    other = replace(comparison, bench="shared_dirty_reclaim")
    all_of_it = [
        replace(one, machine=replace(machine, arch=arch))
        for one in (comparison, other)
        for arch in asked.arch
    ]
    again, beside = parse(shlex.join(compare.again(all_of_it)))
    assert again == asked
    assert beside == {
        "against": "", "benches": ["lazyfree_reclaim", "shared_dirty_reclaim"], "rounds": 20
    }  # fmt: skip


@pytest.fixture
def own_defaults(parse: Parse) -> None:
    """A config.toml with another default for each option."""
    configure(*ODD)


def configure(*names: str) -> None:
    lines = []
    for name in names:
        flag, text = OPTIONS[name].flag.removeprefix("--"), OPTIONS[name].written(ODD[name])
        lines.append(f"{flag} = {json.dumps(text, default=str)}\n")
    config_file().parent.mkdir(parents=True)
    config_file().write_text("".join(lines))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_command_line_sets_each_key_of_the_users_file_back(parse: Parse, name: str) -> None:
    configure(name)
    used = Request(target="b@v4", **{name: ODD[name]})
    if name != "after":  # which needs --each-patch
        assert parse("rig run b@v4")[0] == used, "the test shows nothing"
    asked = Request(target="b@v4")
    words = command(asked)
    assert len(words) in (4, 5)
    assert parse(shlex.join(words))[0] == asked


@pytest.mark.usefixtures("own_defaults")
def test_a_run_by_the_rigs_defaults_is_one_where_the_user_has_others(
    parse: Parse, spec: RunSpec, results: Results, store: Store
) -> None:
    asked = Request(target="b@v4")
    again, _ = parse(reply.again([ran(results["pass"][0], asked)], TOP))
    assert again == replace(asked, target=ID)
    (entry,) = review.check(Context(store, NONE), ID)
    assert parse(entry["details"])[0] == replace(asked, target=ID)
    case = suite.pick("stale_tlb").cases[0]
    size = explore._Size(iterations=0, pages=0, cpus=4)
    spec = replace(spec, request=asked)
    again, _ = parse(explore._command(spec, suite.pick("stale_tlb"), case, 17, size))
    expected = replace(asked, schedule="seeded", seed=17, suites=("stale_tlb",), cases=(case.name,))
    assert again == expected
    again, _ = parse(shlex.join(compare.again([measured(asked)])))
    assert again == replace(asked, suites=(benchmark.SUITE,))


@pytest.mark.usefixtures("own_defaults")
@pytest.mark.parametrize("verb", LEFT_OUT)
def test_each_verb_is_given_its_own_options_only(verb: str) -> None:
    verbs: Any = typer.main.get_command(cli.app)
    parameters = verbs.commands[verb].params
    own = {flag for each in parameters for flag in (*each.opts, *each.secondary_opts)}
    flags = {word for word in command(Request(target="v6.12"), verb) if word.startswith("--")}
    assert "--arch" in flags
    assert flags <= own


@pytest.mark.parametrize(
    ("one", "series", "against", "base_of_it"),
    [
        ("b@v4", ("b@v4",), "b@v3", "v6.12"),
        ("b@v4", ("a@v1", "b@v4"), "/home/ann/-other 'series', [1].mbx:2", "v6.12"),
        ("v6.12", (), "v6.12", ""),
        ("v6.12", (), "b@v4", "v6.12"),
        ("mine/x y", (), "HEAD~3", ""),
    ],
)
def test_a_measurement_has_both_targets(
    parse: Parse, one: str, series: tuple[str, ...], against: str, base_of_it: str
) -> None:
    asked = Request(target=one, base="v6.12" if series else "", suites=(benchmark.SUITE,))
    subject = Subject(base="v6.12", series=series)
    comparison = measured(asked, against=against, against_base=base_of_it, subject=subject)
    again, beside = parse(shlex.join(compare.again([comparison])))
    assert (again, beside["against"]) == (asked, against)


def test_two_series_with_a_base_of_their_own_keep_it(parse: Parse) -> None:
    """--base would be for both."""
    asked = Request(target="b@v4", base="v7.2", suites=(benchmark.SUITE,))
    comparison = measured(asked, against="a@v1", against_base="v6.12")
    again, beside = parse(shlex.join(compare.again([comparison])))
    assert (again.target, again.base, beside["against"]) == ("b@v4", "", "a@v1")


@pytest.mark.parametrize("schedule", [None, Seeded(seed=1)])
@pytest.mark.parametrize("rounds", [0, 1, 2, 5, 8, 9, 40])
def test_a_measurement_that_ended_early_can_be_seen_again(
    parse: Parse, rounds: int, schedule: Seeded | None
) -> None:
    """So few rounds as a kernel that died has left are refused as --rounds."""
    asked = Request(target="b@v4", base="v6.12", suites=(benchmark.SUITE,))
    comparison = measured(asked, schedule, rounds=rounds)
    _, beside = parse(shlex.join(compare.again([comparison])))
    bench = benchmark.pick(comparison.bench)
    compare._enough(bench, comparison.machine, beside["rounds"], 1)
    assert beside["rounds"] in (0, rounds)
    if rounds == 40:
        assert beside["rounds"] == 40


def test_two_revisions_of_one_bench_are_a_command(parse: Parse) -> None:
    asked = Request(target="b@v1,v2", arch=("arm64",), cpus=2, suites=(benchmark.SUITE,))
    with pytest.raises(ConfigError) as error:
        compare._single(asked)
    again, beside = parse(error.value.hint)
    assert again == replace(asked, target="b@v2")
    assert beside["against"] == "b@v1"


@pytest.mark.parametrize("name", ["tree", "arch"])
def test_b4_is_told_the_whole_command(parse: Parse, store: Store, name: str) -> None:
    given = {"arches" if name == "arch" else name: ODD[name]}
    (entry,) = review.check(Context(store, NONE), ID, **given)
    again, _ = parse(entry["details"])
    assert again == Request(target=ID, **{name: ODD[name]})


def test_what_was_fetched_is_a_target(parse: Parse) -> None:
    series = model.read(MBX / "shelf" / "unmap-batch" / "v2.mbx")
    fetched = Fetched(series=(series,), fresh=(), said="")
    line = revisions.fetched(fetched, Path("/p")).splitlines()[-1]
    again, _ = parse(line)
    parsed = target.parse(again.target)
    assert (parsed.series, parsed.revision) == (series.name, series.revision)


@pytest.mark.parametrize("given", ["x.mbx", "./-x y.mbx", "dir/x.mbx:1", "-x.mbx"])
def test_a_run_keeps_its_paths_for_any_directory(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = replace(spec.tree, series=model.read(MBX / "shelf" / "unmap-batch" / "v2.mbx"))
    pinned = request._pinned(Request(target=given, tree=Path("linux")), tree)
    assert pinned.tree == tmp_path / "linux"
    path, _, upto = given.partition(":")
    assert pinned.target == os.path.normpath(tmp_path / path) + (f":{upto}" if upto else "")
    of_tree = request._pinned(
        Request(target="HEAD", tree=Path("linux")), replace(tree, series=None)
    )
    assert (of_tree.target, of_tree.tree) == ("HEAD", tmp_path / "linux")
