# SPDX-License-Identifier: GPL-2.0-only
"""Writes initramfs archives ("newc", Documentation/driver-api/early-userspace/buffer-format.rst).

The rig writes them itself: cpio(1) run by an ordinary user cannot make device nodes and files of
root's. Archives are reproducible and can be concatenated: the kernel unpacks all of them.
"""

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    path: str
    """Relative to the root, without a leading slash."""
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(path: str, mode: int = 0o755) -> Entry:
    return Entry(path=path, mode=stat.S_IFDIR | mode)


def file(path: str, data: bytes, mode: int = 0o644) -> Entry:
    return Entry(path=path, mode=stat.S_IFREG | mode, data=data)


def symlink(path: str, to: str) -> Entry:
    return Entry(path=path, mode=stat.S_IFLNK | 0o777, data=to.encode())


def character(path: str, major: int, minor: int) -> Entry:
    return Entry(path=path, mode=stat.S_IFCHR | 0o600, device=(major, minor))


def of_path(path: Path, name: str) -> Entry:
    """A file or symbolic link of the host, owned by root."""
    if path.is_symlink():
        return symlink(name, str(path.readlink()))
    return file(name, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)


def archive(entries: Iterable[Entry]) -> bytes:
    """The entries, each after its parent directories, and the trailer; padded to 512 bytes."""
    by_path = {entry.path: entry for entry in entries}
    for path in list(by_path):
        for parent in Path(path).parents:
            if str(parent) != ".":
                by_path.setdefault(str(parent), directory(str(parent)))
    parts = [_header(entry, inode) for inode, entry in enumerate(sorted_entries(by_path), start=1)]
    parts.append(_header(Entry(path="TRAILER!!!", mode=0), 0))
    data = b"".join(parts)
    return data + b"\0" * (-len(data) % 512)


def sorted_entries(by_path: dict[str, Entry]) -> list[Entry]:
    return [by_path[path] for path in sorted(by_path)]


def _header(entry: Entry, inode: int) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _pad(head) + _pad(entry.data)


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
