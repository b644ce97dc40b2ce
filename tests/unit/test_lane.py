# SPDX-License-Identifier: GPL-2.0-only
"""The sandbox, and from one tree to the next; builds in a lane are in test_kbuild.py."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig import git, lane, proc, tree
from rig.base import Base
from rig.log import Event
from rig.store import Store
from rig.tree import KernelTree, TreeSpec

BOXED = proc.which("bwrap") is not None and not proc.run(
    ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], check=False
).status  # fmt: skip


@pytest.mark.skipif(not BOXED, reason="bubblewrap does not work here")
def test_a_build_has_no_network_and_sees_no_other_process(tmp_path: Path) -> None:
    for name in lane.WRITABLE:
        (tmp_path / name).mkdir()
    box = lane.sandbox(tmp_path)
    devices = proc.run([*box, "cat", "/proc/net/dev"]).stdout
    assert [line.split(":")[0].strip() for line in devices.splitlines()[2:]] == ["lo"]
    assert int(proc.run([*box, "sh", "-c", "ls -d /proc/[0-9]* | wc -l"]).stdout) < 6
    proc.run([*box, "touch", tmp_path / "out" / "mine"])
    assert (tmp_path / "out" / "mine").is_file()


def test_a_bubblewrap_that_does_not_work_is_no_sandbox(
    tmp_path: Path, program: Callable[[str, str], Path]
) -> None:
    for name in lane.WRITABLE:
        (tmp_path / name).mkdir()
    program("bwrap", "echo 'bwrap: Creating new namespace failed' >&2; exit 1")
    assert lane.sandbox(tmp_path) == []


# From one tree to the next


@pytest.fixture
def trees(store: Store, base: Base, kernel: Path) -> tuple[KernelTree, KernelTree]:
    """Two that differ in a file changed, a file more, a file less, a mode and a strange name."""
    first = tree.materialize(store, TreeSpec(base=base))
    (kernel / "init.c").write_text("int changed;\n")
    (kernel / "mm" / "more.c").write_text("int more;\n")
    (kernel / "mm" / "Kconfig").unlink()
    (kernel / "Makefile").chmod(0o755)
    (kernel / ":x").write_text("no magic\n")
    commit = git.import_tree(store, kernel, "changed\n")
    return first, tree.materialize(store, TreeSpec(base=replace(base, commit=commit)))


def content(place: Path) -> dict[str, tuple[int, str]]:
    source = place / "src"
    return {
        str(path.relative_to(source)): (path.stat().st_mode, path.read_text())
        for path in source.rglob("*")
        if path.is_file() and path.name != ".git"
    }


def test_a_few_files_are_gone_to_one_by_one_and_nothing_else_is_touched(
    store: Store, trees: tuple[KernelTree, KernelTree], events: list[Event]
) -> None:
    seen, untouched = [], set()
    for one in (*trees, *trees):
        with lane.held(store, "x", one) as place:
            seen.append(content(place))
            untouched.add((place / "src" / "mm" / "vmscan.c").stat().st_ctime_ns)
            assert git.text("rev-parse", "HEAD", cwd=place / "src") == one.commit
            assert git.text("status", "--porcelain", cwd=place / "src") == ""
    assert seen[0] == seen[2] != seen[1] == seen[3]
    assert set(seen[1]) - set(seen[0]) == {"mm/more.c", ":x"}
    assert set(seen[0]) - set(seen[1]) == {"mm/Kconfig"}
    checkouts = [
        event.text for event in events if event.kind == "command" and " checkout " in event.text
    ]
    assert len(checkouts) == 1, "the first"
    assert len(untouched) == 1


def test_many_files_are_checked_out(
    store: Store,
    trees: tuple[KernelTree, KernelTree],
    events: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lane, "FEW", 3)
    for one in trees:
        with lane.held(store, "x", one) as place:
            assert git.text("status", "--porcelain", cwd=place / "src") == ""
            assert git.text("rev-parse", "HEAD", cwd=place / "src") == one.commit
    assert len([event for event in events if " checkout " in event.text]) == 2


def test_a_lane_that_was_meddled_with_is_put_right(
    store: Store, trees: tuple[KernelTree, KernelTree]
) -> None:
    first, _ = trees
    with lane.held(store, "x", first) as place:
        whole = content(place)
        (place / "checked-out").unlink()
        (place / "src" / "init.c").write_text("half a fi")
    with lane.held(store, "x", first) as place:
        assert content(place) == whole
