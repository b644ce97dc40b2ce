# SPDX-License-Identifier: GPL-2.0-only
"""What git has made of the mails: a series is judged by its commits, not by what its mails say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rig import git
from rig.errors import ApplyError, ConfigError
from rig.kernel import symlinks
from rig.series.vetting import HINT, NOT_TO_REVIEW

LINK, SUBMODULE = "120000", "160000"
OTHER_BASE = "name the base it was made for: --base v7.2, or --base COMMIT with --tree PATH"
SHOWN = 60
"""Characters of a symlink's target, which may be long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A patch that git has applied."""

    name: str
    files: tuple[str, ...]
    """What its mail says it changes."""
    before: str
    after: str
    """The commit that it is, or `before` if all of it was there already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    path: str
    modes: tuple[str, str]
    blobs: tuple[str, str]
    """Before and after; zeros where there is no file."""


def check(work: Path, steps: Sequence[Step], base: str) -> None:
    """Raise ConfigError for a patch that no kernel developer would send, ApplyError for one that
    git has merged into another file than it is for.

    `work` is where they have been applied, `base` what to call what is below them. Every commit is
    looked at: each may be built, and what a later one takes away was there.
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


def _changes(work: Path, steps: Sequence[Step]) -> dict[str, list[Change]]:
    """By the commit; renames are what they are, a file that goes and one that comes."""
    found: dict[str, list[Change]] = {step.after: [] for step in steps}
    pairs = [f"{step.after} {step.before}\n" for step in steps]
    words = ("diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "--no-abbrev")
    said = git.git(*words, cwd=work, stdin="".join(pairs).encode(), exact=True).stdout
    commit, fields = "", iter(said.split("\0"))
    for field in fields:
        if not field.startswith(":"):
            commit = field or commit
            continue
        old, new, before, after, _ = field[1:].split(" ")
        found[commit].append(Change(path=next(fields), modes=(old, new), blobs=(before, after)))
    return found


def _check_name(work: Path, step: Step, path: str, base: str) -> None:
    if not path.isprintable():
        raise ConfigError(f"{step.name}: {path!a} is no name for a file", hint=HINT)
    if path in step.files:
        return
    revisions = (step.before, step.after)
    for name in filter(str.isprintable, step.files):
        there = (
            git.git("cat-file", "-e", f"{one}:{name}", cwd=work, check=False) for one in revisions
        )
        if all(one.status for one in there):
            raise ApplyError(
                f"{step.name} does not apply to {base}: {name} is not in it, and git would change"
                f" {path} for it",
                hint=OTHER_BASE,
            )
    raise ConfigError(
        f"{step.name}: it changes {path}, which no `diff --git` line of it names", hint=HINT
    )


def _check_contents(
    work: Path, steps: Sequence[Step], changes: Mapping[str, Sequence[Change]]
) -> None:
    """git takes a file for text by its first 8000 bytes, and by what .gitattributes say."""
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
    """Where a link leads hangs on links alone: where the series changes none, there is no need."""
    if not any(LINK in change.modes for step in steps for change in changes[step.after]):
        return
    states = [_links(work)]
    for step in reversed(steps):
        own = changes[step.after]
        gone = {change.path for change in own}
        kept = {path: blob for path, blob in states[0].items() if path not in gone}
        was = {change.path: change.blobs[0] for change in own if change.modes[0] == LINK}
        states.insert(0, kept | was)
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
    """Path -> blob, of the last commit: the index has it, which is read in half the time."""
    said = git.git("ls-files", "--stage", "-z", cwd=work, exact=True).stdout
    rows = (row.partition("\t") for row in said.split("\0") if row.startswith(LINK))
    return {path: head.split(" ")[1] for head, _, path in rows}


def _listing(work: Path, commit: str) -> str:
    return git.git("ls-tree", "-r", "-z", "--full-tree", commit, cwd=work, exact=True).stdout
