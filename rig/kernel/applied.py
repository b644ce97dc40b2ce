# SPDX-License-Identifier: GPL-2.0-only
"""Checks the commits that `git am` made of a series: git can do other things than a mail shows."""

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rig import git
from rig.errors import ApplyError, ConfigError
from rig.kernel import symlinks
from rig.series.vetting import HINT, NOT_TO_REVIEW

LINK, SUBMODULE = "120000", "160000"
OTHER_BASE = "name the base that it was made for: --base v7.2, or --base COMMIT with --tree PATH"
LINKS_MAX = 1000
"""Symlinks that a series may change; a kernel has about 100. Each is followed, for each patch."""
SHOWN = 60
"""Characters of a symlink's target in an error: the target may be long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A patch that git has applied."""

    name: str
    files: tuple[str, ...]
    """The files that its mail says it changes."""
    before: str
    after: str
    """The commit that git made of it; `before` if the tree had the change already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    path: str
    modes: tuple[str, str]
    blobs: tuple[str, str]
    """Before and after; zeros if there is no file."""


def check(work: Path, steps: Sequence[Step], base: str) -> None:
    """Raise ConfigError for a patch that no kernel developer would send, ApplyError for one that
    git merged into another file than the one it names.

    `work` is the work tree in which they were applied; messages call the base `base`. Every commit
    is checked, because each may be built: a later one can remove what an earlier one added.
    """
    steps = tuple(step for step in steps if step.after != step.before)
    changes = _changes(work, steps)
    for step in steps:
        for change in changes[step.after]:
            _check_name(work, step, change.path, base)
            if change.modes[1] == SUBMODULE:
                raise ConfigError(f"{step.name}: {change.path} is a submodule", hint=HINT)
    _check_contents(work, steps, changes)
    _check_links(work, steps, changes)


@functools.cache
def check_base(repo: Path, commit: str) -> None:
    """Raise ConfigError if a base that a mail has named has a symlink that leads out of the tree.

    Its changes are those of no mail, so nothing else looks at them. The rig itself reads and writes
    files of a work tree, and must not follow such a link.
    """
    rows = (row.partition("\t") for row in _listing(repo, commit).split("\0"))
    blobs = {path: head.split(" ")[2] for head, _, path in rows if head.startswith(LINK)}
    texts = git.blobs(blobs.values(), repo)
    links = {path: os.fsdecode(texts[blob]) for path, blob in blobs.items()}
    for path, walk in symlinks.gone_astray({}, links):
        raise ConfigError(
            f"the base-commit {commit[:12]}: {path!a} is a symlink that {walk.trouble}", hint=HINT
        )


def _changes(work: Path, steps: Sequence[Step]) -> dict[str, list[Change]]:
    """Commit -> its changes. A rename is two of them: one file is removed, another is added."""
    changes: dict[str, list[Change]] = {step.after: [] for step in steps}
    pairs = [f"{step.after} {step.before}\n" for step in steps]
    words = ("diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "--no-abbrev")
    output = git.git(*words, cwd=work, stdin="".join(pairs).encode(), exact=True).stdout
    commit, fields = "", iter(output.split("\0"))
    for field in fields:
        if not field.startswith(":"):
            commit = field or commit
            continue
        old, new, before, after, _ = field[1:].split(" ")
        changes[commit].append(Change(path=next(fields), modes=(old, new), blobs=(before, after)))
    return changes


def _check_name(work: Path, step: Step, path: str, base: str) -> None:
    if not path.isprintable():
        raise ConfigError(
            f"{step.name}: the file name {path!a} has unprintable characters", hint=HINT
        )
    if path in step.files:
        return
    revisions = (step.before, step.after)
    for name in filter(str.isprintable, step.files):
        lookups = (
            git.git("cat-file", "-e", f"{commit}:{name}", cwd=work, check=False)
            for commit in revisions
        )
        if all(lookup.status for lookup in lookups):
            raise ApplyError(
                f"{step.name} does not apply to {base}: {name} is not in it, and git would change"
                f" {path} instead",
                hint=OTHER_BASE,
            )
    raise ConfigError(
        f"{step.name}: it changes {path}, but no `diff --git` line in it names that file", hint=HINT
    )


def _check_contents(
    work: Path, steps: Sequence[Step], changes: Mapping[str, Sequence[Change]]
) -> None:
    """Raise ConfigError for a binary file: git looks only at the first 8000 bytes of a file and at
    .gitattributes."""
    files = [
        (step, change)
        for step in steps
        for change in changes[step.after]
        if change.modes[1].startswith("100") and change.blobs[0] != change.blobs[1]
    ]
    texts = git.blobs((change.blobs[1] for _, change in files), work)
    for step, change in files:
        blob = change.blobs[1]
        if b"\0" in texts[blob] and f" {blob}\t" not in _listing(work, step.before):
            raise ConfigError(f"{step.name}: {change.path} is binary", hint=NOT_TO_REVIEW)


def _check_links(
    work: Path, steps: Sequence[Step], changes: Mapping[str, Sequence[Change]]
) -> None:
    """Raise ConfigError for a symlink that leads out of the tree.

    Only other links can change where a link leads. So there is nothing to check if the series
    changes no link.
    """
    links_changed = sum(LINK in change.modes for step in steps for change in changes[step.after])
    if not links_changed:
        return
    if links_changed > LINKS_MAX:
        raise ConfigError(
            f"{steps[0].name}: the series changes {links_changed} symlinks", hint=HINT
        )
    states = [_links(work)]
    for step in reversed(steps):
        changed = {change.path for change in changes[step.after]}
        same = {path: blob for path, blob in states[0].items() if path not in changed}
        old = {
            change.path: change.blobs[0]
            for change in changes[step.after]
            if change.modes[0] == LINK
        }
        states.insert(0, same | old)
    texts = git.blobs((blob for state in states for blob in state.values()), work)
    targets = {blob: text.decode("utf-8", "surrogateescape") for blob, text in texts.items()}
    links = [{path: targets[blob] for path, blob in state.items()} for state in states]
    for step, (before, after) in zip(steps, pairwise(links), strict=True):
        for path, walk in symlinks.gone_astray(before, after):
            way = ", ".join(f"{link} -> {target[:SHOWN]!a}" for link, target in walk.followed[:3])
            raise ConfigError(
                f"{step.name}: {path} is a symlink that {walk.trouble}: {way}", hint=HINT
            )


def _links(work: Path) -> dict[str, str]:
    """Path -> blob of all symlinks of the last commit. The index is read in half the time that the
    commit's tree takes."""
    output = git.git("ls-files", "--stage", "-z", cwd=work, exact=True).stdout
    rows = (row.partition("\t") for row in output.split("\0") if row.startswith(LINK))
    return {path: head.split(" ")[1] for head, _, path in rows}


def _listing(work: Path, commit: str) -> str:
    return git.git("ls-tree", "-r", "-z", "--full-tree", commit, cwd=work, exact=True).stdout
