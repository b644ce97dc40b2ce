# SPDX-License-Identifier: GPL-2.0-only
"""Runs git, and keeps kernel trees in the rig's own repository, linux.git in the store."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rig import log, proc
from rig.errors import InfraError
from rig.store import Store, digest, write_whole

# The user's configuration (hooks, signing, aliases, autocrlf) must not change a tree, and the same
# input must give the same commit for every user.
ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    # A tree's own configuration can say that missing objects are fetched from somewhere, and by
    # which command. A mail can name an object that is missing. Older gits know only the second.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_AUTHOR_NAME": "rig",
    "GIT_AUTHOR_EMAIL": "rig@localhost",
    "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "rig",
    "GIT_COMMITTER_EMAIL": "rig@localhost",
    "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z",
}
# Variables that are unset: those of `git rev-parse --local-env-vars` and similar ones. If a hook or
# `git rebase --exec` runs the rig, GIT_DIR names the repository of that hook.
STRAYS = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
    *("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_ATTR_SOURCE", "GIT_TEMPLATE_DIR"),
    *("GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE"),
)
SETTINGS = {
    "core.hooksPath": "/dev/null",
    # git reads these from the home directory even without any configuration (gitattributes(5)).
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    # Refuse paths that another machine's file system would take for .git.
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
# A tree's own .gitattributes can change files on checkout, in an archive and in a merge: then the
# compiled source is not the reviewed source. info/attributes overrides them (gitattributes(5)).
ATTRIBUTES = """\
* -text -ident -export-subst -export-ignore
* !crlf !eol !filter !working-tree-encoding !diff !merge !conflict-marker-size !whitespace
*.[ch] diff=cpp
*.dts diff=dts
*.dts[io] diff=dts
*.rs diff=rust
"""
FETCH = 3600.0
"""Seconds. A tree that was not fetched for months takes a while."""
FETCHED = "refs/rig/fetched"
READY = "rig-ready"
LOST = re.compile(
    r"bad object|unable to read (?:tree|sha1)|unable to find [0-9a-f]{40}|invalid object"
    r"|missing blob|Could not read [0-9a-f]{40}|unable to read [0-9a-f]{40}"
)
LACKS = "git objects are missing: a tree given by --tree was removed, or lost them by `git gc`"
WAY_OUT = (
    "give that --tree again; or remove linux.git and lanes/ from the store, and they are made again"
)
PATTERN = re.compile(r"[\\*?\[ ]")
"""Characters with a meaning in a pattern of gitignore(5)."""


def git(
    *args: str | Path,
    cwd: Path,
    check: bool = True,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    exact: bool = False,
) -> proc.Done:
    settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
    stray_names = (name for name in STRAYS if name in os.environ and name not in (env or {}))
    unset = [word for name in stray_names for word in ("-u", name)]
    argv = [*(["env", *unset] if unset else []), "git", *settings, *args]
    environment = {**ENV, **(env or {})}
    result = proc.run(
        argv, cwd=cwd, check=False, stdin=stdin, env=environment, deadline=900, exact=exact
    )
    # A caller without `check` expects an answer of git's, which "no" is and a full disk is not.
    if fault := proc.fault(result):
        raise fault
    if check and result.status:
        failure = proc.CommandFailed(result, proc.paste(argv, cwd, environment))
        if LOST.search(result.stderr):
            raise InfraError(LACKS, hint=WAY_OUT, detail=failure.detail) from failure
        raise failure
    return result


def text(*args: str | Path, cwd: Path) -> str:
    """The output of a git command, stripped."""
    return git(*args, cwd=cwd).stdout.strip()


def fetch(store: Store, tree: Path, remote: str, *, tags: bool = False) -> None:
    """Fetch a remote of the user's tree into linux.git; the tree itself is only read.

    The configuration is the user's and the tree's: it says how the remote is reached, and which
    branches are fetched. fetched() finds them.

    Nobody else fetches the same remote at this time: the caller sees to that.
    """
    borrow(store, tree)
    repo, common = repository(store), _common(tree)
    place = _place(common / "objects", remote)
    for stale in (repo / place).rglob("*.lock"):  # left by a rig that was killed
        stale.unlink()
    # git tells the remote that it has what it fetched last. If that was on top of commits that the
    # tree has lost since then, the remote must not believe it.
    branches = (f"{place}/heads", f"{place}/remotes")
    tips = text("for-each-ref", "--format=%(objectname)", *branches, cwd=repo).split()
    if not _has_files(repo, tips):
        _forget_refs(repo, place)
    configured = git("config", "--get-all", f"remote.{remote}.fetch", cwd=tree, check=False)
    wanted = configured.stdout.split() or [f"+refs/heads/*:refs/remotes/{remote}/*"]
    refspecs = [
        re.sub(":(refs/)?", f":{place}/", each) for each in wanted if each[0] == "^" or ":" in each
    ]
    refspecs += [f"+refs/tags/*:{place}/tags/*"] * tags
    unset = [word for name in STRAYS for word in ("-u", name)]
    settings = {"include.path": f"{common / 'config'}", **SETTINGS}
    words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    how = ("--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--refmap=")
    argv = ["env", *unset, "git", f"--git-dir={repo}", *words, "fetch", *how, "--", remote]
    environment = {"GIT_TERMINAL_PROMPT": "0"}
    if (common / "shallow").is_file():
        argv.insert(1 + len(unset), f"GIT_SHALLOW_FILE={common / 'shallow'}")
    done = proc.run([*argv, *refspecs], cwd=tree, env=environment, deadline=FETCH, check=False)
    if fault := proc.fault(done):
        raise fault
    if done.status:
        line = proc.paste(done.argv, tree, environment)
        why = re.search(r"(?m)^(?:fatal|error): (.*)", done.stderr)
        raise InfraError(
            f"git fetch {remote}: {why[1] if why else f'it ended with status {done.status}'}",
            hint=f"run it by hand: {line}",
            detail=done.stderr.strip(),
        )


def fetched(store: Store, tree: Path, remote: str, name: str) -> str:
    """The commit of a revision of the user's tree, if fetch() has fetched its branch or tag."""
    ref = git("rev-parse", "--symbolic-full-name", name, cwd=tree, check=False).stdout.strip()
    if not ref.startswith("refs/"):  # a branch that is new at the remote, or origin/mm~3
        ref = name if name.startswith("refs/") else f"refs/remotes/{name}"
    fetched_ref = f"{_place(_common(tree) / 'objects', remote)}/{ref.removeprefix('refs/')}"
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{fetched_ref}^{{commit}}")
    return git(*words, cwd=repository(store), check=False).stdout.strip()


def fetched_tags(store: Store, tree: Path, remote: str, pattern: str) -> list[str]:
    """The names of the tags that fetch() has fetched and that match a pattern."""
    place = f"{_place(_common(tree) / 'objects', remote)}/tags/"
    words = ("for-each-ref", "--format=%(refname)", place + pattern)
    lines = text(*words, cwd=repository(store)).splitlines()
    return [line.removeprefix(place) for line in lines]


def _place(objects: str | Path, remote: str = "") -> str:
    """Where the refs are that were fetched for a tree with these objects, or for a remote of it."""
    place = f"{FETCHED}/{digest({'objects': str(objects)})}"
    return f"{place}/{remote}" if remote else place


def _common(tree: Path) -> Path:
    """The .git directory of a tree, also if the tree is a work tree of another one."""
    return Path(text("rev-parse", "--path-format=absolute", "--git-common-dir", cwd=tree))


def blobs(names: Iterable[str], cwd: Path) -> dict[str, bytes]:
    """The content of each of these blobs."""
    distinct = tuple(dict.fromkeys(names))
    output = git("cat-file", "--batch", cwd=cwd, stdin="\n".join(distinct).encode(), exact=True)
    stream, contents, position = output.stdout.encode("utf-8", "surrogateescape"), {}, 0
    for name in distinct:
        start = stream.index(b"\n", position) + 1  # after "NAME blob SIZE"
        end = start + int(stream[position:start].split()[2])
        contents[name], position = stream[start:end], end + 1
    return contents


def repository(store: Store) -> Path:
    """The rig's bare linux.git, made on first use. It ignores the .gitattributes of its trees."""
    path = store.root / "linux.git"
    if not _is_whole(path):
        with store.lock("linux.git"):
            if not _is_whole(path):
                if (path / READY).is_file():
                    log.note("linux.git in the store is damaged: making it again")
                shutil.rmtree(path, ignore_errors=True)  # left by a rig that was killed
                git("init", "--quiet", "--bare", path, cwd=store.root)
                (path / READY).touch()
    attributes = path / "info" / "attributes"
    if not attributes.is_file() or attributes.read_bytes() != ATTRIBUTES.encode():
        attributes.parent.mkdir(exist_ok=True)
        write_whole(attributes, ATTRIBUTES.encode())
    return path


def _is_whole(path: Path) -> bool:
    head = path / "HEAD"
    empty = not head.is_file() or not head.stat().st_size
    return (path / READY).is_file() and not empty and (path / "objects").is_dir()


def import_tree(store: Store, directory: Path, message: str) -> str:
    """Commit a plain directory into linux.git and return the commit.

    git does not write an object that a borrowed tree has already. So all are written to an empty
    directory first: the commit must outlive the user's tree.
    """
    repo = repository(store)
    env = {"GIT_DIR": str(repo), "GIT_WORK_TREE": str(directory)}
    with store.scratch() as scratch:
        objects = scratch / "objects"
        objects.mkdir()
        env |= {"GIT_INDEX_FILE": str(scratch / "index"), "GIT_OBJECT_DIRECTORY": str(objects)}
        git("add", "--all", "--force", ".", cwd=directory, env=env)
        tree = git("write-tree", cwd=directory, env=env).stdout.strip()
        result = git("commit-tree", tree, cwd=directory, env=env, stdin=message.encode())
        for path in objects.glob("??/*"):
            target = repo / "objects" / path.parent.name / path.name
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
    return result.stdout.strip()


def borrow(store: Store, tree: Path) -> None:
    """Let linux.git read the objects of a user's repository. Nothing is written there."""
    common, repo = _common(tree), repository(store)
    if common.resolve() == repo.resolve():  # the tree is the rig's own
        return
    with store.lock("linux.git"):
        lines = _alternates(repo)
        if (line := f"{common / 'objects'}") not in lines:
            _write_alternates(repo, (*lines, line))


def _alternates(repo: Path) -> tuple[str, ...]:
    """The directories of objects that linux.git borrows."""
    file = repo / "objects" / "info" / "alternates"
    return tuple(os.fsdecode(file.read_bytes()).splitlines()) if file.is_file() else ()


def _write_alternates(repo: Path, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    write_whole(repo / "objects" / "info" / "alternates", os.fsencode(text))


def vanished(store: Store) -> tuple[str, ...]:
    """The directories that linux.git borrows objects from and that are not there any more."""
    lines = _alternates(store.root / "linux.git")
    return tuple(line for line in lines if line.startswith("/") and not Path(line).is_dir())


def is_complete(store: Store) -> bool:
    """Whether linux.git has all objects of the trees that its refs and its work trees name.

    Their history is not looked at, which is a borrowed tree's; nor is what was only fetched.
    """
    repo = store.root / "linux.git"
    heads = [
        head.read_text(errors="replace").strip() for head in (repo / "worktrees").glob("*/HEAD")
    ]
    refs = git("for-each-ref", "--format=%(objectname) %(refname)", cwd=repo, check=False)
    lines = [line.split() for line in refs.stdout.splitlines()]
    kept = [name for name, ref in lines if not ref.startswith(f"{FETCHED}/")]
    return not refs.status and _has_files(repo, (*kept, *heads))


def _has_files(repo: Path, commits: Iterable[str]) -> bool:
    """Whether the repository has all files of these commits."""
    names = "\n".join(dict.fromkeys(commits))
    words = ("rev-list", "--objects", "--no-walk", "--missing=print", "--stdin")
    listed = git(*words, cwd=repo, check=False, stdin=f"{names}\n".encode())
    return not listed.status and not re.search(r"(?m)^\?", listed.stdout)


def forget(store: Store, gone: Iterable[str]) -> None:
    """Stop borrowing from these directories, whose remotes are not fetched any more; the caller
    holds the lock of linux.git."""
    repo, gone = store.root / "linux.git", set(gone)
    for line in gone:
        _forget_refs(repo, _place(line))
    _write_alternates(repo, (line for line in _alternates(repo) if line not in gone))


def _forget_refs(repo: Path, place: str) -> None:
    refs = git("for-each-ref", "--format=delete %(refname)", place, cwd=repo).stdout
    git("update-ref", "--stdin", cwd=repo, stdin=refs.encode())


def release(store: Store, name: str) -> None:
    """Remove the ref that keep() has made. The caller holds the rig's lock for this name."""
    (repository(store) / "refs" / "rig" / f"{name}.lock").unlink(missing_ok=True)
    git("update-ref", "-d", f"refs/rig/{name}", cwd=repository(store))


def lacks(store: Store, *commits: str) -> str:
    """What is wrong if linux.git does not have all of these commits and their trees; or ""."""
    query = "".join(f"{commit}^{{tree}}\n" for commit in commits).encode()
    result = git("cat-file", "--batch-check", cwd=repository(store), stdin=query, check=False)
    present = sum(line.split()[1:2] == ["tree"] for line in result.stdout.splitlines())
    return "" if present == len(commits) else "linux.git does not have its commit"


def lacks_changes(store: Store, before: str, after: str) -> str:
    """The same for a commit that was made on top of another: also what it changes must be there.
    git did not write what a borrowed tree had at that time."""
    if why := lacks(store, after):
        return why
    repo = repository(store)
    words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", before, after)
    changes = git(*words, cwd=repo, check=False, exact=True)
    rows = (row.split(" ") for row in changes.stdout.split("\0") if row.startswith(":"))
    blobs = "".join(f"{row[3]}\n" for row in rows if row[1] in ("100644", "100755", "120000"))
    present = git("cat-file", "--batch-check", cwd=repo, stdin=blobs.encode(), check=False)
    gone = changes.status or " missing\n" in present.stdout
    return "linux.git does not have all of its files" if gone else ""


def keep(store: Store, name: str, commit: str) -> None:
    """Make a ref for a commit, so that it is never garbage-collected.

    The caller holds the rig's lock for this name. So a lock file of git's is left by a rig that was
    killed, and is removed.
    """
    (repository(store) / "refs" / "rig" / f"{name}.lock").unlink(missing_ok=True)
    git("update-ref", f"refs/rig/{name}", commit, cwd=repository(store))


def kept(store: Store, kind: str) -> list[str]:
    """The names of a kind that keep() has made a ref for."""
    words = ("for-each-ref", "--format=%(refname:lstrip=3)", f"refs/rig/{kind}/")
    return git(*words, cwd=repository(store), check=False).stdout.split()


def prune(store: Store) -> None:
    """Remove git's records of work trees that are gone; the caller holds the lock of linux.git."""
    repo = repository(store)
    # `git worktree add` locks the work tree it adds. We hold the lock, so the one that made this
    # file was killed.
    for stale in (repo / "worktrees").glob("*/locked"):
        stale.unlink()
    git("worktree", "prune", cwd=repo)


@contextlib.contextmanager
def sparse_worktree(store: Store, commit: str, files: tuple[str, ...]) -> Iterator[Path]:
    """A temporary work tree of `commit` with only `files` in it: a kernel tree has 85,000."""
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
