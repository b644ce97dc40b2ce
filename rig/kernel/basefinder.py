# SPDX-License-Identifier: GPL-2.0-only
"""`SeriesVersion` -> `Base`: what a series is applied to, and why that, said in a note."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rig import git, log
from rig.kernel import base
from rig.kernel import tree as trees
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.series import rfc822
from rig.series.model import Patch, SeriesVersion
from rig.store import Store

COMMIT = re.compile(r"[0-9a-f]{7,64}")
"""A base-commit. A name, which somebody else's branch may have, is none."""
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
    - the base-commit, if the user's tree has it;
    - the base-commit, if it is a release that is known: the tree's tag of it, or the known base;
    - the blobs its diffs were made from: a base that has all of them;
    - the newest base it applies to.

    Of the user's tree the last two ask HEAD, and before all others.
    """
    lowest = below[0] if below else found
    if tree is not None:
        base.check_tree(tree)
    if name:
        return base.resolve(store, name, tree=tree)
    if said := _said(store, lowest, tree):
        return said
    says = f"its base-commit {lowest.base[:12]} is no known base's" if lowest.base else ""
    says = f"{lowest.label}: {says or 'it names no base-commit'}"
    default, candidates = _candidates(store, tree)
    wanted = preimages(lowest.patches)
    if not wanted:
        log.note(f"{lowest.label}: its diffs name no blobs")
    for called, one in candidates.items() if wanted else ():
        has = sum(_has(store, one, wanted))
        if has == len(wanted):
            log.note(f"{says}; {called} has all {has} blobs its diffs were made from")
            return one
        log.note(f"{called} has {has} of the {len(wanted)} blobs its diffs were made from")
    spec = TreeSpec(base=default, series=found, below=tuple(below))
    for called, one in candidates.items():
        if trees.applies(store, replace(spec, base=one)):
            best = "the newest base here that" if one.name == called else "what"
            log.note(f"{says}; {called} is {best} it applies to")
            return one
        log.note(f"{found.label} does not apply to {called}")
    log.note(f"{says}, and it applies to none of {', '.join(candidates)}")
    return default  # which is to say why not


def _said(store: Store, found: SeriesVersion, tree: Path | None) -> Base | None:
    """By what the series itself says, if anybody knows it."""
    if not found.base:
        return None
    if tree is not None and COMMIT.fullmatch(found.base) and base.commit_of(tree, found.base):
        log.note(f"{tree} has {found.label}'s base-commit {found.base[:12]}")
        one = base.resolve(store, found.base, tree=tree)
        if base.in_history(tree, one.commit):
            return one
        log.note(f"it is not in the history of {tree}'s HEAD: nothing of it is kept for others")
        return replace(one, trusted=False)
    if not (said := base.named(found.base)):
        if tree is not None:
            log.note(f"{tree} does not have {found.label}'s base-commit {found.base[:12]}")
        return None
    if said != found.base:
        log.note(f"{found.label}: its base-commit {found.base[:12]} is {said}")
    if tree is None:
        return base.resolve(store, said)
    if base.commit_of(tree, said):
        log.note(f"{tree} has {said}")
        return base.resolve(store, said, tree=tree)
    log.note(f"{tree} does not have {said}: using the rig's own")
    return base.resolve(store, said)


def _candidates(store: Store, tree: Path | None) -> tuple[Base, dict[str, Base]]:
    """The one for want of a better; and what to call it -> each that is here, newest first."""
    default = base.resolve(store, "HEAD" if tree else base.DEFAULT, tree=tree)
    own = {f"HEAD of {tree}": default} if tree else {}
    return default, own | {one.name: one for one in base.fetched(store)}


def preimages(patches: Sequence[Patch]) -> dict[str, str]:
    """File -> the blob, as far as it is named, that the first patch to touch the file was made
    from; without files that are new."""
    blobs: dict[str, str] = {}
    for patch in patches:
        file = ""
        for line in rfc822.body_of(patch.mail).splitlines():
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
