# SPDX-License-Identifier: GPL-2.0-only
"""Resolves the symlinks of a tree as the kernel does (path_resolution(7)), without the files.

Every path that is not a link counts as an existing directory: if the walk stays inside the tree
then, it also stays inside if some of these do not exist.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MOST = 40
"""The number of links that the kernel follows for one path (MAXSYMLINKS)."""
PARTS = 1000
"""The number of names on a way. The kernel has no such limit, and no tree of it has so many."""
LONGEST = 4095
"""Bytes of the longest target that symlink(2) accepts."""

Links = Mapping[str, str]
"""Path -> target, for every link of a tree."""


@dataclass(frozen=True, slots=True)
class Walk:
    followed: tuple[tuple[str, str], ...]
    """Every link on the way, with its target."""
    trouble: str
    """Why the walk does not end inside the tree; empty if it does."""


def walk(links: Links, path: str) -> Walk:
    """Resolve `path`, from the root of the tree."""
    followed: list[tuple[str, str]] = []
    location: list[str] = []
    pending = path.split("/")[::-1]
    parts = 0
    while pending:
        part = pending.pop()
        parts += 1
        if parts > PARTS:
            return Walk(tuple(followed), "never ends")
        if part in ("", "."):
            continue
        if part == "..":
            if not location:
                return Walk(tuple(followed), "leads out of the tree")
            location.pop()
            continue
        location.append(part)
        if location[0].lower() == ".git":
            return Walk(tuple(followed), "leads to git's own files")
        link = "/".join(location)
        if (target := links.get(link)) is None:
            continue
        followed.append((link, target))
        if len(followed) > MOST:
            return Walk(tuple(followed), "never ends")
        if trouble := _unfit(target):
            return Walk(tuple(followed), trouble)
        location.pop()
        pending += target.split("/")[::-1]
    return Walk(tuple(followed), "")


def _unfit(target: str) -> str:
    """Why a target cannot be followed inside the tree; empty if it can."""
    if not target or len(target.encode(errors="surrogateescape")) > LONGEST:
        return "has a target that no symlink can have"
    if not target.isprintable():
        return "has control characters in its target"
    return "leads out of the tree" if target.startswith("/") else ""


def gone_astray(before: Links, after: Links) -> Iterator[tuple[str, Walk]]:
    """Links that do not end inside the tree, except those that did the same before."""
    for path in sorted(after):
        result = walk(after, path)
        if result.trouble and result != walk(before, path):
            yield path, result
