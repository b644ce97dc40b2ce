# SPDX-License-Identifier: GPL-2.0-only
"""The store: results of expensive work, each in a directory named after a digest of its inputs.

An entry is built in a temporary directory beside it, under a lock, and renamed into place. So it is
complete or it does not exist, even if a rig is killed. Once in place it never changes.
"""

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from rig import log
from rig.errors import DiskFull, InfraError

MANIFEST = "manifest.json"


def digest(inputs: Mapping[str, Any]) -> str:
    """The name of an entry: 32 hex digits, from the canonical JSON of its inputs."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        root = Path(os.environ.get("RIG_STORE") or platformdirs.user_cache_path("rig"))
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                pass
        except OSError as error:
            raise InfraError(
                f"the store {root} cannot be written: {error.strerror}",
                hint="set RIG_STORE to a directory with about 20 GB of free space",
            ) from error
        return cls(root.resolve())

    def path(self, kind: str, name: str) -> Path:
        return self.root / kind / name

    def find(self, kind: str, name: str) -> Path | None:
        """The entry, or None if it is not there or was not finished."""
        path = self.path(kind, name)
        return path if (path / MANIFEST).is_file() else None

    def manifest(self, kind: str, name: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.path(kind, name) / MANIFEST).read_text())
        return value

    def make(
        self,
        kind: str,
        name: str,
        inputs: Mapping[str, Any],
        maker: Callable[[Path], Mapping[str, Any] | None],
    ) -> Path:
        """The entry. If it does not exist, `maker(directory)` makes it.

        The manifest has `inputs` and what `maker` returns.
        """
        if (path := self.find(kind, name)) is not None:
            return path
        with self.lock(f"{kind}-{name}"):
            if (path := self.find(kind, name)) is not None:
                return path
            entry = self.path(kind, name)
            entry.parent.mkdir(parents=True, exist_ok=True)
            # No name of an entry has a ~: so the glob for v6.12 does not match .v6.12.3~.
            prefix = f".{name}~"
            # Left by a rig that was killed, or by a removal that was. We hold the lock, so nobody
            # uses them.
            for stale in (entry, *entry.parent.glob(f"{glob.escape(prefix)}*")):
                shutil.rmtree(stale, ignore_errors=True)
            scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=entry.parent))
            try:
                facts = maker(scratch)
                manifest = {
                    "kind": kind,
                    "name": name,
                    "made": datetime.now(UTC).isoformat(timespec="seconds"),
                    "inputs": dict(inputs),
                    **(facts or {}),
                }
                (scratch / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
                scratch.chmod(0o755)
                scratch.rename(entry)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            return entry

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `name` against other rigs and threads. Waiting for it is a step."""
        directory = self.root / "locks"
        directory.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(directory / f"{name}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            with log.step(f"Waiting for another rig to finish with {name}"):
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary directory on the store's file system.

        Its name holds the pid, so that the next call can remove what a killed rig left.
        """
        parent = self.root / "tmp"
        parent.mkdir(parents=True, exist_ok=True)
        for stale in parent.iterdir():
            if not Path("/proc", stale.name.split("-")[0]).exists():
                shutil.rmtree(stale, ignore_errors=True)
        prefix = f"{os.getpid()}-"
        with tempfile.TemporaryDirectory(
            dir=parent, prefix=prefix, ignore_cleanup_errors=True
        ) as name:
            yield Path(name)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader finds all of it, or the file that was there before."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    scratch.write_bytes(data)
    scratch.rename(path)


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
