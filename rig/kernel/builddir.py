# SPDX-License-Identifier: GPL-2.0-only
"""Where kernels are made: a work tree and an O= directory for each (architecture, flavour, base).

Going from one tree to the next in a lane is a `git checkout`, so make sees only the files that
differ. A series gets a copy of the O= directory: what its Makefiles put there reaches no other
series' kernel.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig import git, log, proc
from rig.arch import Arch
from rig.errors import BuildError
from rig.kernel import sandbox
from rig.kernel.sandbox import Box
from rig.kernel.tree import KernelTree
from rig.store import Store

OWNER, KILLED = "of", "building"
"""Whose a series' objects are; there while make runs, and after it was killed."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """A lane that is held, with a tree checked out in `src`."""

    place: Path
    out: Path
    """The O= directory on the host; make sees it as `place/out`."""
    series: str
    """Digest of the series whose own `out` is; empty for a tree that is trusted."""

    @property
    def source(self) -> Path:
        return self.place / "src"

    @property
    def given(self) -> Path:
        """Files for make that make cannot write."""
        return self.place / "given"

    def box(self, *more: Path) -> Box:
        """What make sees: the source, `given` and `more` to read; its output to write."""
        out, cache = self.place / "out", self.place / "ccache"
        read = (self.source, self.given, *more)
        if self.series:
            return Box(read=(*read, cache), over=((self.out, out),), env=environment(cache, True))
        return Box(read=read, write=(out, cache), env=environment(cache, False))

    @contextmanager
    def making(self) -> Iterator[None]:
        """A make that is killed in here leaves objects that nobody may trust.

        A make that fails has come to its end: the caller raises BuildError for it, nothing else.
        """
        self._mark()
        try:
            yield
        except BuildError:
            self._unmark()
            raise
        self._unmark()

    def _mark(self) -> None:
        if self.series:
            (self.out.parent / OWNER).unlink(missing_ok=True)
        else:
            (self.place / KILLED).touch()

    def _unmark(self) -> None:
        if self.series:
            (self.out.parent / OWNER).write_text(self.series)
        else:
            (self.place / KILLED).unlink()


@contextmanager
def held(store: Store, name: str, tree: KernelTree) -> Iterator[Lane]:
    """The lane, locked, with the tree checked out."""
    confined = not sandbox.broken()
    place = store.root / "lanes" / (name if confined else f"{name}-unconfined")
    with store.lock(f"lane-{place.name}"):
        for directory in ("out", "ccache", "given"):
            (place / directory).mkdir(parents=True, exist_ok=True)
        marker = place / "checked-out"
        before = marker.read_text() if marker.is_file() else ""
        if before != tree.commit:
            with log.step(f"Checking out {tree.label}"):
                marker.unlink(missing_ok=True)
                if not (before and _step(place / "src", before, tree.commit)):
                    _check_out(store, place, tree.commit)
                marker.write_text(tree.commit)
        if (place / KILLED).is_file():
            _tidy(place / "out")
        series = tree.series if confined else ""
        out = _copy_for(place, series) if series else place / "out"
        yield Lane(place=place, out=out, series=series)


def compiled(store: Store, name: str) -> bool:
    """Whether a lane has objects that the next build can start from."""
    return (store.root / "lanes" / name / "out" / "vmlinux").is_file()


def _copy_for(place: Path, series: str) -> Path:
    """The series' own copy of the objects. It is kept for the next patch of the same series."""
    own = place / "series"
    owner = own / OWNER
    if not owner.is_file() or owner.read_text() != series:
        sandbox.remove(own)
        own.mkdir(mode=0o700)  # what is set-uid in there is nobody else's to run
        proc.run(["cp", "--archive", "--reflink=auto", place / "out", own / "out"])
        owner.write_text(series)
    return own / "out"


def _tidy(out: Path) -> None:
    """Remove what a killed make may have left half written: make goes by time stamps alone.

    Kbuild writes .X.cmd when X is whole, and makes X again where there is none or where the command
    has changed (scripts/Kbuild.include: if_changed). The youngest may be half written themselves.
    """
    times = {command: command.stat().st_mtime_ns for command in out.rglob(".*.cmd")}
    young = max(times.values(), default=0) - 2_000_000_000
    for command, when in times.items():
        made = command.with_name(command.name[1:-4])
        if when > young or (made.is_file() and made.stat().st_mtime_ns > when):
            made.unlink(missing_ok=True)
            command.unlink()


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


def jobs() -> int:
    return proc.cpus() + 1


def make_command(arch: Arch, lane: Path, *targets: str) -> list[str]:
    settings = {
        "O": str(lane / "out"),
        "ARCH": arch.kernel,
        "CROSS_COMPILE": "" if arch.is_host() else arch.cross,
        **SETTINGS,
    }
    if Path(sandbox.tool("ccache")).is_absolute():
        settings["CC"] = f"ccache {arch.tool('gcc')}"
    words = (f"{k}={v}" for k, v in settings.items())
    return ["make", "-C", str(lane / "src"), f"-j{jobs()}", *words, *targets]


def environment(cache: Path, series: bool) -> dict[str, str]:
    """ccache's. A series takes from the lane's cache and puts nothing in."""
    own = {"CCACHE_READONLY": "1", "CCACHE_TEMPDIR": "/tmp"}
    return {
        "CCACHE_DIR": str(cache),
        "CCACHE_MAXSIZE": "3G",
        "CCACHE_DEPEND": "1",
        **(own if series else {"CCACHE_TEMPDIR": str(cache / "tmp")}),
    }
