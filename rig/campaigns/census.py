# SPDX-License-Identifier: GPL-2.0-only
"""What the store holds: the sizes of its parts, and what can be removed as a whole."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rig import proc
from rig.store import MANIFEST, Store

RUNS, EXPLORED, LANES, MAILS, LINUX = "runs", "explored", "lanes", "mails", "linux.git"
RESULTS = frozenset({RUNS, EXPLORED, MAILS})
"""Kinds that nothing can make again as they were."""
FOREVER = frozenset({"bases"})
"""Kinds that are never removed: a base may be in no archive any more."""
Inode = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A part of the store."""

    kind: str
    bytes: int
    """On the disk."""
    count: int | None
    """Of entries; None for what is not a directory of entries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """What is removed as a whole, or not at all."""

    kind: str
    name: str
    path: Path
    used: float
    """When it was used last, in seconds since the epoch."""

    @property
    def label(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    bytes: int
    """On the disk, of the files that have no other name."""
    shared: Mapping[Inode, tuple[int, int, int]] = field(default_factory=dict)
    """Files with several names -> bytes, names anywhere, names in here."""


def holdings(store: Store) -> tuple[Holding, ...]:
    """The parts of the store, largest first."""
    sizes = disk_usage(sorted(store.root.iterdir())) if store.root.is_dir() else {}
    kinds = (
        Holding(kind=path.name, bytes=size, count=_count(path)) for path, size in sizes.items()
    )
    return tuple(sorted(kinds, key=lambda entry: (-entry.bytes, entry.kind)))


def _count(path: Path) -> int | None:
    if path.name not in (RUNS, EXPLORED, LANES) and not any(path.glob(f"*/{MANIFEST}")):
        return None
    return sum(entry.is_dir() for entry in path.iterdir() if not entry.name.startswith("."))


def disk_usage(paths: Iterable[Path]) -> dict[Path, int]:
    """Path -> bytes on the disk. A file that is in several of them counts for the first.

    Files that vanish while they are counted are left out.
    """
    paths = tuple(paths)
    if not paths:
        return {}
    words: list[str | Path] = ["du", "--summarize", "--block-size=1", "--null", "--", *paths]
    done = proc.run(words, check=False, deadline=1800, exact=True)
    rows = (row.partition("\t") for row in done.stdout.split("\0") if row)
    return {Path(path): int(size) for size, _, path in rows}


def units(store: Store) -> Iterator[Unit]:
    """All that may be removed. Directories that the rig does not know are not among them."""
    for directory in sorted(store.root.iterdir()) if store.root.is_dir() else ():
        kind = directory.name
        if kind in FOREVER or kind == LINUX or not directory.is_dir() or directory.is_symlink():
            continue
        for path in sorted(directory.iterdir()):
            known = kind in (RUNS, EXPLORED, LANES) or (path / MANIFEST).is_file()
            if known and not path.name.startswith(".") and not path.is_symlink() and path.is_dir():
                with contextlib.suppress(FileNotFoundError):
                    yield Unit(kind=kind, name=path.name, path=path, used=used(kind, path))


def used(kind: str, path: Path) -> float:
    """When it was used last. A run is used while results are added to it."""
    times = [path.stat().st_mtime]
    if kind == RUNS:
        with os.scandir(path) as entries:
            times += [entry.stat(follow_symlinks=False).st_mtime for entry in entries]
    return max(times)


def weight(unit: Unit) -> Weight:
    """What is in it. Files that vanish meanwhile are left out."""
    if unit.kind == LANES:  # 100,000 files, none of which another part of the store shares
        return Weight(bytes=sum(disk_usage([unit.path]).values()))
    return _weight(unit.path)


def _weight(path: Path) -> Weight:
    alone, shared = 0, dict[Inode, tuple[int, int, int]]()
    waiting = [str(path)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                size = status.st_blocks * 512
                if status.st_nlink == 1 or entry.is_dir(follow_symlinks=False):
                    alone += size
                else:
                    inode = (status.st_dev, status.st_ino)
                    inside = shared.get(inode, (0, 0, 0))[2] + 1
                    shared[inode] = (size, status.st_nlink, inside)
    return Weight(bytes=alone, shared=shared)


class Scales:
    """How much space removals free. A file is freed with the last of its names."""

    def __init__(self) -> None:
        self._left: dict[Inode, int] = {}

    def freed(self, unit: Unit) -> int:
        """Bytes that are free once this is removed too."""
        found = weight(unit)
        total = found.bytes
        for inode, (size, names, inside) in found.shared.items():
            left = self._left.setdefault(inode, names)
            self._left[inode] = left - inside
            total += size if left == inside else 0
        return total
