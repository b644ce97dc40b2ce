# SPDX-License-Identifier: GPL-2.0-only
"""Where kernels are made: a work tree and an O= directory for each (architecture, flavour, base).

Going from one tree to the next in a lane is a `git checkout`, so make sees only the files that
differ.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig import git, log, proc
from rig.arch import Arch
from rig.store import Store
from rig.tree import KernelTree

WRITABLE = ("out", "ccache")
"""What of a lane a build may write: the next build in it begins with the source it is given."""
FEW = 100
"""Files that are gone to one by one."""
# The same content gives the same bytes (Documentation/kbuild/reproducible-builds.rst).
SETTINGS = {
    # Lines are all that stacks need: 6 % less to compile than what DEBUG_INFO_REDUCED gives.
    "KCFLAGS": "-g1",
    "KBUILD_BUILD_TIMESTAMP": "2020-01-01T00:00:00Z",
    "KBUILD_BUILD_USER": "rig",
    "KBUILD_BUILD_HOST": "rig",
    "KBUILD_BUILD_VERSION": "1",
    "LOCALVERSION": "-rig",
}


@contextmanager
def held(store: Store, name: str, tree: KernelTree) -> Iterator[Path]:
    """The lane, locked, with the tree checked out in `src`; builds go to `out`."""
    place = store.root / "lanes" / name
    with store.lock(f"lane-{name}"):
        for writable in WRITABLE:
            (place / writable).mkdir(parents=True, exist_ok=True)
        marker = place / "checked-out"
        before = marker.read_text() if marker.is_file() else ""
        if before != tree.commit:
            with log.step(f"Checking out {tree.label}"):
                marker.unlink(missing_ok=True)
                if not (before and _step(place / "src", before, tree.commit)):
                    _check_out(store, place, tree.commit)
                marker.write_text(tree.commit)
        yield place


def _step(source: Path, before: str, commit: str) -> bool:
    """Go on to a tree that differs in a few files; False where it differs in more.

    A checkout looks at all 85,000 files first, which takes longer than a rig build may.
    """
    differs = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", before, commit)
    names = git.git(*differs, cwd=source, check=False).stdout
    if not 0 < names.count("\0") <= FEW:
        return False
    files = ("--pathspec-from-file=-", "--pathspec-file-nul")
    restore = ("--literal-pathspecs", "restore", f"--source={commit}", "--staged", "--worktree")
    done = git.git(*restore, *files, cwd=source, stdin=names.encode(), check=False)
    if done.status == 0:
        git.git("update-ref", "--no-deref", "HEAD", commit, cwd=source)
    return done.status == 0


def _check_out(store: Store, place: Path, commit: str) -> None:
    repo, source = git.repository(store), place / "src"
    if not (place / "ready").is_file():
        shutil.rmtree(source, ignore_errors=True)
        with store.lock("linux.git"):
            git.prune(store)
            add = ("worktree", "add", "--quiet", "--detach", "--no-checkout")
            git.git(*add, source, commit, cwd=repo)
        (place / "ready").touch()
    for stale in (repo / "worktrees").glob("*/*.lock"):
        # Left by a rig that was killed in the middle: we hold the lane, so nobody else's.
        if _worktree_of(stale.parent) == source:
            stale.unlink()
    git.git("checkout", "--quiet", "--force", "--detach", commit, cwd=source)


def _worktree_of(admin: Path) -> Path:
    return Path((admin / "gitdir").read_text().strip()).parent


def sandbox(lane: Path) -> list[str]:
    """What a command runs under: no network, nothing writable but the lane's output.

    A series may edit Makefiles and host scripts, so building it is running it.
    """
    if proc.which("bwrap") is None:
        return []
    argv = [
        "bwrap", "--die-with-parent", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev",
        "--proc", "/proc", "--tmpfs", "/tmp", "--ro-bind", str(lane), str(lane),
        *(word for name in WRITABLE for word in ("--bind", str(lane / name), str(lane / name))),
        "--chdir", str(lane),
    ]  # fmt: skip
    return argv if proc.run([*argv, "true"], check=False).status == 0 else []


def jobs() -> int:
    return (os.cpu_count() or 1) + 1


def make_command(arch: Arch, lane: Path, *targets: str) -> list[str]:
    settings = {
        "O": str(lane / "out"),
        "ARCH": arch.kernel,
        "CROSS_COMPILE": "" if arch.is_host() else arch.cross,
        **SETTINGS,
    }
    if proc.which("ccache"):
        settings["CC"] = f"ccache {arch.tool('gcc')}"
    words = (f"{k}={v}" for k, v in settings.items())
    return ["make", "-C", str(lane / "src"), f"-j{jobs()}", *words, *targets]


def environment(lane: Path) -> dict[str, str]:
    """ccache's, with a cache of the lane's own: a series' Makefile can put things there."""
    cache = lane / "ccache"
    return {
        "CCACHE_DIR": str(cache),
        "CCACHE_TEMPDIR": str(cache / "tmp"),
        "CCACHE_MAXSIZE": "3G",
        "CCACHE_DEPEND": "1",
    }
