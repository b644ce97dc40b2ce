# SPDX-License-Identifier: GPL-2.0-only
"""`SeriesVersion` -> `Base`: what a series is applied to, and why that, said in a note."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rig import base, git, log, series
from rig import tree as trees
from rig.base import Base
from rig.series import Patch, SeriesVersion
from rig.store import Store
from rig.tree import TreeSpec

FILE = re.compile(r"^diff --git a/(.+) b/.+$")
INDEX = re.compile(r"^index ([0-9a-f]{7,64})\.\.[0-9a-f]{7,64}")


def base_of(
    store: Store,
    found: SeriesVersion,
    *,
    below: Sequence[SeriesVersion] = (),
    name: str = "",
    tree: Path | None = None,
) -> Base:
    """The base of a series, by the first that knows one:

    - `name`, which somebody who names one insists on;
    - the base-commit, if the user's tree has it (with a tree it is this or HEAD);
    - the base-commit, if it is a release that is known;
    - the blobs its diffs were made from: a base that has all of them;
    - the newest base it applies to.
    """
    lowest = below[0] if below else found
    if tree is not None:
        return _in_tree(store, lowest, name, tree)
    if name:
        return base.resolve(store, name)
    if said := base.named(lowest.base):
        if said != lowest.base:
            log.note(f"{lowest.label}: its base-commit {lowest.base[:12]} is {said}")
        return base.resolve(store, said)
    says = f"its base-commit {lowest.base[:12]} is no known base's" if lowest.base else ""
    says = f"{lowest.label}: {says or 'it names no base-commit'}"
    default = base.resolve(store, base.DEFAULT)
    candidates = base.fetched(store)
    wanted = preimages(lowest.patches)
    for one in candidates:
        has = sum(_has(store, one, wanted))
        if wanted and has == len(wanted):
            log.note(f"{says}; {one.name} has all {has} blobs its diffs were made from")
            return one
        log.note(f"{one.name} has {has} of the {len(wanted)} blobs its diffs were made from")
    spec = TreeSpec(base=default, series=found, below=tuple(below))
    for one in candidates:
        if trees.applies(store, replace(spec, base=one)):
            log.note(f"{says}; {one.name} is the newest base here that it applies to")
            return one
    log.note(f"{says}, and it applies to none of {', '.join(one.name for one in candidates)}")
    return default


def preimages(patches: Sequence[Patch]) -> dict[str, str]:
    """File -> the blob, as far as it is named, that the first patch to touch the file was made
    from; without files that are new."""
    blobs: dict[str, str] = {}
    for patch in patches:
        file = ""
        for line in series.body_of(patch.mail).splitlines():
            if match := FILE.match(line):
                file = match[1]
            elif file and (match := INDEX.match(line)):
                blobs.setdefault(file, match[1])
                file = ""
    return {file: blob for file, blob in blobs.items() if blob.strip("0")}


def _has(store: Store, one: Base, wanted: dict[str, str]) -> list[bool]:
    asked = "".join(f"{one.commit}:{file}\n" for file in wanted)
    said = git.git(
        "cat-file", "--batch-check", cwd=git.repository(store), stdin=asked.encode()
    ).stdout
    return [
        line.startswith(blob) and line.split()[1:2] == ["blob"]
        for line, blob in zip(said.splitlines(), wanted.values(), strict=True)
    ]


def _in_tree(store: Store, found: SeriesVersion, name: str, path: Path) -> Base:
    wanted = name or found.base or "HEAD"
    there = git.git("cat-file", "-e", f"{wanted}^{{commit}}", cwd=path, check=False)
    if there.status and not name:
        log.note(f"{found.label} is based on {wanted}, which {path} does not have: using HEAD")
        wanted = "HEAD"
    elif found.base and not name:
        log.note(f"{path} has {found.label}'s base-commit {found.base[:12]}")
    return base.resolve(store, wanted, tree=path)
