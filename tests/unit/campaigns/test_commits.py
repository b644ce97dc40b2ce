# SPDX-License-Identifier: GPL-2.0-only
"""The range of a user's repository, which stays as it is."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rig.campaigns import commits
from rig.campaigns.commits import Mark, Range
from rig.errors import ConfigError

ENV = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "ada@example.org" for who in ("AUTHOR", "COMMITTER")},
}


def sh(tree: Path, *words: object, status: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        ["git", *map(str, words)],
        cwd=tree,
        env=ENV,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in status, done.stderr
    return done.stdout.strip()


def commit(tree: Path, file: str, subject: str) -> str:
    path = tree / file
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + f"{subject}\n")
    sh(tree, "add", file)
    sh(tree, "commit", "--quiet", "-m", subject)
    sh(tree, "tag", subject.replace(" ", "-"))
    return sh(tree, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """base - mm1 - doc - merge - mm3, with net1 - mm2 on a branch from base."""
    path = tmp_path / "linux"
    path.mkdir()
    sh(path, "init", "--quiet", "--initial-branch=main")
    commit(path, "Makefile", "base")
    sh(path, "branch", "side")
    commit(path, "mm/rmap.c", "mm1")
    commit(path, "Documentation/x", "doc")
    sh(path, "checkout", "--quiet", "side")
    commit(path, "net/core.c", "net1")
    commit(path, "mm/vmscan.c", "mm2")
    sh(path, "checkout", "--quiet", "main")
    sh(path, "merge", "--quiet", "--no-ff", "-m", "merge", "side")
    sh(path, "tag", "merge")
    commit(path, "mm/rmap.c", "mm3")
    return path


def read(tree: Path, good: str, bad: str, **options: Any) -> Range:
    """The range; nothing in the user's repository changes: no ref, no index, no file, no time."""

    def files() -> dict[Path, tuple[int, int]]:
        every = (file for file in tree.rglob("*") if file.is_file())
        return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in every}

    before = files()
    try:
        return commits.read(tree, good, bad, **options)
    finally:
        assert files() == before


def subjects(range_: Range) -> list[str]:
    return [commit.subject for commit in range_.commits]


def edges(range_: Range) -> set[tuple[str, str]]:
    names = subjects(range_)
    return {
        (names[parent], commit.subject) for commit in range_.commits for parent in commit.parents
    }


def test_a_range_with_a_merge(tree: Path) -> None:
    range_ = read(tree, "base", "main")
    assert sorted(subjects(range_)) == ["doc", "merge", "mm1", "mm2", "mm3", "net1"]
    assert edges(range_) == {
        ("mm1", "doc"),
        ("net1", "mm2"),
        ("doc", "merge"),
        ("mm2", "merge"),
        ("merge", "mm3"),
    }
    assert range_.commits[-1].name == range_.bad == sh(tree, "rev-parse", "main")
    assert range_.good == sh(tree, "rev-parse", "base")
    assert not range_.dirty and not range_.diverged
    files = {commit.subject: commit.files for commit in range_.commits}
    assert files["mm3"] == ("mm/rmap.c",)
    assert files["net1"] == ("net/core.c",)
    assert files["merge"] == ()
    assert {commit.author for commit in range_.commits} == {"Ada"}
    assert range_.ancestry.of(len(range_) - 1).bit_count() == 6


def test_first_parent(tree: Path) -> None:
    range_ = read(tree, "base", "main", first_parent=True)
    assert subjects(range_) == ["mm1", "doc", "merge", "mm3"]
    assert [commit.parents for commit in range_.commits] == [(), (0,), (1,), (2,)]
    assert sorted(range_.commits[2].files) == ["mm/vmscan.c", "net/core.c"]
    assert range_.good == sh(tree, "rev-parse", "base")
    side = read(tree, "mm2", "main", first_parent=True)
    assert subjects(side)[-1] == "mm3"
    assert side.good == sh(tree, "rev-parse", f"{side.commits[0].name}^")


def test_a_path_limit(tree: Path) -> None:
    range_ = read(tree, "base", "main", paths=["mm/"])
    assert sorted(subjects(range_)) == ["merge", "mm1", "mm2", "mm3"]
    assert ("mm1", "merge") in edges(range_)
    only = read(tree, "base", "doc", paths=["mm"])
    assert subjects(only) == ["mm1"]
    assert only.bad == sh(tree, "rev-parse", "doc")


def test_odd_subjects_and_names(tree: Path) -> None:
    sh(tree, "checkout", "--quiet", "-b", "odd")
    for number, subject in enumerate(("\x1b[31mred", "", "tab\tand \u202e", "mm: \x01 x")):
        (tree / f"{number} \u00e4\n\x02").write_text("x")
        sh(tree, "add", "--all")
        sh(tree, "commit", "--quiet", "--allow-empty-message", "-m", subject)
    range_ = read(tree, "mm3", "odd")
    assert len(range_) == 4
    assert [commit.files for commit in range_.commits] == [
        (f"{number} \u00e4\n\x02",) for number in range(4)
    ]
    assert all("\x1b" not in subject and "\u202e" not in subject for subject in subjects(range_))


# Repositories of other kinds


def test_a_bare_repository_and_a_work_tree_of_it(tree: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    sh(tmp_path, "clone", "--quiet", "--bare", tree, bare)
    assert len(read(bare, "base", "main")) == 6
    assert not read(bare, "base", "main").dirty
    sh(bare, "worktree", "add", "--quiet", "--detach", tmp_path / "wt", "mm1")
    assert len(read(tmp_path / "wt", "base", "main")) == 6


def test_a_dirty_tree_is_said(tree: Path) -> None:
    (tree / "Makefile").write_text("changed\n")
    before = (tree / ".git" / "index").read_bytes()
    assert read(tree, "base", "main").dirty
    assert (tree / ".git" / "index").read_bytes() == before
    assert (tree / "Makefile").read_text() == "changed\n"


def test_a_shallow_clone(tree: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    sh(tmp_path, "clone", "--quiet", "--depth", "2", f"file://{tree}", shallow)
    with pytest.raises(ConfigError, match="no revision named 'base'") as bad:
        read(shallow, "base", "main")
    assert "git fetch --unshallow" in bad.value.hint
    sh(shallow, "fetch", "--quiet", "--depth", "1", "origin", "tag", "mm1")
    with pytest.raises(ConfigError, match="no common ancestor") as bad:
        read(shallow, "mm1", "main")
    assert "git fetch --unshallow" in bad.value.hint


def test_a_replaced_commit(tree: Path) -> None:
    """`git replace --graft` and grafts change what is the parent of what."""
    sh(tree, "replace", "--graft", "doc", "base")
    range_ = read(tree, "base", "main")
    assert "mm1" not in subjects(range_)


# What is no range


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("base", "v9.9", r"has no revision named 'v9\.9'"),
        ("--all", "main", "has no revision named '--all'"),
        ("main", "main", "are the same commit"),
        ("mm3", "main", "are the same commit"),
        ("main", "base", "base is older than main: the range is the wrong way round"),
    ],
)
def test_ends_that_are_no_range(tree: Path, good: str, bad: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tree, good, bad)


def test_unrelated_histories(tree: Path) -> None:
    sh(tree, "checkout", "--quiet", "--orphan", "other")
    commit(tree, "other", "other1")
    with pytest.raises(ConfigError, match="mm3 and other1 have no common ancestor"):
        read(tree, "mm3", "other1")


def test_histories_that_parted(tree: Path) -> None:
    range_ = read(tree, "doc", "side")
    assert sorted(subjects(range_)) == ["mm2", "net1"]
    assert range_.diverged
    assert range_.good == sh(tree, "rev-parse", "base")


@pytest.mark.parametrize("paths", [["drivers/"], ["mm/none.c"], [":(glob)x/*"]])
def test_a_path_limit_that_leaves_nothing(tree: Path, paths: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"no commit of base\.\.main changes") as bad:
        read(tree, "base", "main", paths=paths)
    assert "git log -- " in bad.value.hint


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such directory"):
        read(tmp_path / "gone", "a", "b")


# The log


Replay = Callable[[str], str]


@pytest.fixture
def replay(tree: Path, tmp_path: Path) -> Replay:
    """Run `git bisect replay` in a scratch clone, and return what git then says."""

    def run(text: str) -> str:
        clone = tmp_path / "clone"
        sh(tmp_path, "clone", "--quiet", tree, clone)
        (tmp_path / "log").write_text(text)
        # Status 2: git has only skipped commits left.
        sh(clone, "bisect", "replay", tmp_path / "log", status=(0, 2))
        return sh(clone, "bisect", "log")

    return run


def test_git_reads_the_log(tree: Path, replay: Replay) -> None:
    range_ = read(tree, "base", "main")
    number = {name: place for place, name in enumerate(subjects(range_))}
    marks = {
        number["merge"]: Mark.BAD,
        number["mm2"]: Mark.GOOD,
        number["doc"]: Mark.BAD,
        number["mm1"]: Mark.GOOD,
    }
    notes = {number["net1"]: "0 of 3 runs failed", number["doc"]: "7 of 64 runs failed"}
    text = commits.log(range_, marks, notes)
    assert f"# undecided: [{range_.name(number['net1'])}] net1: 0 of 3 runs failed\n" in text
    said = replay(text + commits.last_line(range_, number["doc"]))
    assert f"# first bad commit: [{range_.name(number['doc'])}] doc" in said


def test_git_reads_skips_first_parent_and_paths(tree: Path, replay: Replay) -> None:
    range_ = read(tree, "base", "main", first_parent=True)
    said = replay(commits.log(range_, {1: Mark.SKIP, 0: Mark.GOOD, 2: Mark.BAD}, {}))
    assert said.startswith("git bisect start '--first-parent'")
    possible = [line for line in said.splitlines() if line.startswith("# possible first bad")]
    # git adds the side branch, which it does not leave out here.
    assert {"doc", "merge"} <= {line.rpartition("] ")[2] for line in possible}


def test_git_reads_paths(tree: Path, replay: Replay) -> None:
    range_ = read(tree, "base", "main", paths=["mm", "it's"])
    text = commits.log(range_, {}, {})
    assert text.startswith("git bisect start '--' 'mm' 'it'\\''s'\n")
    assert "git bisect start '--' 'mm' 'it'\\''s'\n" in replay(text)
