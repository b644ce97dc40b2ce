# SPDX-License-Identifier: GPL-2.0-only
"""Where a tree's symbolic links lead, walked as the kernel walks them (path_resolution(7)).

Whatever is no link counts as a directory that is there: a walk that stays inside with it stays
inside without it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MOST = 40
"""Links the kernel follows on one walk (MAXSYMLINKS)."""
LONGEST = 4095
"""Bytes of a target that symlink(2) takes."""

Links = Mapping[str, str]
"""Path -> target, of every link of a tree."""


@dataclass(frozen=True, slots=True)
class Walk:
    followed: tuple[tuple[str, str], ...]
    """Every link on the way, and its target."""
    trouble: str
    """Why the walk does not end inside the tree; empty where it does."""


def walk(links: Links, path: str) -> Walk:
    """From the tree's root to what `path` is in the end."""
    followed: list[tuple[str, str]] = []
    here: list[str] = []
    ahead = path.split("/")[::-1]
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not here:
                return Walk(tuple(followed), "leads out of the tree")
            here.pop()
            continue
        here.append(part)
        if here[0].lower() == ".git":
            return Walk(tuple(followed), "leads to git's own files")
        link = "/".join(here)
        if (target := links.get(link)) is None:
            continue
        followed.append((link, target))
        if len(followed) > MOST:
            return Walk(tuple(followed), "never ends")
        if trouble := _unfit(target):
            return Walk(tuple(followed), trouble)
        here.pop()
        ahead += target.split("/")[::-1]
    return Walk(tuple(followed), "")


def _unfit(target: str) -> str:
    if not target or len(target.encode(errors="surrogateescape")) > LONGEST:
        return "has a target that no symlink can have"
    if not target.isprintable():
        return "has control characters in its target"
    return "leads out of the tree" if target.startswith("/") else ""


def gone_astray(before: Links, after: Links) -> Iterator[tuple[str, Walk]]:
    """Links that do not end inside the tree, but for those whose walk was the same before."""
    for path in sorted(after):
        found = walk(after, path)
        if found.trouble and found != walk(before, path):
            yield path, found
