# SPDX-License-Identifier: GPL-2.0-only
"""From one tree to the next; builds in a lane are in test_kbuild.py."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig import arch, git
from rig.kernel import builddir, sandbox, tree
from rig.kernel.base import Base
from rig.kernel.builddir import Lane
from rig.kernel.tree import KernelTree, TreeSpec
from rig.log import Event
from rig.store import Store

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


def content(held: Lane) -> dict[str, tuple[int, str]]:
    source = held.source
    return {
        str(path.relative_to(source)): (path.stat().st_mode, path.read_text())
        for path in source.rglob("*")
        if path.is_file() and path.name != ".git"
    }


def test_a_few_files_are_gone_to_one_by_one_and_nothing_else_is_touched(
    store: Store, trees: tuple[KernelTree, KernelTree], events: list[Event]
) -> None:
    seen, untouched = [], set()
    for version in (*trees, *trees):
        with builddir.held(store, "x", version) as held:
            seen.append(content(held))
            untouched.add((held.source / "mm" / "vmscan.c").stat().st_ctime_ns)
            assert git.text("rev-parse", "HEAD", cwd=held.source) == version.commit
            assert git.text("status", "--porcelain", cwd=held.source) == ""
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
    monkeypatch.setattr(builddir, "FEW", 3)
    for version in trees:
        with builddir.held(store, "x", version) as held:
            assert git.text("status", "--porcelain", cwd=held.source) == ""
            assert git.text("rev-parse", "HEAD", cwd=held.source) == version.commit
    assert len([event for event in events if " checkout " in event.text]) == 2


def test_a_lane_that_was_meddled_with_is_put_right(
    store: Store, trees: tuple[KernelTree, KernelTree]
) -> None:
    first, _ = trees
    with builddir.held(store, "x", first) as held:
        whole = content(held)
        (held.place / "checked-out").unlink()
        (held.source / "init.c").write_text("half a fi")
    with builddir.held(store, "x", first) as held:
        assert content(held) == whole


def test_a_compiler_cache_is_the_boxs(
    program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in the user's home is not to be seen there, and make would find none."""
    ours = program("ccache", "").parent
    for path, expected in ((str(ours), True), ("/nowhere", False)):
        monkeypatch.setattr(sandbox, "PATH", path)
        command = builddir.make_command(arch.pick("x86_64"), Path("/lane"), "vmlinux")
        assert any(word.startswith("CC=ccache ") for word in command) == expected


def test_as_many_jobs_as_the_rig_has_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under taskset(1) that is fewer than the host has."""
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3})
    assert builddir.jobs() == 2
    assert sandbox.Limits().processes == 1024 + 64
