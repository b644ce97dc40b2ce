# SPDX-License-Identifier: GPL-2.0-only
"""Everything made once and kept: digest -> directory.

An entry is built in a temporary sibling and renamed into place under a lock, so it is there whole
or not at all, whoever is killed when. Once in place it never changes.
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
    """What names an entry: 32 hex digits over the canonical JSON of what it is made from."""
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

        From here on root's files may be read by others: what a sandbox has of root's is another
        user's to read, whatever root's umask says.
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
                hint="set RIG_STORE to a directory with some 20 GB of room",
            ) from error
        return cls(root.resolve())

    def path(self, kind: str, name: str) -> Path:
        return self.root / kind / name

    def find(self, kind: str, name: str) -> Path | None:
        """The entry, if it was ever finished."""
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
        """The entry, made by `maker(directory)` if it is not there yet.

        What `maker` returns is kept in the manifest beside `inputs`.
        """
        if (found := self.find(kind, name)) is not None:
            return found
        with self.lock(f"{kind}-{name}"):
            if (found := self.find(kind, name)) is not None:
                return found
            final = self.path(kind, name)
            final.parent.mkdir(parents=True, exist_ok=True)
            # No entry's name has a ~ in it: what v6.12.3 is made in is no leftover of v6.12's.
            prefix = f".{name}~"
            # Of a maker that was killed, or an entry half removed: we hold the lock.
            for stale in (final, *final.parent.glob(f"{glob.escape(prefix)}*")):
                shutil.rmtree(stale, ignore_errors=True)
            scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=final.parent))
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
                scratch.rename(final)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            return final

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold `name` against other rigs and threads; says so when it has to wait."""
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
        """A directory on the store's file system that is gone afterwards.

        What a killed rig left behind goes with the next call: the name holds the owner's pid.
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
    """Put a file in place at once: whoever reads it finds all of it, or what was there before."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    scratch.write_bytes(data)
    scratch.rename(path)


@contextlib.contextmanager
def host_trouble(doing: str) -> Iterator[None]:
    """Turn the operating system's refusals (disk full, no permission) into an InfraError."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{doing}{where}") from error
        raise InfraError(f"{doing}: {error.strerror or error}{where}") from error
