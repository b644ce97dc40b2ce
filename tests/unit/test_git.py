# SPDX-License-Identifier: GPL-2.0-only
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rig import git, proc
from rig.errors import InfraError
from rig.kernel import base
from rig.kernel.base import Base
from rig.store import Store

Eventually = Callable[[Callable[[], object]], None]


def special(source: Path) -> None:
    """What a user's git would like to change."""
    (source / "ident.c").write_text("/* $Id: kept $ */\n")
    (source / "crlf.c").write_bytes(b"line\r\nline\n")
    (source / ".gitignore").write_text("ignored\n")
    (source / "ignored").write_text("kept\n")
    (source / "script").write_text("#!/bin/sh\n")
    (source / "script").chmod(0o755)
    (source / "link").symlink_to("mm/rmap.c")


def test_an_imported_tree_is_the_directory(store: Store, kernel: Path) -> None:
    special(kernel)
    commit = git.import_tree(store, kernel, "v6.12\n\nOrigin: here\n")
    out = kernel.parent / "out"
    git.git("worktree", "add", "--detach", out, commit, cwd=git.repository(store))
    (out / ".git").unlink()
    proc.run(["diff", "-r", "--no-dereference", kernel, out])
    assert (out / "script").stat().st_mode & 0o111
    assert not (out / "init.c").stat().st_mode & 0o111
    message = git.text("log", "-1", "--format=%B%an%n%P", commit, cwd=git.repository(store))
    assert message == "v6.12\n\nOrigin: here\nrig"
    assert not (kernel / ".git").exists()


def test_the_users_git_changes_nothing(
    store: Store, kernel: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    special(kernel)
    mine = git.import_tree(store, kernel, "v6.12\n")
    home = request.getfixturevalue("hostile")
    (tmp_path / "other").mkdir()
    other = Store(tmp_path / "other")
    assert git.import_tree(other, kernel, "v6.12\n") == mine
    # As an administrator's template directory would have it (git-init(1)).
    shutil.copytree(home / "hooks", git.repository(other) / "hooks", dirs_exist_ok=True)
    with git.sparse_worktree(other, mine, ("ident.c", "crlf.c")) as work:
        assert (work / "ident.c").read_bytes() == b"/* $Id: kept $ */\n"
        assert (work / "crlf.c").read_bytes() == b"line\r\nline\n"
        (work / "ident.c").write_text("/* new */\n")
        git.git("commit", "--quiet", "--all", "-m", "x", cwd=work)
        assert git.text("log", "-1", "--format=%an %ad %cn %GK", cwd=work).startswith(
            "rig Wed Jan 1"
        )
    assert not (home / "tripped").exists()
    assert not (home / "elsewhere").exists()


ATTRIBUTES = (
    *("text eol=crlf", "crlf eol=crlf", "ident", "working-tree-encoding=UTF-16", "mine"),
    *("filter=lfs", "export-subst", "export-ignore", "-diff", "binary"),
)


@pytest.mark.parametrize("where", [".gitattributes", "mm/.gitattributes"])
def test_a_trees_attributes_change_nothing(store: Store, kernel: Path, where: str) -> None:
    """Of what is imported, checked out and archived, or of what a diff shows."""
    content = b"/* $Id$ $Format:%H$ */\r\nint y;\n"
    files = {f"mm/{number}.c": said for number, said in enumerate(ATTRIBUTES)}
    lines = [f"{Path(file).name} {said}\n" for file, said in files.items()]
    macro = ["[attr]mine text eol=crlf\n"] if "/" not in where else []
    (kernel / where).write_text("".join([*macro, *lines]))
    for file in files:
        (kernel / file).write_bytes(content)
    commit = git.import_tree(store, kernel, "v6.12\n")
    with git.sparse_worktree(store, commit, (where, *files)) as work:
        assert {said for file, said in files.items() if (work / file).read_bytes() != content} == (
            set()
        )
        git.git("archive", "-o", work / "mine.tar", commit, "mm", cwd=work)
        with tarfile.open(work / "mine.tar") as tar:
            found = {one.name: tar.extractfile(one) for one in tar if one.isfile()}
            assert {
                said
                for file, said in files.items()
                if not (kept := found.get(file)) or kept.read() != content
            } == set()
        for file in files:
            (work / file).write_bytes(content + b"more\n")
        shown = git.text("diff", "--numstat", cwd=work).splitlines()
        assert shown == [f"1\t0\t{file}" for file in files]


def test_a_repository_of_an_older_rig_has_its_trees_attributes_set_aside(store: Store) -> None:
    (git.repository(store) / "info" / "attributes").unlink()
    assert (git.repository(store) / "info" / "attributes").read_text() == git.ATTRIBUTES


def test_a_function_is_named_above_its_hunk(store: Store, kernel: Path) -> None:
    """As by the kernel's own .gitattributes, which are set aside with all others."""
    source = kernel / "mm" / "rmap.c"
    source.write_text("int first(int a)\n{\nlabel:\n" + "\tx();\n" * 6 + "}\n")
    commit = git.import_tree(store, kernel, "v6.12\n")
    with git.sparse_worktree(store, commit, ("mm/rmap.c",)) as work:
        (work / "mm" / "rmap.c").write_text(source.read_text().replace("}", "\treturn 0;\n}"))
        assert "@@ int first(int a)\n" in git.text("diff", cwd=work)


def test_a_line_that_is_said_can_be_pasted(
    store: Store, hostile: Path, events: list[Any], base: Base
) -> None:
    commit = git.text("rev-parse", f"{base.commit}^{{tree}}", cwd=git.repository(store))
    lines = [event.text for event in events if "rev-parse" in event.text]
    again = subprocess.run(["sh", "-c", lines[-1]], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == commit


def test_what_git_refuses_is_raised(store: Store) -> None:
    with pytest.raises(proc.CommandFailed, match="git ended with status 128"):
        git.git("rev-parse", "HEAD", cwd=store.root)
    assert git.git("rev-parse", "HEAD", cwd=store.root, check=False).status == 128


# linux.git


def test_blobs_are_read_byte_for_byte(store: Store, kernel: Path) -> None:
    contents = (b"", b"\n", b"a\0b\r\n", b"\xff\xfe\n\n", "ä\ufffd".encode())
    for number, content in enumerate(contents):
        (kernel / f"{number}").write_bytes(content)
    commit, repo = git.import_tree(store, kernel, "v6.12\n"), git.repository(store)
    names = [git.text("rev-parse", f"{commit}:{n}", cwd=repo) for n in range(len(contents))]
    assert git.blobs([*names, names[0]], repo) == dict(zip(names, contents, strict=True))


def test_the_repository_is_made_once(store: Store) -> None:
    path = git.repository(store)
    (path / "mine").touch()
    assert git.repository(store) == path == store.root / "linux.git"
    assert (path / "mine").is_file()


def test_a_repository_whose_maker_was_killed_is_made_again(store: Store) -> None:
    (store.root / "linux.git" / "refs").mkdir(parents=True)
    (store.root / "linux.git" / "config.lock").touch()
    (store.root / "linux.git" / "config").write_text("[half")
    assert git.text("rev-parse", "--is-bare-repository", cwd=git.repository(store)) == "true"


def test_a_commit_that_is_kept_survives_the_garbage_collection(store: Store, kernel: Path) -> None:
    kept = git.import_tree(store, kernel, "kept\n")
    lost = git.import_tree(store, kernel, "lost\n")
    git.keep(store, "trees/0123", kept)
    git.git("-c", "gc.pruneExpire=now", "gc", "--quiet", "--prune=now", cwd=git.repository(store))
    assert not git.git("cat-file", "-e", kept, cwd=git.repository(store), check=False).status
    assert git.git("cat-file", "-e", lost, cwd=git.repository(store), check=False).status


def test_a_lock_a_killed_rig_left_on_a_name_is_no_hindrance(store: Store, base: Base) -> None:
    lock = git.repository(store) / "refs" / "rig" / "trees" / "0123.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    git.keep(store, "trees/0123", base.commit)
    assert git.text("rev-parse", "refs/rig/trees/0123", cwd=git.repository(store)) == base.commit


# A repository of the user's


@pytest.fixture
def theirs(kernel: Path) -> Path:
    """The kernel as a git tree of the user's own, with one commit."""
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "mine"]):
        git.git(*words, cwd=kernel)
    return kernel


def listing(path: Path) -> dict[str, tuple[int, int]]:
    return {
        str(file): (file.lstat().st_mtime_ns, file.lstat().st_size)
        for file in sorted(path.rglob("*"))
    }


def test_what_is_borrowed_is_read_and_never_written(store: Store, theirs: Path) -> None:
    commit = git.text("rev-parse", "HEAD", cwd=theirs)
    before = listing(theirs)
    git.borrow(store, theirs)
    git.borrow(store, theirs)
    with git.sparse_worktree(store, commit, ("mm/rmap.c",)) as work:
        assert (work / "mm" / "rmap.c").read_text() == (theirs / "mm" / "rmap.c").read_text()
    alternates = git.repository(store) / "objects" / "info" / "alternates"
    assert alternates.read_text() == f"{theirs}/.git/objects\n"
    assert listing(theirs) == before


def test_a_worktree_of_the_users_lends_its_repositorys_objects(store: Store, theirs: Path) -> None:
    git.git("worktree", "add", "--quiet", "--detach", theirs.parent / "wt", cwd=theirs)
    git.borrow(store, theirs.parent / "wt")
    commit = git.text("rev-parse", "HEAD", cwd=theirs)
    assert not git.git("cat-file", "-e", commit, cwd=git.repository(store), check=False).status


def test_trees_whose_paths_end_alike_are_both_borrowed(store: Store, theirs: Path) -> None:
    """/a/linux and /linux: the one's line is the end of the other's."""
    alternates = git.repository(store) / "objects" / "info" / "alternates"
    alternates.write_text(f"/elsewhere{theirs}/.git/objects\n")
    git.borrow(store, theirs)
    assert alternates.read_text().splitlines()[1:] == [f"{theirs}/.git/objects"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_a_tree_that_is_somebody_elses_can_be_borrowed(store: Store, theirs: Path) -> None:
    """A container's checkout often is; git refuses those by default (CVE-2022-24765)."""
    for path in (theirs, theirs / ".git"):
        os.chown(path, 12345, 12345)
    git.borrow(store, theirs)


# What is fetched for a night

MAY_FETCH = {"GIT_ALLOW_PROTOCOL": "file"}


@pytest.fixture
def clone(theirs: Path) -> Path:
    """The user's clone of a repository, with a path from the clone's directory as its URL."""
    clone = theirs.with_name("clone")
    git.git("clone", "--quiet", theirs, clone, cwd=theirs.parent, env=MAY_FETCH)
    git.git("config", "remote.origin.url", f"../{theirs.name}", cwd=clone)
    return clone


def commit(tree: Path, branch: str = "") -> str:
    if branch:
        git.git("switch", "--quiet", "--create", branch, cwd=tree)
    (tree / "more").write_text(f"{time.time_ns()}\n")
    git.git("add", "more", cwd=tree)
    git.git("commit", "--quiet", "-m", "more", cwd=tree)
    return git.text("rev-parse", "HEAD", cwd=tree)


def test_a_remote_is_fetched_into_the_store_and_the_tree_stays(
    store: Store, theirs: Path, clone: Path
) -> None:
    main = git.text("branch", "--show-current", cwd=theirs)
    before, old = listing(clone), git.text("rev-parse", "HEAD", cwd=theirs)
    assert git.fetched(store, clone, "origin", f"origin/{main}") == ""
    moved = commit(theirs)
    new = commit(theirs, "new")
    git.fetch(store, clone, "origin")
    found = [
        git.fetched(store, clone, "origin", name)
        for name in (f"origin/{main}", "origin/new", "origin/new~2", "origin", "HEAD", main)
    ]
    assert found == [moved, new, old, moved, "", ""]
    assert not git.lacks(store, new)
    # A branch that is gone is gone; a lock of a killed git does not hinder.
    git.git("switch", "--quiet", main, cwd=theirs)
    git.git("branch", "--quiet", "-D", "new", cwd=theirs)
    newest = commit(theirs)
    (ref,) = (git.repository(store) / "refs").rglob(f"origin/{main}")
    ref.with_name(f"{main}.lock").touch()
    git.fetch(store, clone, "origin")
    assert git.fetched(store, clone, "origin", f"origin/{main}") == newest
    assert git.fetched(store, clone, "origin", "origin/new") == ""
    assert listing(clone) == before


def test_what_is_fetched_is_what_the_trees_configuration_says(
    store: Store, theirs: Path, clone: Path
) -> None:
    head = git.text("rev-parse", "HEAD", cwd=theirs)
    for name in ("mm/one", "mm/two", "net/one"):
        git.git("branch", "--quiet", name, cwd=theirs)
    git.git("config", "remote.origin.fetch", "+refs/heads/mm/*:refs/remotes/mm/*", cwd=clone)
    git.git("config", "--add", "remote.origin.fetch", "^refs/heads/mm/two", cwd=clone)
    git.git("config", "remote.origin.url", "kernel:tree", cwd=clone)
    git.git("config", f"url.{theirs.parent}/.insteadOf", "kernel:", cwd=clone)
    theirs.rename(theirs.with_name("tree"))
    git.fetch(store, clone, "origin")
    names = ("mm/one", "mm/two", "net/one", "origin/mm/one")
    found = [git.fetched(store, clone, "origin", name) for name in names]
    assert found == [head, "", "", ""]


def test_a_shallow_clone_is_fetched_from(store: Store, theirs: Path) -> None:
    main = git.text("branch", "--show-current", cwd=theirs)
    commit(theirs)
    clone = theirs.with_name("shallow")
    words = ("clone", "--quiet", "--depth=1", f"file://{theirs}")
    git.git(*words, clone, cwd=theirs.parent, env=MAY_FETCH)
    git.git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*", cwd=clone)
    git.git("branch", "--quiet", "older", "HEAD~1", cwd=theirs)
    for _ in range(2):
        moved = commit(theirs)
        git.fetch(store, clone, "origin")
        assert git.fetched(store, clone, "origin", f"origin/{main}") == moved
    assert not git.lacks(store, moved)


def test_what_the_tree_has_lost_is_fetched_again(store: Store, theirs: Path, clone: Path) -> None:
    """The user's branch was rebased, and `git gc` removed what the store had borrowed."""
    main = git.text("branch", "--show-current", cwd=theirs)
    old = git.text("rev-parse", "HEAD", cwd=theirs)
    fetched = commit(theirs)
    git.fetch(store, clone, "origin")
    git.git("rm", "--quiet", "-r", ".", cwd=theirs)
    (theirs / "other").write_text("x\n")
    git.git("add", "other", cwd=theirs)
    empty = git.text("commit-tree", git.text("write-tree", cwd=theirs), "-m", "x", cwd=theirs)
    git.git("update-ref", f"refs/heads/{main}", empty, cwd=theirs)
    git.git("fetch", "--quiet", "origin", cwd=clone, env=MAY_FETCH)
    git.git("reset", "--quiet", "--hard", f"origin/{main}", cwd=clone)
    git.git("reflog", "expire", "--expire=now", "--all", cwd=clone)
    git.git("gc", "--quiet", "--prune=now", cwd=clone)
    assert git.lacks(store, old), "the test shows nothing"
    git.git("reset", "--quiet", "--hard", fetched, cwd=theirs)
    new = commit(theirs)
    git.fetch(store, clone, "origin")
    assert git.fetched(store, clone, "origin", f"origin/{main}") == new
    with git.sparse_worktree(store, new, ("mm/rmap.c",)) as work:
        assert (work / "mm" / "rmap.c").read_text() == (theirs / "mm" / "rmap.c").read_text()


def test_a_remote_that_is_not_there_is_said(store: Store, clone: Path, theirs: Path) -> None:
    theirs.rename(theirs.with_name("elsewhere"))
    with pytest.raises(InfraError, match=r"^git fetch origin: .* does not appear"):
        git.fetch(store, clone, "origin")
    with pytest.raises(InfraError, match="git fetch nonsense: "):
        git.fetch(store, clone, "nonsense")


# Throw-away work trees


def test_a_tree_runs_no_command_to_fetch_what_it_lacks(theirs: Path, tmp_path: Path) -> None:
    """What a partial clone lacks is fetched by the command in its configuration, which may be
    somebody else's. A mail names the commit."""
    lacking, evil = "0123456789" * 4, tmp_path / "evil"
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": "ssh://example.org/linux",
        "core.sshCommand": f"touch {evil}; false",
    }.items():
        git.git("config", key, value, cwd=theirs)
    words = ["git", "-c", "safe.directory=*", "cat-file", "-e", lacking]
    proc.run(words, cwd=theirs, check=False)
    assert evil.exists(), "or the attempt proves nothing"
    evil.unlink()
    assert base.commit_of(theirs, lacking) == ""
    assert not base.in_history(theirs, lacking)
    assert not evil.exists()


def worktrees(store: Store) -> list[str]:
    shown = git.text("worktree", "list", "--porcelain", cwd=git.repository(store))
    return [line for line in shown.splitlines() if line.startswith("worktree ")][1:]


def test_a_sparse_worktree_holds_what_is_named_and_is_gone_afterwards(
    store: Store, base: Base
) -> None:
    with git.sparse_worktree(store, base.commit, ("mm/rmap.c", "mm/Makefile", "gone.c")) as work:
        files = {str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()}
        assert files == {".git", "mm/rmap.c", "mm/Makefile"}
        assert git.text("status", "--porcelain", cwd=work) == ""
        assert git.text("rev-parse", "HEAD", cwd=work) == base.commit
        assert len(worktrees(store)) == 1
    assert worktrees(store) == []
    assert list((git.repository(store) / "worktrees").glob("*")) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_names_are_no_patterns_in_a_sparse_worktree(store: Store, kernel: Path) -> None:
    odd = ("mm/[r].c", "mm/a b ", "mm/*", "mm/\\x")
    for name in odd:
        (kernel / name).write_text("x\n")
    commit = git.import_tree(store, kernel, "v6.12\n")
    with git.sparse_worktree(store, commit, (*odd, "*", "m?/rmap.c", "x\n/*", "\udcff")) as work:
        files = {str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()}
        assert files == {".git", *odd}


def test_a_sparse_worktree_is_gone_after_an_error(store: Store, base: Base) -> None:
    with pytest.raises(KeyboardInterrupt), git.sparse_worktree(store, base.commit, ("init.c",)):
        raise KeyboardInterrupt
    assert list((git.repository(store) / "worktrees").glob("*")) == []
    assert list((store.root / "tmp").iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from rig import git
from rig.store import Store
with git.sparse_worktree(Store(Path(sys.argv[1])), sys.argv[2], ("init.c",)):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_rig_left_is_pruned(
    store: Store, base: Base, script: Callable[..., Any]
) -> None:
    assert script(KILLED, store.root, base.commit).wait(120) == -signal.SIGKILL
    (left,) = (git.repository(store) / "worktrees").iterdir()
    (left / "locked").write_text("initializing\n")  # as `git worktree add` has it while it works
    with git.sparse_worktree(store, base.commit, ("init.c",)):
        assert len(worktrees(store)) == 1
        assert len(list((store.root / "tmp").iterdir())) == 1
    assert list((git.repository(store) / "worktrees").glob("*")) == []
