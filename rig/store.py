# SPDX-License-Identifier: GPL-2.0-only
"""The store: results of expensive work, each in a directory named after a digest of its inputs.

An entry is built in a temporary directory beside it, under a lock, and renamed into place. So it is
complete or it does not exist, even if a rig is killed. Once in place it never changes.

A disk that was full, a crash or a person may damage an entry all the same. Its manifest has a
checksum of each file: an entry is checked when it is used, and a damaged one is made again. Reading
all of a kernel takes time, so `checked/` has what the files of an entry looked like when they were
read. While they look the same, and the host was not started again, they are not read again.
"""

import contextlib
import errno
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from rig import log, presence, scratch
from rig.errors import ConfigError, DiskFull, InfraError

MANIFEST = "manifest.json"
BY_BLOCKS, BLOCK = "blocks:", 4096
"""The beginning of a checksum that blocks_digest() made; bytes of a block."""
EMPTY = hashlib.sha256().hexdigest()
ABSENT = "it is not there"
UNSAFE = re.compile(r"[^\w/.+@~-]")
"""make takes a space or a colon for the end of a name, LD_PRELOAD too, QEMU a comma."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
RACY = 2_000_000_000
"""Nanoseconds. A file that changed a moment ago may change again without another time stamp."""
LOCK_DEADLINE = 6 * 3600.0
"""Seconds. No lock is held for longer than a build takes, which has a deadline."""


def digest(inputs: Mapping[str, Any]) -> str:
    """The name of an entry: 32 hex digits, from the canonical JSON of its inputs."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def blocks_digest(path: Path) -> str:
    """A checksum of a file's non-zero blocks and of its size. A hole is not read, and counts as
    zeros: a disk image is nearly all holes."""
    size = path.stat().st_size
    hasher = hashlib.sha256(b"%d" % size)
    with path.open("rb") as file:
        done = end = 0
        while end < size:
            try:
                data = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: the rest is a hole
                break
            end = os.lseek(file.fileno(), data, os.SEEK_HOLE)
            while (done := max(done, data // BLOCK * BLOCK)) < end:
                if (block := os.pread(file.fileno(), BLOCK, done)).strip(b"\0"):
                    hasher.update(b"%d:%b" % (done, block))
                done += BLOCK
    return f"{BY_BLOCKS}{hasher.hexdigest()}"


def checksums(directory: Path) -> dict[str, str]:
    """Relative path -> checksum of each file."""
    files = sorted(
        path for path in directory.rglob("*") if path.is_file() and path.name != MANIFEST
    )
    return {
        str(path.relative_to(directory)): (blocks_digest if _sparse(path) else file_digest)(path)
        for path in files
    }


def _sparse(path: Path) -> bool:
    status = path.stat()
    return status.st_blocks * 512 < status.st_size // 2


def _look(path: Path) -> list[int]:
    """What changes whenever the file does. The times are those of the kernel: utime(2) can set back
    mtime, and nothing can set back ctime."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


@functools.lru_cache(maxsize=4096)
def _checksum(path: Path, by_blocks: bool, size: int, time: int, inode: int) -> str:
    """A file's checksum, computed once as long as the file's size and times do not change."""
    return (blocks_digest if by_blocks else file_digest)(path)


def _damage(path: Path, promised: str) -> str:
    """What is wrong with a file of an entry; "" if nothing is."""
    try:
        status = path.stat()
        if not status.st_size and promised != EMPTY:
            return f"{path.name} is empty"
        key = (status.st_size, status.st_mtime_ns ^ status.st_ctime_ns, status.st_ino)
        if promised == _checksum(path, promised.startswith(BY_BLOCKS), *key):
            return ""
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    return f"{path.name} does not match its checksum"


def _looks(directory: Path, promised: Mapping[str, Any], *, settled: bool = False) -> str:
    """What the files of an entry look like, and what they should be. With `settled`, "" if one was
    changed a moment ago. Raises OSError."""
    looks = {file: _look(directory / file) for file in promised}
    now = time.time_ns()
    if settled and any(max(times) > now - RACY for _, *times, _ in looks.values()):
        return ""
    facts = {"boot": BOOT_ID.read_text(), "sha256": promised, "files": looks}
    return json.dumps(facts, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Store:
    root: Path

    @classmethod
    def default(cls) -> "Store":
        """$RIG_STORE, or the user's cache directory.

        If root runs the rig, this sets the umask so that others can read the files of the store: a
        command in the sandbox runs as another user.
        """
        if not os.geteuid():
            os.umask(0o022)
        named = os.environ.get("RIG_STORE")
        root = Path(named or platformdirs.user_cache_path("rig")).resolve()
        hint = "set RIG_STORE to a directory with about 20 GB of free space"
        if bad := UNSAFE.search(str(root)):
            raise ConfigError(
                f"the store {root} has {bad[0]!r} in its path: make, QEMU or git would misread it",
                hint=f"{hint}, whose path has letters, digits and / . _ - + @ only",
            )
        if named and not root.parent.is_dir():
            raise ConfigError(
                f"RIG_STORE is {root}, and there is no directory {root.parent}",
                hint="correct RIG_STORE, or make that directory",
            )
        if root.exists() and not root.is_dir():
            raise ConfigError(f"the store {root} is not a directory", hint=hint)
        presence.enter(root)
        return cls(root)

    def ready(self) -> None:
        """Make the store's directory, with a note, if there is none. To be called before the first
        write: reading needs no store that can be written.

        Raises InfraError if it cannot be written.
        """
        try:
            if not self.root.is_dir():
                log.note(f"there is no store {self.root} yet: making it")
                self.root.mkdir(parents=True, exist_ok=True)
                presence.enter(self.root)
            if not os.access(self.root, os.W_OK | os.X_OK):
                with tempfile.TemporaryFile(dir=self.root):  # says why not
                    pass
        except OSError as error:
            raise InfraError(
                f"the store {self.root} cannot be written: {error.strerror}",
                hint="set RIG_STORE to a directory with about 20 GB of free space",
            ) from error

    def path(self, kind: str, name: str) -> Path:
        return self.root / kind / name

    def find(self, kind: str, name: str) -> Path | None:
        """The entry, or None if it is not there, was not finished, or is damaged."""
        self.use(kind, name)
        return None if self.flaw(kind, name) else self.path(kind, name)

    def use(self, kind: str, name: str) -> None:
        """Note the time in the entry's directory: `rig gc` removes what was not used for long.

        To be called before the entry is looked at: so gc sees the note, or the caller that it is
        gone.
        """
        with contextlib.suppress(OSError):
            os.utime(self.path(kind, name))

    def flaw(self, kind: str, name: str) -> str:
        """Why an entry cannot be used: ABSENT, or what is damaged. "" if it can."""
        return self._examined(kind, name)[0]

    def _examined(self, kind: str, name: str) -> tuple[str, dict[str, Any]]:
        """What flaw() returns, and the manifest."""
        path = self.path(kind, name)
        if not (path / MANIFEST).is_file():
            return ABSENT, {}
        try:
            manifest = self.manifest(kind, name)
        except (OSError, ValueError):
            return f"{MANIFEST} is not readable", {}
        if not isinstance(manifest, dict) or manifest.get("name") != name:
            return f"{MANIFEST} is of something else", {}
        promised = manifest.get("sha256")
        if not isinstance(promised, dict):  # an older rig made it
            files = filter(Path.is_file, path.rglob("*"))
            empty = (f"{file.name} is empty" for file in files if not file.stat().st_size)
            return next(empty, ""), manifest
        return self._damage(kind, name, promised), manifest

    def _damage(self, kind: str, name: str, promised: Mapping[str, Any]) -> str:
        """What is wrong with the files of an entry. They are read, unless they look as they did
        when they were read last."""
        path, memory = self.path(kind, name), self.root / "checked" / f"{kind}-{name}"
        before = ""
        with contextlib.suppress(OSError, ValueError):
            before = _looks(path, promised)
            if before == memory.read_text():
                return ""
        found = (_damage(path / file, str(checksum)) for file, checksum in promised.items())
        if why := next(filter(None, found), ""):
            return why
        with contextlib.suppress(OSError):  # a store that can only be read
            if before and before == _looks(path, promised, settled=True):
                memory.parent.mkdir(exist_ok=True)
                write_whole(memory, before.encode())
        return ""

    def manifest(self, kind: str, name: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.path(kind, name) / MANIFEST).read_text())
        return value

    def make(
        self,
        kind: str,
        name: str,
        inputs: Mapping[str, Any],
        maker: Callable[[Path], Mapping[str, Any] | None],
        check: Callable[[Mapping[str, Any]], str] = lambda manifest: "",
    ) -> Path:
        """The entry. If it does not exist or is damaged, `maker(directory)` makes it.

        The manifest has `inputs` and what `maker` returns. `check` says what else is wrong with an
        entry that has this manifest: something outside of the entry that it needs may be gone.
        """

        def flaw() -> str:
            why, manifest = self._examined(kind, name)
            return why or check(manifest)

        entry = self.path(kind, name)
        self.use(kind, name)
        if not flaw():
            return entry
        with self.lock(f"{kind}-{name}"):
            if not (why := flaw()):  # another rig has made it
                return entry
            if why != ABSENT:
                log.note(f"{kind}/{name} in the store is damaged ({why}): making it again")
            entry.parent.mkdir(parents=True, exist_ok=True)
            # No name of an entry has a ~: so the glob for v6.12 does not match .v6.12.3~.
            prefix = f".{name}~"
            # Left by a rig that was killed, or by a removal that was. We hold the lock, so nobody
            # uses them.
            for stale in (entry, *entry.parent.glob(f"{glob.escape(prefix)}*")):
                shutil.rmtree(stale, ignore_errors=True)
            directory = Path(tempfile.mkdtemp(prefix=prefix, dir=entry.parent))
            try:
                facts = maker(directory)
                manifest = {
                    "kind": kind,
                    "name": name,
                    "made": datetime.now(UTC).isoformat(timespec="seconds"),
                    "inputs": dict(inputs),
                    "sha256": checksums(directory),
                    **(facts or {}),
                }
                (directory / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
                directory.chmod(0o755)
                directory.rename(entry)
            finally:
                shutil.rmtree(directory, ignore_errors=True)
            return entry

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `name` against other rigs and threads. Waiting for it is a step.

        Raises InfraError after LOCK_DEADLINE.
        """
        self.ready()
        directory = self.root / "locks"
        directory.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(directory / f"{name}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            with log.step(f"Waiting for another rig to finish with {name}"):
                self._wait(lock)
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def at_once(self, name: str) -> Iterator[bool]:
        """Hold the lock `name` if nobody else does. True if it is held."""
        lock = filelock.FileLock(self.root / "locks" / f"{name}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _wait(self, lock: filelock.BaseFileLock) -> None:
        try:
            lock.acquire(timeout=LOCK_DEADLINE)
        except filelock.Timeout as error:
            hours = LOCK_DEADLINE / 3600
            raise InfraError(
                f"another rig has held {lock.lock_file} for {hours:.1f} hours",
                hint=f"`fuser {lock.lock_file}` names its process; end it if it hangs",
            ) from error

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary directory on the store's file system."""
        self.ready()
        parent = self.root / "tmp"
        parent.mkdir(exist_ok=True)
        with scratch.made(parent) as path:
            yield path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader finds all of it, or the file that was there before."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    new.write_bytes(data)
    new.rename(path)


@contextlib.contextmanager
def host_trouble(doing: str) -> Iterator[None]:
    """Turn an OSError (disk full, no permission) into an InfraError; `doing` says in what work."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{doing}{where}") from error
        raise InfraError(f"{doing}: {error.strerror or error}{where}") from error
