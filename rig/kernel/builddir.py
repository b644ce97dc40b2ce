# SPDX-License-Identifier: GPL-2.0-only
"""Lanes: a work tree and an O= directory for each (architecture, flavour, base).

A lane goes from one tree to the next by `git checkout`, so make sees only the files that differ. A
series gets a copy of the O= directory, so that what its Makefiles write there cannot get into the
kernel of another series.

make prints the warnings of the files that it compiles, not of those that are compiled already. So
the lane keeps the names of the files that had a warning, and the next make compiles them again.
Then it has printed the warnings of the whole kernel. An object that is gone, or that another
configuration does not have, is not compiled and has none.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig import git, log, proc
from rig.arch import Arch
from rig.errors import BuildError
from rig.kernel import sandbox
from rig.kernel.sandbox import Box
from rig.kernel.tree import KernelTree
from rig.store import Store, write_whole

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
OWNER, KILLED = "of", "building"
"""OWNER has the digest of the series that a copy belongs to. KILLED exists while make runs, and so
also after make was killed."""
WARNED, MAKING = "warned", "making"
"""WARNED is beside O=, where only the rig can write. Its first line is what vmlinux looked like
then, or MAKING; the other lines are the names of the files that had a warning."""
FEW = 100
"""Up to so many changed files are updated one by one, without a checkout of the whole tree."""
# The same content gives the same bytes (Documentation/kbuild/reproducible-builds.rst).
SETTINGS = {
    # Stack traces need only line numbers. With DEBUG_INFO_REDUCED there is 6 % more to compile.
    "KCFLAGS": "-g1",
    "KBUILD_BUILD_TIMESTAMP": "2020-01-01T00:00:00Z",
    "KBUILD_BUILD_USER": "rig",
    "KBUILD_BUILD_HOST": "rig",
    "KBUILD_BUILD_VERSION": "1",
    "LOCALVERSION": "-rig",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """A locked lane, with a tree checked out in `src`."""

    place: Path
    out: Path
    """The O= directory on the host; make sees it as `place/out`."""
    series: str
    """Digest of the series that `out` is the copy of; empty for a trusted tree."""
    warned: tuple[str, ...] | None
    """Names of files in `out` that had a warning when they were compiled; None if that is not
    known, because an older rig has compiled here."""

    @property
    def source(self) -> Path:
        return self.place / "src"

    @property
    def given(self) -> Path:
        """A directory with input for make, which make cannot write."""
        return self.place / "given"

    def box(self, *more: Path) -> Box:
        """The box for make: it can read the source, `given` and `more`, and write its output."""
        out, cache = self.place / "out", self.place / "ccache"
        read = (self.source, self.given, *more)
        if self.series:
            return Box(read=(*read, cache), over=((self.out, out),), env=environment(cache, True))
        return Box(read=read, write=(out, cache), env=environment(cache, False))

    def compile_again(self) -> None:
        """Write the list of files that make shall make again, for what runs make in the box.

        With vmlinux, because a warning may be of one of the files that it is linked from.
        """
        names = (*self.warned, "vmlinux") if self.warned else ()
        (self.given / "again").write_text("".join(f"{name}\0" for name in names))
        if self.warned is not None:
            self._write(MAKING, self.warned)

    def note_warned(self, name: str) -> None:
        """Add a file that had a warning, as soon as that is known: the rig may be killed."""
        if self.warned is not None:
            with (self.out.parent / WARNED).open("a") as file:
                file.write(f"{name}\n")

    def keep_warned(self, names: Iterable[str], *, complete: bool) -> None:
        """After make: the files that had a warning. Not `complete`: make has failed, and has not
        made all files again that it was to make."""
        if self.warned is not None:
            self._write(_look_of(self.out), {*names} if complete else {*names, *self.warned})

    def _write(self, state: str, names: Iterable[str]) -> None:
        text = "".join(f"{line}\n" for line in (state, *sorted(names)))
        write_whole(self.out.parent / WARNED, text.encode())

    @contextmanager
    def making(self) -> Iterator[None]:
        """Around make: if it is killed in here, its objects are marked as untrusted.

        A make that fails has ended by itself, and its objects are good. For that, and for nothing
        else, the caller raises BuildError.
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
def held(store: Store, name: str, tree: KernelTree, *, warnings: bool = False) -> Iterator[Lane]:
    """Lock the lane and check the tree out in it.

    With `warnings`, its objects are thrown away if it is not known which of them had a warning.
    """
    confined = not sandbox.broken()
    place = store.root / "lanes" / (name if confined else f"{name}-unconfined")
    with store.lock(f"lane-{place.name}"):
        for directory in ("ccache", "given"):
            (place / directory).mkdir(parents=True, exist_ok=True)
        if not (place / "out").exists():
            _empty(place / "out")
        store.use("lanes", place.name)
        marker = place / "checked-out"
        if not _is_worktree(place / "src"):  # a person removed it, or linux.git was made again
            for file in (marker, place / "ready"):
                file.unlink(missing_ok=True)
        before = _commit_in(marker)
        if before != tree.commit:
            with log.step(f"Checking out {tree.label}"):
                marker.unlink(missing_ok=True)
                if not (before and _step(place / "src", before, tree.commit)):
                    _check_out(store, place, tree.commit)
                marker.write_text(tree.commit)
        if (place / KILLED).is_file():
            _tidy(place / "out")
        series = tree.series if confined else ""
        out = _copy_for(place, series, warnings) if series else place / "out"
        if warnings and warned(out) is None:
            log.note("an older rig has compiled here and kept no warnings: compiling everything")
            _empty(out)
        yield Lane(place=place, out=out, series=series, warned=warned(out))


def compiled(store: Store, name: str) -> bool:
    """Whether a lane has the objects of a finished build."""
    return (store.root / "lanes" / name / "out" / "vmlinux").is_file()


def _copy_for(place: Path, series: str, warnings: bool) -> Path:
    """The series' copy of the objects. It is kept and used for all patches of the series."""
    copy = place / "series"
    owner = copy / OWNER
    unknown = warnings and warned(copy / "out") is None
    if unknown or not owner.is_file() or _text_of(owner) != series:
        sandbox.remove(copy)
        copy.mkdir(mode=0o700)  # so that no other user can run a set-uid program in it
        proc.run(["cp", "--archive", "--reflink=auto", place / "out", copy / "out"])
        if (names := warned(place / "out")) is not None:
            lines = (_look_of(copy / "out"), *names)
            (copy / WARNED).write_text("".join(f"{line}\n" for line in lines))
        owner.write_text(series)
    return copy / "out"


def warned(out: Path) -> tuple[str, ...] | None:
    """The files in an O= directory that had a warning; None if that is not known."""
    try:
        state, *names = (out.parent / WARNED).read_text().splitlines()
    except (OSError, ValueError):
        return None
    killed = state == MAKING and (out.parent / KILLED).is_file()
    return tuple(names) if killed or state == _look_of(out) else None


def _look_of(out: Path) -> str:
    """What a build changes, also that of an older rig, which keeps no warnings."""
    try:
        status = (out / "vmlinux").lstat()
    except OSError:
        return "no vmlinux"
    return f"{status.st_size} bytes of {status.st_mtime_ns}"


def _empty(out: Path) -> None:
    """An O= directory in which nothing was compiled."""
    sandbox.remove(out)
    out.mkdir()
    (out.parent / WARNED).write_text(f"{_look_of(out)}\n")


def _tidy(out: Path) -> None:
    """Remove files that a killed make may have left incomplete: make looks only at time stamps.

    Kbuild writes .X.cmd after X is complete, and makes X again if there is no .X.cmd or if the
    command has changed (scripts/Kbuild.include: if_changed). The newest files may be incomplete, so
    all of the last 2 seconds are removed.
    """
    times = {command: command.stat().st_mtime_ns for command in out.rglob(".*.cmd")}
    young = max(times.values(), default=0) - 2_000_000_000
    for command, time in times.items():
        output = command.with_name(command.name[1:-4])
        if time > young or (output.is_file() and output.stat().st_mtime_ns > time):
            output.unlink(missing_ok=True)
            command.unlink()


def _step(source: Path, before: str, commit: str) -> bool:
    """Update only the files that differ between two trees; False if they are too many.

    A checkout looks at all 85,000 files first, and takes longer than make does for a few of them.
    """
    differs = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", before, commit)
    names = git.git(*differs, cwd=source, check=False).stdout
    if not 0 < names.count("\0") <= FEW:
        return False
    files = ("--pathspec-from-file=-", "--pathspec-file-nul")
    restore = ("--literal-pathspecs", "restore", f"--source={commit}", "--staged", "--worktree")
    result = git.git(*restore, *files, cwd=source, stdin=names.encode(), check=False)
    if result.status == 0:
        git.git("update-ref", "--no-deref", "HEAD", commit, cwd=source)
    return result.status == 0


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
        # Left by a rig that was killed: we hold the lane, so no other rig uses it.
        if _worktree_of(stale.parent) == source:
            stale.unlink()
    git.git("checkout", "--quiet", "--force", "--detach", commit, cwd=source)


def _is_worktree(source: Path) -> bool:
    """Whether a work tree is there, and linux.git has its part of it, undamaged."""
    try:
        admin = Path(_text_of(source / ".git").removeprefix("gitdir:").strip())
    except OSError:
        return False
    return bool(_commit_in(admin / "HEAD")) and _worktree_of(admin).resolve() == source.resolve()


def _worktree_of(admin: Path) -> Path:
    return Path(_text_of(admin / "gitdir").strip()).parent


def _text_of(file: Path) -> str:
    """A machine that lost its power may have left anything in a file."""
    return file.read_text(errors="replace").replace("\0", "")


def _commit_in(file: Path) -> str:
    """The commit that a file names; empty if there is no such file, or if it is damaged."""
    text = _text_of(file).strip() if file.is_file() else ""
    return text if COMMIT.fullmatch(text) else ""


def jobs() -> int:
    """For make -j: one more than CPUs, because a job may wait for the disk."""
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
    assignments = (f"{k}={v}" for k, v in settings.items())
    output = "--output-sync=target"  # or the warnings of two objects would be mixed
    return ["make", "-C", str(lane / "src"), f"-j{jobs()}", output, *assignments, *targets]


def environment(cache: Path, series: bool) -> dict[str, str]:
    """Variables for ccache. The build of a series reads the lane's cache and never writes it."""
    read_only = {"CCACHE_READONLY": "1", "CCACHE_TEMPDIR": "/tmp"}
    return {
        "CCACHE_DIR": str(cache),
        "CCACHE_MAXSIZE": "3G",
        "CCACHE_DEPEND": "1",
        **(read_only if series else {"CCACHE_TEMPDIR": str(cache / "tmp")}),
    }
