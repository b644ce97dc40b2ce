# SPDX-License-Identifier: GPL-2.0-only
"""`rig gc` on a store in miniature, whose clock is the test's."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig import git, presence
from rig.campaigns import census, execute, gc, needs, stored
from rig.context import Context
from rig.errors import ConfigError
from rig.guest.qemu import Seeded
from rig.kernel import sandbox
from rig.kernel.base import Base
from rig.kernel.tree import Subject
from rig.report import gc as report
from rig.shelves import Shelves
from rig.store import Store
from rig.verdict.rules import Outcome
from tests.unit.conftest import TOP, Script, about, case, result

DAY = 86400.0
Aged = Callable[[Path, float], Path]
Ran = Callable[..., Path]


@pytest.fixture
def context(store: Store, tmp_path: Path) -> Context:
    """A store with the base v6.12, and a shelf with one series."""
    shelf = tmp_path / "patches" / "batch"
    shelf.mkdir(parents=True)
    (shelf / "v2.mbx").write_text("")
    store.make("bases", "v6.12", {}, lambda out: {"commit": "c0ffee"})
    shelves = Shelves(kconfigs=tmp_path, patches=shelf.parent, images=tmp_path)
    return Context(store, shelves)


@pytest.fixture
def aged() -> Aged:
    """Set the time of a directory, and of what is in it, so many days back."""

    def set_back(path: Path, days: float) -> Path:
        then = time.time() - days * DAY
        for entry in (*path.rglob("*"), path):
            os.utime(entry, (then, then), follow_symlinks=False)
        return path

    return set_back


@pytest.fixture
def entry(store: Store, aged: Aged) -> Callable[..., Path]:
    """An entry that was used so many days ago."""

    def make(label: str, days: float, size: int = 100_000) -> Path:
        kind, _, name = label.partition("/")
        store.make(kind, name, {}, lambda out: (out / "file").write_bytes(os.urandom(size)) and {})
        return aged(store.path(kind, name), days)

    return make


@pytest.fixture
def ran(store: Store, aged: Aged) -> Ran:
    """A stored run."""

    def store_run(
        days: float,
        base: str = "v6.12",
        *series: str,
        seed: int = 0,
        suffix: str = "",
        outcome: Outcome = Outcome.PASS,
        **used: Any,
    ) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time() - days * DAY))
        run = store.root / "runs" / f"{stamp}-{base}{suffix}"
        whole = result(
            cases=(case("anon_lost_write", outcome, "lost" if outcome is Outcome.FAIL else ""),)
        )
        subject = Subject(base=base, series=series)
        kept = replace(about(whole.provenance, subject), **used)
        machine = replace(whole.machine, schedule=Seeded(seed=seed)) if seed else whole.machine
        execute.store_result(replace(whole, provenance=kept, machine=machine), run / "x86_64")
        return aged(run, days)

    return store_run


@pytest.fixture
def lane(store: Store, aged: Aged) -> Callable[..., Path]:
    def make(name: str, days: float) -> Path:
        place = store.root / "lanes" / name
        (place / "out").mkdir(parents=True)
        (place / "out" / "vmlinux").write_bytes(os.urandom(300_000))
        return aged(place, days)

    return make


def labels(rows: tuple[gc.Row, ...]) -> list[str]:
    return sorted(row.unit.label for row in rows)


def why(plan: gc.Plan) -> dict[str, str]:
    return {row.unit.label: row.why for row in plan.kept}


Entry = Callable[..., Path]


# What goes and what stays


def test_what_was_not_used_for_long_goes_and_nothing_before_it_is_said(
    context: Context, entry: Entry, lane: Entry
) -> None:
    paths = [entry("builds/old", 31), entry("programs/p1", 40), lane("arm64-base-v6.12", 31)]
    stay = [entry("builds/new", 29), lane("x86_64-base-v6.12", 2)]
    planned = gc.plan(context)
    gone = ["builds/old", "lanes/arm64-base-v6.12", "programs/p1"]
    assert labels(planned.going) == gone
    assert all(path.is_dir() for path in paths), "a plan removes nothing"
    assert not planned.done
    went = gc.collect(context)
    assert labels(went.going) == gone
    assert went.done
    assert not any(path.exists() for path in paths)
    assert all(path.is_dir() for path in stay)
    assert list((context.store.root / "tmp").iterdir()) == []


def test_using_an_entry_keeps_it(context: Context, entry: Entry) -> None:
    for name in ("found", "made", "idle"):
        entry(f"builds/{name}", 50)
    assert context.store.find("builds", "found")
    context.store.make("builds", "made", {}, lambda out: pytest.fail("it is there"))
    assert labels(gc.plan(context).going) == ["builds/idle"]


def test_bases_and_what_the_rig_does_not_know_are_never_removed(
    context: Context, aged: Aged
) -> None:
    root = context.store.root
    for name in ("ci/cache", "apt/trixie", "history"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text("x")
    (root / "history.sqlite").write_text("x")
    (root / "runs").symlink_to(root / "ci")
    for path in list(root.iterdir()):
        if not path.is_symlink():
            aged(path, 999) if path.is_dir() else os.utime(path, (1, 1))
    assert gc.collect(context, days=0, gib=1e-6).going == ()
    assert context.store.find("bases", "v6.12")


def test_the_newest_result_of_what_is_on_the_shelf_stays_with_all_it_needs(
    context: Context, entry: Entry, ran: Ran
) -> None:
    for name in ("builds/b1", "builds/b2", "builds/b3", "images/i1", "programs/p1", "builds/b4"):
        entry(name, 90)
    programs = (("stale_tlb", "p1"),)
    ran(200, build="b1", image="i1", programs=programs)
    ran(100, build="b2", image="i1", programs=programs)  # the newest of v6.12
    ran(150, "v6.12", "batch@v2", build="b3")  # the newest of a revision
    ran(120, "v6.12", "batch@v1", build="b4")  # a revision that is not on the shelf
    ran(110, "my-branch", build="b4")  # a revision of somebody's tree
    planned = gc.plan(context)
    going = labels(planned.going)
    assert {"builds/b1", "builds/b4"} == {label for label in going if label.startswith("builds")}
    assert len([label for label in going if label.startswith("runs")]) == 3
    kept = why(planned)
    assert kept["builds/b2"] == kept["images/i1"] == "of the newest result of v6.12"
    assert kept["builds/b3"] == "of the newest result of batch@v2 on v6.12"


def test_a_result_is_not_the_newest_of_another_kind_of_run(context: Context, ran: Ran) -> None:
    """Another architecture, another schedule, an interrupted run: each is a result of its own."""
    live, seeded = ran(100), ran(90, seed=3, suffix="-s")
    interrupted = ran(80, suffix="-i")
    (interrupted / "arm64").mkdir()
    (interrupted / "arm64" / stored.PENDING).touch()
    os.utime(interrupted, (time.time() - 80 * DAY,) * 2)
    os.utime(interrupted / "arm64", (time.time() - 80 * DAY,) * 2)
    assert labels(gc.plan(context).going) == [f"runs/{interrupted.name}"]
    assert why(gc.plan(context)).keys() >= {f"runs/{live.name}", f"runs/{seeded.name}"}


def test_what_a_replay_of_a_failure_needs_stays_though_the_store_is_too_large(
    context: Context, entry: Entry, ran: Ran
) -> None:
    for name in ("b1", "b2", "b3"):
        entry(f"builds/{name}", 10)
    ran(10, "topic", seed=7, outcome=Outcome.FAIL, build="b1")
    ran(10, "topic", seed=8, suffix="-2", build="b2")  # it passed
    ran(10, "topic", outcome=Outcome.FAIL, suffix="-3", build="b3")  # not seeded
    planned = gc.plan(context, gib=1e-6)
    assert labels(planned.going) == ["builds/b2", "builds/b3"]
    assert why(planned)["builds/b1"] == needs.REPLAY


@pytest.mark.parametrize(
    ("document", "stays"),
    [("", True), ("{", True), ('{"culprit": null}', True), ('{"culprit": {"name": "x"}}', False)],
)
def test_a_bisection_that_can_go_on_stays(
    context: Context, entry: Entry, ran: Ran, aged: Aged, document: str, stays: bool
) -> None:
    entry("builds/b1", 99)
    run = ran(99, "3431a57d60af", suffix="-bisect-topic-0123456789ab", build="b1")
    if document:
        (run / "bisection.json").write_text(document)
    aged(run, 99)
    planned = gc.plan(context)
    names = {"builds/b1", f"runs/{run.name}"}
    assert names == (set(why(planned)) if stays else set(labels(planned.going))) & names


def test_a_bisection_that_runs_is_not_touched(context: Context, ran: Ran, aged: Aged) -> None:
    run = ran(99, "3431a57d60af", suffix="-bisect-topic-0123456789ab")
    (run / "bisection.json").write_text('{"culprit": {}}')
    aged(run, 99)
    with context.store.lock("bisect-0123456789ab"):
        went = gc.collect(context)
    assert went.going == ()
    assert why(went)[f"runs/{run.name}"] == gc.IN_USE
    assert run.is_dir()


def test_results_that_cannot_be_read_stay(context: Context, ran: Ran, aged: Aged) -> None:
    """Another version of the rig may have written them."""
    for number, text in enumerate(("", "{}", "[]", '{"provenance": 3}', "\0", '{"a": ' * 9999)):
        run = ran(99, "topic", suffix=f"-{number}")
        (run / "x86_64" / "result.json").write_text(text)
        aged(run, 99)
    planned = gc.plan(context)
    assert planned.going == ()
    assert set(why(planned).values()) == {needs.UNREADABLE}


def test_a_result_that_was_cut_off_replaces_no_older_one(context: Context, ran: Ran) -> None:
    older, newest = ran(99), ran(98, suffix="-cut")
    file, age = newest / "x86_64" / "result.json", newest.stat().st_mtime
    file.write_text(file.read_text()[:-100])
    for path in (file, file.parent, newest):
        os.utime(path, (age, age))
    assert why(gc.plan(context)) == {
        f"runs/{older.name}": "of the newest result of v6.12",
        f"runs/{newest.name}": needs.UNREADABLE,
    }


def test_mails_from_a_pipe_stay_with_the_result_that_needs_them(
    context: Context, entry: Entry, ran: Ran
) -> None:
    entry("mails/pipe-1", 99)
    entry("mails/pipe-2", 99)
    kept = about(result().provenance, Subject(base="v6.12"))
    target = f"{context.store.root}/mails/pipe-1/pipe.mbx:2"
    ran(99, request=replace(kept.request, target=target))
    assert labels(gc.plan(context).going) == ["mails/pipe-2"]


# --max-size


def test_the_oldest_go_until_the_store_is_small_enough(context: Context, entry: Entry) -> None:
    for number in range(1, 9):
        entry(f"builds/b{number}", number, 1 << 20)
    total = sum(holding.bytes for holding in census.holdings(context.store))
    went = gc.collect(context, gib=(total - 2.5 * 2**20) / 2**30)
    assert labels(went.going) == ["builds/b6", "builds/b7", "builds/b8"]
    left = sum(holding.bytes for holding in census.holdings(context.store))
    assert abs(left - went.left) < 200_000
    assert gc.collect(context, gib=(total - 2.5 * 2**20) / 2**30).going == ()


def test_results_are_not_removed_for_their_size(context: Context, ran: Ran, entry: Entry) -> None:
    """Nothing can make them again."""
    ran(5, "topic")
    entry("explored/e1", 5)
    planned = gc.plan(context, gib=1e-6)
    assert planned.going == ()
    assert "more than --max-size" in report.render(planned)


@pytest.mark.parametrize(("days", "gib"), [(-1, 0), (float("nan"), 0), (1e9, 0), (1, -2)])
def test_limits_that_mean_nothing_are_refused(days: float, gib: float) -> None:
    with pytest.raises(ConfigError):
        gc.check(days, gib)


def test_a_file_that_two_entries_share_is_freed_with_the_last(
    context: Context, entry: Entry, aged: Aged
) -> None:
    first, second = entry("builds/b1", 60, 4 << 20), context.store.root / "builds" / "b2"

    def link(out: Path) -> None:
        (out / "file").hardlink_to(first / "file")

    context.store.make("builds", "b2", {}, link)
    third = entry("builds/b3", 2)
    (third / "also").hardlink_to(first / "file")
    aged(second, 50), aged(third, 2), aged(first, 60)
    assert gc.plan(context).freed < 1 << 20, "b3 has the file too"
    went = gc.collect(context)
    assert labels(went.going) == ["builds/b1", "builds/b2"]
    assert (third / "also").stat().st_size == 4 << 20
    (third / "also").unlink()
    entry("builds/b1", 60, 4 << 20)
    context.store.make("builds", "b2", {}, link)
    aged(second, 50), aged(first, 60)
    assert 4 << 20 <= gc.plan(context).freed < 5 << 20, "once, not twice"


# Other rigs


def test_a_lane_in_use_by_another_process_stays(
    context: Context, lane: Entry, script: Script
) -> None:
    place = lane("x86_64-base-v6.12", 99)
    body = """
import sys, time
from pathlib import Path
from rig.store import Store
with Store(Path(sys.argv[1])).lock("lane-x86_64-base-v6.12"):
    print("held", flush=True)
    time.sleep(600)
"""
    other = script(body, context.store.root)
    assert other.stdout is not None
    other.stdout.readline()
    went = gc.collect(context)
    assert went.going == ()
    assert why(went)["lanes/x86_64-base-v6.12"] == gc.IN_USE
    assert (place / "out" / "vmlinux").is_file()
    other.kill()
    other.wait()
    assert labels(gc.collect(context).going) == ["lanes/x86_64-base-v6.12"]


def test_what_a_living_rig_has_used_stays(
    context: Context, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry("builds/before", 6)
    entry("builds/since", 4)
    monkeypatch.setattr(presence, "oldest", lambda root: time.time() - 5 * DAY)
    assert labels(gc.plan(context, days=0).going) == ["builds/before"]
    assert why(gc.plan(context, days=0))["builds/since"] == gc.IN_USE


def test_what_is_used_after_the_plan_was_made_stays(
    context: Context, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after the rename: a user who says so in between finds it again."""
    early, late = entry("builds/early", 99), entry("builds/late", 99)
    planned = gc.plan(context)
    rename = Path.rename

    def used_meanwhile(path: Path, target: Path) -> Path:
        if path == late:
            os.utime(path)
        return rename(path, target)

    os.utime(early)
    monkeypatch.setattr(gc, "plan", lambda *_, **__: planned)
    monkeypatch.setattr(Path, "rename", used_meanwhile)
    assert gc.collect(context).going == ()
    assert context.store.find("builds", "early")
    assert context.store.find("builds", "late")


def test_two_at_once_remove_each_part_once(
    context: Context, entry: Entry, lane: Entry, script: Script
) -> None:
    for number in range(40):
        entry(f"builds/b{number:02}", 99, 2000)
    lane("arm64-base-v6.12", 99)
    entry("builds/new", 1)
    body = """
import sys
from pathlib import Path
from rig.campaigns import gc
from rig.context import Context
from rig.shelves import Shelves
from rig.store import Store
root = Path(sys.argv[1])
context = Context(Store(root), Shelves(kconfigs=root, patches=root / "none", images=root))
print(len(gc.collect(context).going))
"""
    both = [script(body, context.store.root) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted(int(out) for out, _ in outputs) == [0, 41]
    assert context.store.find("builds", "new")


@pytest.mark.parametrize("after", range(1, 8))
def test_killed_half_way_it_leaves_whole_entries_and_another_ends_it(
    context: Context, entry: Entry, lane: Entry, script: Script, after: int
) -> None:
    """SIGKILL at the nth call that changes the store."""
    for number in range(4):
        entry(f"builds/b{number}", 99)
    lane("arm64-base-v6.12", 99)
    entry("builds/new", 1)
    body = """
import os, shutil, sys
from pathlib import Path
from rig.campaigns import gc
from rig.context import Context
from rig.kernel import sandbox
from rig.shelves import Shelves
from rig.store import Store
left = int(sys.argv[2])
def mortal(function):
    def call(*args, **words):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return function(*args, **words)
    return call
Path.rename = mortal(Path.rename)
os.rmdir = mortal(os.rmdir)
os.unlink = mortal(os.unlink)
root = Path(sys.argv[1])
gc.collect(Context(Store(root), Shelves(kconfigs=root, patches=root / "none", images=root)))
"""
    killed = script(body, context.store.root, after)
    assert killed.wait(timeout=60) == -9, killed.communicate()
    for name in ("b0", "b1", "b2", "b3"):
        path = context.store.path("builds", name)
        assert not path.exists() or not context.store.flaw("builds", name), "half an entry"
        if path.exists():
            os.utime(path, (1, 1))
    place = context.store.root / "lanes" / "arm64-base-v6.12"
    assert not place.exists() or (place / "out" / "vmlinux").is_file()
    gc.collect(context)
    assert [path.name for path in (context.store.root / "builds").iterdir()] == ["new"]
    assert list((context.store.root / "tmp").iterdir()) == []


@pytest.mark.skipif(bool(sandbox.broken()), reason="bubblewrap does not work here")
def test_a_read_only_store_is_listed_and_not_changed(context: Context, entry: Entry) -> None:
    entry("builds/old", 99)
    root = context.store.root
    mount = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(root), str(root)]
    rig = [*mount, sys.executable, "-m", "rig", "gc"]
    env = {**os.environ, "RIG_STORE": str(root)}
    listed = subprocess.run(rig, check=False, capture_output=True, text=True, cwd=TOP, env=env)
    assert listed.returncode == 0, listed.stderr
    assert "builds/old  not used for 99 days" in listed.stdout
    refused = subprocess.run(
        [*rig, "--remove"], check=False, capture_output=True, text=True, cwd=TOP, env=env
    )
    assert refused.returncode == 3
    assert "cannot be written: Read-only file system" in refused.stderr
    assert context.store.find("builds", "old")


def test_an_empty_or_absent_store_has_nothing_to_remove(tmp_path: Path, context: Context) -> None:
    absent = Context(Store(tmp_path / "none"), context.shelves)
    assert gc.plan(absent, gib=1).going == ()
    assert not (tmp_path / "none").exists()


# linux.git


@pytest.fixture
def borrowed(context: Context, base: Base, tmp_path: Path) -> tuple[Path, str]:
    """linux.git borrows from a user's tree, which has a commit of its own."""
    theirs = tmp_path / "theirs"
    git.git("init", "--quiet", theirs, cwd=tmp_path)
    (theirs / "Makefile").write_text("VERSION = 6\n")
    git.git("add", "Makefile", cwd=theirs)
    git.git("commit", "--quiet", "-m", "x", cwd=theirs)
    git.borrow(context.store, theirs)
    return theirs, git.text("rev-parse", "HEAD", cwd=theirs)


def alternates(store: Store) -> str:
    return (git.repository(store) / "objects" / "info" / "alternates").read_text()


def test_a_tree_that_is_there_is_still_borrowed_from(
    context: Context, borrowed: tuple[Path, str]
) -> None:
    before = alternates(context.store)
    assert gc.collect(context).alternates == ()
    assert alternates(context.store) == before


def test_a_tree_that_vanished_and_is_not_needed_is_forgotten(
    context: Context, base: Base, borrowed: tuple[Path, str]
) -> None:
    git.keep(context.store, "trees/1", base.commit)
    borrowed[0].rename(borrowed[0].with_name("moved"))
    planned = gc.plan(context)
    assert planned.alternates == (f"{borrowed[0]}/.git/objects",)
    assert not planned.alternates_needed
    assert "theirs" in alternates(context.store)
    gc.collect(context)
    assert alternates(context.store) == ""


def test_what_was_fetched_for_a_tree_that_vanished_is_forgotten(
    context: Context, base: Base, borrowed: tuple[Path, str], tmp_path: Path
) -> None:
    store, clone, theirs = context.store, tmp_path / "clone", tmp_path / "upstream"
    may_fetch = {"GIT_ALLOW_PROTOCOL": "file"}
    git.git("clone", "--quiet", borrowed[0], theirs, cwd=tmp_path, env=may_fetch)
    (theirs / "Makefile").write_text("VERSION = 7\n")
    git.git("commit", "--quiet", "-a", "-m", "x", cwd=theirs)
    git.git("clone", "--quiet", theirs, clone, cwd=tmp_path, env=may_fetch)
    git.fetch(store, clone, "origin")
    shutil.rmtree(clone)
    refs = ("for-each-ref", "--format=%(refname)", git.FETCHED)
    assert git.text(*refs, cwd=git.repository(store))
    went = gc.collect(context)
    assert went.alternates == (f"{clone}/.git/objects",) and not went.alternates_needed
    assert "clone" not in alternates(store) and "theirs" in alternates(store)
    assert not git.text(*refs, cwd=git.repository(store))


@pytest.mark.parametrize("needs_it", ["ref", "work tree"])
def test_a_tree_that_vanished_and_is_needed_may_come_back(
    context: Context, base: Base, borrowed: tuple[Path, str], needs_it: str, entry: Entry
) -> None:
    """As on a disk that is not mounted now."""
    store, (theirs, commit) = context.store, borrowed
    repo = git.repository(store)
    if needs_it == "ref":
        entry("trees/1", 1)
        git.keep(store, "trees/1", commit)
    else:
        place = store.root / "lanes" / "x86_64-base-v6.12" / "src"
        place.parent.mkdir(parents=True)
        git.git("worktree", "add", "--quiet", "--detach", place, commit, cwd=repo)
    theirs.rename(theirs.with_name("moved"))
    went = gc.collect(context)
    assert went.alternates_needed
    assert "they stay" in report.render(went)
    assert "theirs" in alternates(store)
    theirs.with_name("moved").rename(theirs)
    assert git.is_complete(store)
    assert git.text("show", f"{commit}:Makefile", cwd=repo) == "VERSION = 6"


def test_a_rig_that_uses_linux_git_is_not_disturbed(
    context: Context, base: Base, borrowed: tuple[Path, str]
) -> None:
    borrowed[0].rename(borrowed[0].with_name("moved"))
    with context.store.lock("linux.git"):
        gc.collect(context)
    assert "theirs" in alternates(context.store)


@pytest.mark.parametrize("packed", [False, True])
def test_a_removed_tree_leaves_no_ref_and_no_object_is_lost(
    context: Context, base: Base, entry: Entry, packed: bool
) -> None:
    """Also if the user has run `git gc` in linux.git, as docs/store.md says."""
    store = context.store
    for name, days in (("old", 99), ("new", 1)):
        entry(f"trees/{name}", days)
        git.keep(store, f"trees/{name}", base.commit)
    git.keep(store, "bases/v6.12", base.commit)
    repo = git.repository(store)
    if packed:
        git.git("gc", "--quiet", cwd=repo)
    before = git.text("count-objects", cwd=repo)
    gc.collect(context)
    refs = git.text("for-each-ref", "--format=%(refname)", cwd=repo).splitlines()
    assert refs == ["refs/rig/bases/v6.12", "refs/rig/trees/new"]
    assert git.text("count-objects", cwd=repo) == before


def test_a_removed_lane_leaves_linux_git_and_the_other_lane_as_they_are(
    context: Context, base: Base, aged: Aged
) -> None:
    store, repo = context.store, git.repository(context.store)
    for name, days in (("arm64-base-v6.12", 99), ("x86_64-base-v6.12", 1)):
        place = store.root / "lanes" / name
        place.mkdir(parents=True)
        git.git("worktree", "add", "--quiet", "--detach", place / "src", base.commit, cwd=repo)
        aged(place, days)
    gc.collect(context)
    assert [path.name for path in (store.root / "lanes").iterdir()] == ["x86_64-base-v6.12"]
    source = store.root / "lanes" / "x86_64-base-v6.12" / "src"
    assert git.text("status", "--porcelain", cwd=source) == ""
    assert len(git.text("worktree", "list", cwd=repo).splitlines()) == 2
    again = store.root / "lanes" / "arm64-base-v6.12" / "src"
    git.git("worktree", "add", "--quiet", "--detach", again, base.commit, cwd=repo)


# What is printed


def test_the_report_says_what_would_go_what_went_and_why(
    context: Context, entry: Entry, ran: Ran
) -> None:
    entry("builds/old", 45, 2 << 20)
    entry("builds/new", 3)
    ran(3)
    text = report.render(gc.plan(context))
    assert "would remove 1 of builds: 2.0 MiB" in text
    assert "builds/old  not used for 45 days" in text
    assert text.splitlines()[-1] == "`rig gc --remove` with the same options removes it"
    assert "kept 1: used lately" in text
    assert "kept 1: of the newest results" in text
    went = report.render(gc.collect(context))
    assert "removed 1 of builds: 2.0 MiB" in went
    assert "--remove" not in went
    assert "nothing to remove" in report.render(gc.plan(context))


def test_the_sizes_of_the_parts(context: Context, entry: Entry) -> None:
    entry("builds/b1", 1, 3 << 20)
    entry("images/i1", 1, 1000)
    lines = list(report.holdings(census.holdings(context.store)))
    assert lines[0].split() == ["builds", "3.0", "MiB", "1", "kernels"]
    assert lines[-1].split()[0] == "others"
    assert {"images", "bases", "locks"} <= {word.strip(",") for word in lines[-1].split()}
