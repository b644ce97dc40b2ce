# SPDX-License-Identifier: GPL-2.0-only
"""The one way git is called, and the rig's own repository of kernel trees in the store."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rig import proc
from rig.store import Store, write_whole

# Nothing of the user's configuration (hooks, signing, aliases, autocrlf) may change a tree, and the
# same input must give the same commit, whoever runs it.
ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "rig",
    "GIT_AUTHOR_EMAIL": "rig@localhost",
    "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "rig",
    "GIT_COMMITTER_EMAIL": "rig@localhost",
    "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z",
}
# `git rev-parse --local-env-vars` and the like. A hook, or `git rebase --exec`, runs us with the
# repository it is about in GIT_DIR.
STRAYS = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
    *("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_ATTR_SOURCE", "GIT_TEMPLATE_DIR"),
    *("GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE"),
)
SETTINGS = {
    "core.hooksPath": "/dev/null",
    # Read from the home directory even where no configuration is (gitattributes(5)).
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    # No file system of another machine takes a path of a tree for .git.
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "commit.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "core.fsync": "none",
    "core.looseCompression": "1",
    "advice.detachedHead": "false",
    "safe.directory": "*",
}
# A tree's own .gitattributes say what a checkout, an archive or a merge makes of a file: what is
# compiled would not be what was reviewed. info/attributes outranks them (gitattributes(5)).
ATTRIBUTES = """\
* -text -ident -export-subst -export-ignore
* !crlf !eol !filter !working-tree-encoding !diff !merge !conflict-marker-size !whitespace
*.[ch] diff=cpp
*.dts diff=dts
*.dts[io] diff=dts
*.rs diff=rust
"""
PATTERN = re.compile(r"[\\*?\[ ]")
"""What has a meaning in a line of gitignore(5)."""


def git(
    *args: str | Path,
    cwd: Path,
    check: bool = True,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    exact: bool = False,
) -> proc.Done:
    settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
    strays = (name for name in STRAYS if name in os.environ and name not in (env or {}))
    unset = [word for name in strays for word in ("-u", name)]
    argv = [*(["env", *unset] if unset else []), "git", *settings, *args]
    environment = {**ENV, **(env or {})}
    return proc.run(
        argv, cwd=cwd, check=check, stdin=stdin, env=environment, deadline=900, exact=exact
    )


def text(*args: str | Path, cwd: Path) -> str:
    """What a git command prints, stripped."""
    return git(*args, cwd=cwd).stdout.strip()


def blobs(names: Iterable[str], cwd: Path) -> dict[str, bytes]:
    """What is in each of these blobs."""
    wanted = tuple(dict.fromkeys(names))
    said = git("cat-file", "--batch", cwd=cwd, stdin="\n".join(wanted).encode(), exact=True)
    data, found, at = said.stdout.encode("utf-8", "surrogateescape"), {}, 0
    for name in wanted:
        begin = data.index(b"\n", at) + 1  # after "NAME blob SIZE"
        end = begin + int(data[at:begin].split()[2])
        found[name], at = data[begin:end], end + 1
    return found


def repository(store: Store) -> Path:
    """The rig's bare linux.git, made on first use; no tree in it has attributes of its own."""
    path = store.root / "linux.git"
    if not (path / "rig-ready").is_file():
        with store.lock("linux.git"):
            if not (path / "rig-ready").is_file():
                shutil.rmtree(path, ignore_errors=True)  # of a rig that was killed
                git("init", "--quiet", "--bare", path, cwd=store.root)
                (path / "rig-ready").touch()
    attributes = path / "info" / "attributes"
    if not attributes.is_file() or attributes.read_text() != ATTRIBUTES:
        attributes.parent.mkdir(exist_ok=True)
        write_whole(attributes, ATTRIBUTES.encode())
    return path


def import_tree(store: Store, directory: Path, message: str) -> str:
    """Commit a plain directory into linux.git and return the commit."""
    repo = repository(store)
    env = {"GIT_DIR": str(repo), "GIT_WORK_TREE": str(directory)}
    with store.scratch() as scratch:
        env["GIT_INDEX_FILE"] = str(scratch / "index")
        git("add", "--all", "--force", ".", cwd=directory, env=env)
        tree = git("write-tree", cwd=directory, env=env).stdout.strip()
        done = git("commit-tree", tree, cwd=directory, env=env, stdin=message.encode())
    return done.stdout.strip()


def borrow(store: Store, tree: Path) -> None:
    """Let linux.git read the objects of a user's repository, which is never written to."""
    common = Path(text("rev-parse", "--path-format=absolute", "--git-common-dir", cwd=tree))
    repo = repository(store)
    alternates = repo / "objects" / "info" / "alternates"
    line = f"{common / 'objects'}\n"
    with store.lock("linux.git"):
        known = alternates.read_text() if alternates.is_file() else ""
        if line not in known.splitlines(keepends=True):
            write_whole(alternates, (known + line).encode())


def keep(store: Store, name: str, commit: str) -> None:
    """Name a commit, so that no garbage collection takes it.

    The caller holds the lock of what it is named after: a lock of git's is a killed rig's.
    """
    (repository(store) / "refs" / "rig" / f"{name}.lock").unlink(missing_ok=True)
    git("update-ref", f"refs/rig/{name}", commit, cwd=repository(store))


def prune(store: Store) -> None:
    """Forget work trees that are gone; the caller holds the lock of linux.git."""
    repo = repository(store)
    # `git worktree add` locks what it is adding: nobody is adding now, so it was killed.
    for stale in (repo / "worktrees").glob("*/locked"):
        stale.unlink()
    git("worktree", "prune", cwd=repo)


@contextlib.contextmanager
def sparse_worktree(store: Store, commit: str, files: tuple[str, ...]) -> Iterator[Path]:
    """A throw-away work tree of `commit` that holds only `files` (85,000 others are not needed)."""
    repo = repository(store)
    with store.lock("linux.git"), store.scratch() as scratch:
        path = scratch / "wt"
        prune(store)
        git("worktree", "add", "--quiet", "--detach", "--no-checkout", path, commit, cwd=repo)
        try:
            names = (PATTERN.sub(r"\\\g<0>", file) for file in files if file.isprintable())
            patterns = "".join(f"/{name}\n" for name in names)
            git("sparse-checkout", "set", "--no-cone", "--stdin", cwd=path, stdin=patterns.encode())
            git("read-tree", "-mu", "HEAD", cwd=path)
            yield path
        finally:
            git("worktree", "remove", "--force", path, cwd=repo, check=False)
