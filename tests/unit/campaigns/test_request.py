# SPDX-License-Identifier: GPL-2.0-only
"""What is asked for is checked before anything is fetched, built or booted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig import arch, git
from rig.campaigns import pipeline, request
from rig.campaigns.options import Request, comma
from rig.campaigns.results import RunSpec
from rig.context import Context
from rig.errors import ConfigError
from rig.guest import accel
from rig.guest.qemu import Accel, Swap
from rig.kernel import base, kbuild
from rig.kernel.base import Base
from rig.log import Event
from rig.series import fetch as fetching
from rig.series import model
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite

TOP = Path(__file__).parents[3]
MBX = TOP / "tests" / "data" / "mbx"
UNMAP = MBX / "shelf" / "unmap-batch"
V2 = Request(target="unmap-batch@v2")


@pytest.fixture
def shelves(tmp_path: Path) -> Shelves:
    """The checkout's, with the tests' series and a mutant."""
    patches = tmp_path / "patches"
    patches.mkdir()
    (patches / "unmap-batch").symlink_to(UNMAP)
    (patches / "mutants").symlink_to(TOP / "patches" / "mutants")
    return Shelves(kconfigs=TOP / "kconfigs", patches=patches, images=TOP / "images")


@pytest.fixture
def nothing_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def long(*args: Any, **rest: Any) -> None:
        raise AssertionError("this takes long")

    monkeypatch.setattr(base, "resolve", long)
    monkeypatch.setattr(accel, "choose", long)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path | None]]:
    """The bases that were asked for; every name is one, and TCG works."""
    asked: list[tuple[str, Path | None]] = []

    def resolve(store: Store, name: str, *, tree: Path | None = None) -> Base:
        asked.append((name, tree))
        return Base(name=name, commit="0123", origin="test")

    monkeypatch.setattr(base, "resolve", resolve)
    monkeypatch.setattr(accel, "choose", lambda store, arch, asked: Accel.TCG)
    return asked


@pytest.mark.parametrize(
    ("change", "complaint", "hint"),
    [
        ({"target": "unmap-bacth"}, "no series named 'unmap-bacth'", "did you mean unmap-batch?"),
        ({"target": "v6.1.2.3"}, "no series named 'v6.1.2.3'", "v6.12"),
        ({"target": "unmap-batch@v3"}, "no revision of unmap-batch named 'v3'", "v2"),
        ({"target": "unmap-batch@v2:4"}, "has patches 1 to 3, not 4", "@v2:3"),
        ({"target": "unmap-batch@v2:0"}, "has patches 1 to 3, not 0", "@v2:3"),
        ({"target": "unmap-batch@two"}, "unmap-batch has no revision 'two'", "v1, v2"),
        ({"target": "unmap-batch@latest:1"}, "unmap-batch has no revision 'latest'", "v1, v2"),
        ({"target": "unmap-batch@v2:x"}, "'unmap-batch@v2:x' is not a target", "SERIES@v2"),
        ({"target": "v6.12:2"}, "v6.12 is a base", "v6.12"),
        ({"target": "./gone.mbx"}, "gone.mbx: No such file", ""),
        ({"target": "some/where"}, "some/where: No such file", ""),
        ({"target": str(TOP / "README.md")}, "is not an mbox", "b4 am"),
        ({"arch": ("x86_64", "amr64")}, "no architecture named 'amr64'", "did you mean arm64"),
        ({"arch": ()}, "no architecture is named", "x86_64"),
        ({"suites": ("stale_tbl",)}, "no suite named 'stale_tbl'", "did you mean stale_tlb?"),
        ({"cases": ("anon_lost_wirte",)}, "no case named", "anon_lost_write"),
        ({"suites": ("reclaim",), "cases": ("anon_lost_write",)}, "no case named", "roundtrip"),
        ({"promises": ("madv_free/split_defered_zero",)}, "no case that a kernel", "deferred_zero"),
        ({"mutant": "no-remote-flash"}, "no mutant named", "did you mean no-remote-flush"),
        ({"flavour": "debgu"}, "no flavour named 'debgu'", "did you mean debug?"),
        ({"accel": "kmv"}, "no value of --accel named 'kmv'", "did you mean kvm?"),
        ({"cpus": 1}, "--cpus 1 is out of range", "2 to 8"),
        ({"cpus": 9}, "--cpus 9 is out of range", "2 to 8"),
        ({"memory": 511}, "--memory 511 is out of range", "512 to 65536"),
        ({"repeat": 0}, "--repeat 0 is out of range", "1 to 1000"),
        ({"seed": -1}, "--seed -1 is out of range", ""),
        ({"zram": -1}, "--zram -1 is out of range", ""),
        ({"swap_disk": -1}, "--swap-disk -1 is out of range", ""),
        ({"zram": 0, "swap_disk": 0}, "the guest has no swap", "leave out"),
        ({"tree": Path("/gone")}, "--tree /gone: there is no such directory", ""),
        ({"target": "x", "tree": Path("/gone")}, "--tree /gone: there is no such directory", ""),
        ({"target": "v6.12", "base": "v7.2"}, "--base v7.2 is for a series, and v6.12 is", ""),
        ({"target": "x", "tree": Path("/")}, "--tree / is not a git tree", ""),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_at_once(
    store: Store,
    shelves: Shelves,
    nothing_long: None,
    change: dict[str, Any],
    complaint: str,
    hint: str,
) -> None:
    with pytest.raises(ConfigError) as bad:
        request.specs(Context(store, shelves), replace(V2, **change))
    assert complaint in bad.value.message
    assert hint in bad.value.hint
    assert list(store.root.iterdir()) == []


def test_a_branch_of_this_directory_is_pointed_at(
    shelves: Shelves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "-m", "x"]):
        git.git(*words, cwd=tmp_path)
    for branch in ("my-branch", "mm/fixes"):
        git.git("branch", branch, cwd=tmp_path)
        with pytest.raises(
            ConfigError, match=f"no series named '{branch}', but the git tree"
        ) as bad:
            request.check(shelves, Request(target=branch))
        assert bad.value.hint == "add --tree . to test it"
    with pytest.raises(ConfigError, match=r"no series named 'my-brunch'$"):
        request.check(shelves, Request(target="my-brunch"))


def test_no_reclaim_without_swap_but_with_either_kind(shelves: Shelves) -> None:
    request.check(shelves, replace(V2, zram=0, swap_disk=64))
    request.check(shelves, replace(V2, zram=64))


def test_a_list_of_words() -> None:
    assert comma(" x86_64, arm64 ,") == ("x86_64", "arm64")
    assert comma("") == ()


# Which base


def origin(context: Context, asked: Request) -> tuple[str, int | None]:
    spec = request.tree_spec(context, asked)
    assert spec.series is not None
    return spec.series.base, spec.upto


def test_a_base_is_itself(store: Store, shelves: Shelves, resolved: list[Any]) -> None:
    spec = request.tree_spec(Context(store, shelves), Request(target="v7.2"))
    assert (spec.series, spec.base.name) == (None, "v7.2")


def test_a_series_is_on_what_it_says(
    store: Store, shelves: Shelves, resolved: list[Any], events: list[Event]
) -> None:
    assert origin(Context(store, shelves), replace(V2, target="unmap-batch:2"))[1] == 2
    assert resolved == [("v6.12", None)], "its base-commit is v6.12's"


def test_a_base_that_is_named_wins_and_has_its_variant(
    store: Store, shelves: Shelves, resolved: list[Any]
) -> None:
    assert origin(Context(store, shelves), replace(V2, base="v9.9"))[0] == "v9.9"
    assert origin(Context(store, shelves), replace(V2, base="v7.2"))[0].startswith("adc2186")
    assert resolved == [("v9.9", None), ("v7.2", None)]


def test_a_series_that_says_nothing_is_on_the_default(
    store: Store, shelves: Shelves, resolved: list[Any], events: list[Event]
) -> None:
    request.tree_spec(Context(store, shelves), replace(V2, target="unmap-batch@v1"))
    assert resolved == [(base.DEFAULT, None)]
    assert "it names no base-commit" in events[-1].text


def test_a_base_commit_nobody_knows_is_said(
    store: Store, shelves: Shelves, resolved: list[Any], events: list[Event], tmp_path: Path
) -> None:
    path = tmp_path / "series.mbx"
    text = (
        (UNMAP / "v2.mbx").read_text().replace("base-commit: adc218676eef", "base-commit: 012345")
    )
    path.write_text(text)
    request.tree_spec(Context(store, shelves), Request(target=str(path)))
    assert resolved == [(base.DEFAULT, None)]
    assert "its base-commit 012345" in events[-1].text


@pytest.fixture
def theirs(kernel: Path) -> Path:
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "mine"],
                  ["tag", "v9.9"], ["branch", "mm/fixes"]):  # fmt: skip
        git.git(*words, cwd=kernel)
    return kernel


@pytest.mark.parametrize("name", ["HEAD", "v9.9", "mm/fixes", "HEAD~0", "no-such-thing"])
def test_with_a_tree_a_target_is_any_revision_of_it(
    store: Store, shelves: Shelves, resolved: list[Any], theirs: Path, name: str
) -> None:
    """Whether there is one is the tree's to say."""
    (spec,) = request.specs(Context(store, shelves), Request(target=name, tree=theirs))
    assert spec.tree.series is None
    assert resolved == [(name, theirs)]


@pytest.mark.parametrize(
    ("target", "base_name", "expected", "noted"),
    [
        ("unmap-batch@v2", "", "v6.12", True),
        ("unmap-batch@v2", "v9.9", "v9.9", False),
        ("unmap-batch@v2", "gone", "gone", False),
        (str(UNMAP / "v2.on-v9.9.mbx"), "", "v9.9", True),
    ],
)
def test_with_a_tree_a_series_is_on_the_base_it_says(
    store: Store,
    shelves: Shelves,
    resolved: list[Any],
    theirs: Path,
    events: list[Event],
    target: str,
    base_name: str,
    expected: str,
    noted: bool,
) -> None:
    request.tree_spec(Context(store, shelves), Request(target=target, base=base_name, tree=theirs))
    assert resolved == [(expected, None if expected == "v6.12" else theirs)]
    assert bool([event for event in events if event.kind == "note"]) == noted


# Specs


def test_one_for_each_architecture_and_repetition(
    store: Store, shelves: Shelves, resolved: list[Any]
) -> None:
    asked = replace(V2, arch=("x86_64", "arm64", "amd64"), repeat=2, suites=("stale_tlb",))
    specs = request.specs(Context(store, shelves), asked)
    assert [spec.machine.arch for spec in specs] == ["x86_64", "arm64", "x86_64", "arm64"]
    assert len(resolved) == 1, "the tree is the same for all"
    assert {spec.suites for spec in specs} == {suite.select(["stale_tlb"], [])}


def test_what_is_asked_for_arrives(store: Store, shelves: Shelves, resolved: list[Any]) -> None:
    asked = replace(
        V2, arch=("arm64",), cpus=8, memory=2048, zram=0, swap_disk=64, lru_gen=True, seed=7,
        mutant="no-remote-flush", flavour="debug", cases=("anon_lost_write",),
    )  # fmt: skip
    (spec,) = request.specs(Context(store, shelves), asked)
    machine = spec.machine
    assert (machine.cpus, machine.memory, machine.lru_gen) == (8, 2048, True)
    assert machine.swap == Swap(zram=0, disk=64)
    assert (spec.request.seed, spec.request.mutant, spec.request.flavour) == (
        7,
        "no-remote-flush",
        "debug",
    )
    assert [(one.suite, one.cases) for one in spec.suites] == [("stale_tlb", ("anon_lost_write",))]


def test_all_suites_unless_some_are_named(
    store: Store, shelves: Shelves, resolved: list[Any]
) -> None:
    (spec,) = request.specs(Context(store, shelves), V2)
    assert {one.suite for one in spec.suites} == set(suite.standard())


def test_a_tcg_guest_is_told_of_the_hosts_clock(
    store: Store, shelves: Shelves, resolved: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = replace(arch.pick("x86_64"), tcg_cmdline=lambda cpuinfo: ("clock=1",))
    monkeypatch.setattr(arch, "pick", lambda name: facts)
    (spec,) = request.specs(Context(store, shelves), V2)
    assert spec.machine.cmdline == ("clock=1",)
    monkeypatch.setattr(accel, "choose", lambda store, arch, asked: Accel.KVM)
    (spec,) = request.specs(Context(store, shelves), V2)
    assert spec.machine.cmdline == ()


def test_a_build_boots_nothing(
    store: Store, shelves: Shelves, resolved: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no QEMU a kernel can be built all the same."""

    def choose(store: Store, one: arch.Arch, asked: str) -> Accel:
        raise AssertionError("this boots a guest")

    monkeypatch.setattr(accel, "choose", choose)
    monkeypatch.setattr(pipeline, "build_spec", lambda context, spec: spec)
    monkeypatch.setattr(kbuild, "build", lambda store, spec: spec)
    built: Any = request.build(
        Context(store, shelves), replace(V2, arch=("arm64", "x86_64", "aarch64"), flavour="debug")
    )
    assert [(spec.machine.arch, spec.request.flavour) for spec in built] == [
        ("arm64", "debug"),
        ("x86_64", "debug"),
    ]
    with pytest.raises(ConfigError):
        request.build(Context(store, shelves), replace(V2, flavour="debgu"))


# A series that is a mail still


def test_a_mail_is_fetched_and_then_is_a_series(
    shelves: Shelves, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(shelf: Path, source: str) -> fetching.Fetched:
        asked.append(source)
        found = model.load(shelves.patches, "unmap-batch", 1)
        return fetching.Fetched(series=(found,), fresh=(1,), said="")

    monkeypatch.setattr(fetching, "fetch", fetch)
    one = Request(target="https://lore.kernel.org/r/new@example.org", cpus=8)
    assert request.fetched(shelves, one) == replace(one, target="unmap-batch@v1")
    assert asked == [one.target]


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("20260302-unmap-batch-v2-0@example.org", "unmap-batch@v2"),
        ("20260302-unmap-batch-v2-3@example.org", "unmap-batch@v2"),
        ("unmap-batch@v1", "unmap-batch@v1"),
        ("unmap-batch@v1,v2", "unmap-batch@v1,v2"),
        ("v6.12", "v6.12"),
        ("./x.mbx", "./x.mbx"),
    ],
)
def test_what_is_on_the_shelf_is_not_fetched(
    shelves: Shelves, monkeypatch: pytest.MonkeyPatch, target: str, meant: str
) -> None:
    monkeypatch.delattr(fetching, "fetch")
    assert request.fetched(shelves, Request(target=target)) == Request(target=meant)


@pytest.mark.parametrize("number", [0, 2])
def test_a_mail_of_a_variant_is_for_its_base(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.delattr(fetching, "fetch")
    home = tmp_path / "unmap-batch"
    home.mkdir()
    text = (UNMAP / "v2.mbx").read_bytes()
    (home / "v2.mbx").write_bytes(text)
    (home / "v2.on-v9.9.mbx").write_bytes(text.replace(b"-v2-", b"-v2.9-"))
    shelves = Shelves(kconfigs=tmp_path, patches=tmp_path, images=tmp_path)
    asked = Request(target=f"20260302-unmap-batch-v2.9-{number}@example.org")
    meant = Request(target="unmap-batch@v2", base="v9.9")
    assert request.fetched(shelves, asked) == meant
    assert request.fetched(shelves, replace(asked, base="v9.9")) == meant
    assert events == []
    assert request.fetched(shelves, replace(asked, base="v6.12")) == replace(meant, base="v6.12")
    assert "is unmap-batch@v2 for base v9.9, but --base is v6.12" in events[-1].text


@pytest.mark.parametrize("text", ["v1..v2", "latest", "v2-fixed"])
def test_what_is_no_revision_of_a_series_is_not_asked_of_a_server(
    store: Store,
    shelves: Shelves,
    resolved: list[Any],
    theirs: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
    monkeypatch.delattr(fetching, "fetch")
    for tree in (None, theirs):
        asked = Request(target=f"unmap-batch@{text}", tree=tree)
        with pytest.raises(ConfigError, match=f"unmap-batch has no revision '{text}'$") as bad:
            request.specs(Context(store, shelves), request.fetched(shelves, asked))
        assert bad.value.hint == "its revisions: v1, v2"
        with pytest.raises(ConfigError, match=f"unmap-batch has no revision '{text}'$"):
            request.specs(Context(store, shelves), asked)
    assert resolved == []


@pytest.mark.parametrize("name", ["unmap-batch@{yesterday}", "me@example.org", "mm/me@example.org"])
def test_a_revision_of_the_tree_is_no_mail(
    store: Store,
    shelves: Shelves,
    resolved: list[Any],
    theirs: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.delattr(fetching, "fetch")
    for branch in ("unmap-batch", "me@example.org", "mm/me@example.org"):
        git.git("branch", branch, cwd=theirs)
    asked = Request(target=name, tree=theirs)
    assert request.fetched(shelves, asked) == asked
    (spec,) = request.specs(Context(store, shelves), asked)
    assert spec.tree.series is None
    assert resolved == [(name, theirs)]
    with pytest.raises(ConfigError, match=r"--base v7\.2 is for a series, and "):
        request.specs(Context(store, shelves), replace(asked, base="v7.2"))
    with pytest.raises(ConfigError, match="is not a git tree"):
        request.fetched(shelves, Request(target="new@example.org", tree=shelves.patches))


# Several trees


def labels(specs: tuple[RunSpec, ...]) -> list[str]:
    return [f"{spec.machine.arch} {spec.tree.label.partition(' on ')[0]}" for spec in specs]


def test_revisions_side_by_side(store: Store, shelves: Shelves, resolved: list[Any]) -> None:
    asked = replace(V2, target="unmap-batch@v1,v2", arch=("x86_64", "arm64"), repeat=2)
    once = [f"{name} unmap-batch@v{number}" for number in (1, 2) for name in asked.arch]
    assert labels(request.specs(Context(store, shelves), asked)) == once * 2
    with pytest.raises(ConfigError, match="no revision of unmap-batch named 'v7'"):
        request.specs(Context(store, shelves), replace(V2, target="unmap-batch@v1,v7"))


def test_each_patch(store: Store, shelves: Shelves, resolved: list[Any]) -> None:
    asked = replace(V2, each_patch=True, cases=("anon_lost_write",))
    specs = request.specs(Context(store, shelves), asked)
    names = [f"x86_64 unmap-batch@v2{part}" for part in (":1", ":2", "")]
    assert labels(specs) == names
    assert [(spec.boot, bool(spec.suites), bool(spec.step)) for spec in specs] == [
        (False, False, True), (False, False, True), (True, True, True),
    ]  # fmt: skip
    also = request.specs(Context(store, shelves), replace(asked, after=("2",)))
    assert [spec.boot for spec in also] == [False, True, True]
    every = request.specs(Context(store, shelves), replace(asked, after=("all",)))
    assert all(spec.boot and spec.suites for spec in every)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"after": ("1",)}, "--after needs --each-patch"),
        ({"after": ("4",), "each_patch": True}, "has no patch 4"),
        ({"after": ("one",), "each_patch": True}, "has no patch one"),
        ({"target": "v6.12", "each_patch": True}, "v6.12 is not a series"),
    ],
)
def test_patches_that_are_not_there(
    store: Store, shelves: Shelves, resolved: list[Any], change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as bad:
        request.specs(Context(store, shelves), replace(V2, **change))
    assert complaint in bad.value.message


def test_promises_are_the_series_and_the_users(
    store: Store, shelves: Shelves, resolved: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "series.mbx"
    said = (UNMAP / "v2.mbx").read_text()
    path.write_text(said.replace("base-commit:", "Promises: reclaim/file_dirty\n\nbase-commit:", 1))
    asked = Request(target=str(path), promises=("reclaim/fork_cow",))
    (spec,) = request.specs(Context(store, shelves), asked)
    assert spec.promises == ("reclaim/file_dirty", "reclaim/fork_cow")
    *first, last = request.specs(
        Context(store, shelves), replace(asked, each_patch=True, promises=())
    )
    assert [one.promises for one in first] == [(), ()]
    assert last.promises == ("reclaim/file_dirty",)
    path.write_text(said.replace("base-commit:", "Promises: reclaim/typo\n\nbase-commit:", 1))
    with pytest.raises(ConfigError, match="no case that a kernel could promise named"):
        request.check(shelves, asked)
