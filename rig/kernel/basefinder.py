# SPDX-License-Identifier: GPL-2.0-only
"""`SeriesVersion` -> `Base`: chooses the base that a series is applied to; notes say why."""

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

FILE = re.compile(r"^diff --git a/(.+) b/.+$")
INDEX = re.compile(r"^index ([0-9a-f]{7,64})\.\.[0-9a-f]{7,64}")


def base_of(
    store: Store,
    series: SeriesVersion,
    *,
    below: Sequence[SeriesVersion] = (),
    name: str = "",
    tree: Path | None = None,
) -> Base:
    """The base of a series. The first of these rules that gives a base decides:

    - `name`, if the user named a base;
    - the base-commit, if the user's tree has it;
    - the base-commit, if it is a known release: the tree's tag of it, or else the rig's base;
    - the blobs that the diffs were made from: a base that has all of them;
    - the newest base that the series applies to.

    The last two rules try HEAD of the user's tree first, then the bases in the store.
    """
    lowest = below[0] if below else series
    if tree is not None:
        base.check_tree(tree)
    if name:
        return base.resolve(store, name, tree=tree)
    if named := _named_base(store, lowest, tree):
        return named
    reason = f"its base-commit {lowest.base[:12]} is not a known base" if lowest.base else ""
    reason = f"{lowest.label}: {reason or 'it names no base-commit'}"
    default, candidates = _candidates(store, tree)
    blobs = preimages(lowest.patches)
    if not blobs:
        log.note(f"{lowest.label}: its diffs have no index lines, which name blobs")
    for called, candidate in candidates.items() if blobs else ():
        present = sum(_has(store, candidate, blobs))
        if present == len(blobs):
            log.note(f"{reason}; {called} has all {present} blobs that its diffs were made from")
            return candidate
        log.note(f"{called} has {present} of the {len(blobs)} blobs that its diffs were made from")
    spec = TreeSpec(base=default, series=series, below=tuple(below))
    for called, candidate in candidates.items():
        if trees.applies(store, replace(spec, base=candidate)):
            is_head = candidate.name != called
            newest = f"{called} is the newest base here that it applies to"
            log.note(f"{reason}; {f'it applies to {called}' if is_head else newest}")
            return candidate
        log.note(f"{series.label} does not apply to {called}")
    log.note(f"{reason}, and it applies to none of {', '.join(candidates)}")
    return default  # applying the series to it raises the error that says why not


def _named_base(store: Store, series: SeriesVersion, tree: Path | None) -> Base | None:
    """The base that the series itself names, if the user's tree or the rig has it."""
    if not series.base:
        return None
    # A base-commit is a hash. A name is not taken: another branch in the user's tree may have it.
    is_hash = bool(base.COMMIT.fullmatch(series.base))
    if tree is not None and is_hash and base.commit_of(tree, series.base, store):
        log.note(f"{tree} has {series.label}'s base-commit {series.base[:12]}")
        return _as_named(tree, base.resolve(store, series.base, tree=tree))
    if not (release := base.named(series.base)):
        if tree is not None:
            log.note(f"{tree} does not have {series.label}'s base-commit {series.base[:12]}")
        return None
    if release != series.base:
        log.note(f"{series.label}: its base-commit {series.base[:12]} is {release}")
    if tree is None:
        return base.resolve(store, release)
    if base.commit_of(tree, release):
        log.note(f"{tree} has {release}")
        return _as_named(tree, base.resolve(store, release, tree=tree))
    log.note(f"{tree} does not have {release}: using the rig's own {release}")
    return base.resolve(store, release)


def _as_named(tree: Path, named: Base) -> Base:
    """A base of the user's tree that a mail names. A commit, and a tag as well, may come from a
    stranger's repository: git fetches the tags of what it fetches."""
    if base.in_history(tree, named.commit):
        return named
    log.note(f"it is not in the history of {tree}'s HEAD: its objects are not used by other builds")
    return replace(named, trusted=False)


def _candidates(store: Store, tree: Path | None) -> tuple[Base, dict[str, Base]]:
    """The base to use if none fits; and all bases that there are, newest first, by the name for
    notes."""
    default = base.resolve(store, "HEAD" if tree else base.DEFAULT, tree=tree)
    head = {f"HEAD of {tree}": default} if tree else {}
    return default, head | {candidate.name: candidate for candidate in base.fetched(store)}


def preimages(patches: Sequence[Patch]) -> dict[str, str]:
    """File -> the blob, often abbreviated, from which the first patch to this file was made. New
    files are left out."""
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


def _has(store: Store, candidate: Base, blobs: dict[str, str]) -> list[bool]:
    """For each of `blobs`, whether the base has it at that path."""
    queries = "".join(f"{candidate.commit}:{file}\n" for file in blobs)
    output = git.git(
        "cat-file", "--batch-check", cwd=git.repository(store), stdin=queries.encode()
    ).stdout
    return [
        line.startswith(blob) and line.split()[1:2] == ["blob"]
        for line, blob in zip(output.splitlines(), blobs.values(), strict=True)
    ]
