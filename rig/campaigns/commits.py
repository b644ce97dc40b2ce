# SPDX-License-Identifier: GPL-2.0-only
"""GOOD..BAD of the user's git tree, as a range to search. The tree is only read.

There is no checkout, no ref and no file of the rig's in the user's repository: the range is what
`git rev-list` prints, so a bare repository, a work tree of another one, and a dirty tree all work.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rig import git, printable
from rig.campaigns.ancestry import GOOD, Ancestry
from rig.errors import ConfigError
from rig.kernel import base

SHALLOW = "the repository is a shallow clone: git fetch --unshallow gets the whole history"


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    name: str
    """40 hexadecimal digits."""
    subject: str
    author: str
    parents: tuple[int, ...]
    """Numbers in the range; with a path limit the nearest ancestors that touch the paths."""
    files: tuple[str, ...]
    """The paths that it changes; a merge has those in which it differs from all its parents."""

    @property
    def short(self) -> str:
        return f'{self.name[:12]} ("{self.subject}")'


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    tree: Path
    good: str
    """The commit below the range: GOOD, or where BAD's history left GOOD's."""
    bad: str
    commits: tuple[Commit, ...]
    """Each after its parents. The last one is BAD, or with a path limit the last that touches the
    paths."""
    paths: tuple[str, ...] = ()
    first_parent: bool = False
    dirty: bool = False
    """The work tree has changes, which are not tested."""
    diverged: bool = False
    """GOOD is not an ancestor of BAD."""

    @property
    def ancestry(self) -> Ancestry:
        return Ancestry([commit.parents for commit in self.commits])

    def name(self, number: int) -> str:
        return self.good if number == GOOD else self.commits[number].name

    def __len__(self) -> int:
        return len(self.commits)


def read(
    tree: Path, good: str, bad: str, *, paths: Sequence[str] = (), first_parent: bool = False
) -> Range:
    """The range GOOD..BAD; with `paths` only the commits that change them, as git log shows them.

    Raises ConfigError if there is no such range.
    """
    base.check_tree(tree)
    old, new = _commit(tree, good), _commit(tree, bad)
    ancestors = _merge_bases(tree, (good, old), (bad, new))
    below = ancestors[0]
    order = ("--reverse", "--topo-order", "--parents", *(("--first-parent",) * first_parent))
    words = ("rev-list", *order, new, f"^{old}", "--", *paths)
    lines = [line.split() for line in git.text(*words, cwd=tree).splitlines()]
    if not lines:
        raise ConfigError(
            f"no commit of {good}..{bad} changes {printable.line(' '.join(paths))}",
            hint="name paths from the top of the tree, as in `git log -- mm/`, or none",
        )
    if first_parent and not paths and len(lines[0]) > 1:
        below = lines[0][1]
    numbers = {name: number for number, (name, *_) in enumerate(lines)}
    details = _details(tree, [*numbers], first_parent=first_parent)
    commits = []
    for (name, *above), (author, subject, files) in zip(lines, details, strict=True):
        parents = tuple(numbers[parent] for parent in above if parent in numbers)
        if first_parent:
            parents = parents[:1] if above and above[0] in numbers else ()
        commits.append(
            Commit(name=name, subject=subject, author=author, parents=parents, files=files)
        )
    return Range(
        tree=tree,
        good=below,
        bad=new,
        commits=tuple(commits),
        paths=tuple(paths),
        first_parent=first_parent,
        dirty=_dirty(tree),
        diverged=old not in ancestors,
    )


def _details(
    tree: Path, names: Sequence[str], *, first_parent: bool
) -> list[tuple[str, str, tuple[str, ...]]]:
    """Author, subject and changed files of each commit."""
    merges = "first-parent" if first_parent else "combined"
    words = ("--no-walk=unsorted", "--stdin", "-z", "--name-only", "--no-renames", "--no-color")
    shape = (f"--diff-merges={merges}", "--format=%x01%H%x00%aN%x00%s%x00", "--no-show-signature")
    done = git.git("log", *words, *shape, cwd=tree, stdin="\n".join(names).encode(), exact=True)
    details, output, start = [], done.stdout, 0
    ends = [*(f"\x01{name}\0" for name in names[1:]), ""]
    for following in ends:
        end = output.index(following, start + 1) if following else len(output)
        _, author, subject, rest = output[start:end].split("\0", 3)
        files = tuple(filter(None, rest.lstrip("\0").removeprefix("\n").split("\0")))
        details.append((printable.line(author), printable.line(subject), files))
        start = end
    return details


def _commit(tree: Path, name: str) -> str:
    if found := base.commit_of(tree, name):
        return found
    hint = SHALLOW if _shallow(tree) else f"git -C {tree} tag --list 'v[67].*'"
    raise ConfigError(f"{tree} has no revision named {printable.line(name)!r}", hint=hint)


def _merge_bases(tree: Path, good: tuple[str, str], bad: tuple[str, str]) -> list[str]:
    """The commits where the histories of both part; GOOD alone if it is an ancestor of BAD.

    Raises ConfigError if there is no range between them.
    """
    (good_name, old), (bad_name, new) = good, bad
    if old == new:
        raise ConfigError(
            f"{good_name} and {bad_name} are the same commit, {new[:12]}",
            hint="name a good commit and a later one that is bad",
        )
    merge_bases = git.git("merge-base", "--all", old, new, cwd=tree, check=False).stdout.split()
    if new in merge_bases:
        raise ConfigError(
            f"{bad_name} is older than {good_name}: the range is the wrong way round",
            hint=f"name the good commit first: rig bisect {bad_name} {good_name}",
        )
    if merge_bases:
        return merge_bases
    hint = SHALLOW if _shallow(tree) else "name two commits of one history"
    raise ConfigError(f"{good_name} and {bad_name} have no common ancestor in {tree}", hint=hint)


def _shallow(tree: Path) -> bool:
    return git.text("rev-parse", "--is-shallow-repository", cwd=tree) == "true"


def _dirty(tree: Path) -> bool:
    # Without the lock: git status would write the index.
    words = ("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    return bool(git.git(*words, cwd=tree, check=False).stdout.strip())


# --- the log -----------------------------------------------------------------------------------


class Mark(StrEnum):
    """What a log says of a commit."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


def log(range_: Range, marks: Mapping[int, Mark], notes: Mapping[int, str]) -> str:
    """A log that `git bisect replay` reads: the marks as commands, the notes as comments.

    The good end and the bad end are always marked. A commit that has only a note is undecided: git
    has no word for that.
    """
    first = ["--first-parent"] if range_.first_parent else []
    paths = ["--", *range_.paths] if range_.paths else []
    lines = [" ".join(["git bisect start", *map(_quoted, (*first, *paths))])]
    lines += _entry(range_.bad, "", Mark.BAD, notes.get(len(range_) - 1, ""))
    lines += _entry(range_.good, "", Mark.GOOD, notes.get(GOOD, ""))
    for number in dict.fromkeys((*marks, *notes)):
        if range_.name(number) in (range_.bad, range_.good):
            continue
        subject = range_.commits[number].subject
        lines += _entry(range_.name(number), subject, marks.get(number), notes.get(number, ""))
    return "".join(f"{line}\n" for line in lines)


def _quoted(word: str) -> str:
    """As sq_quote_buf() of git does it; git reads nothing else, not even shlex.quote(\"mm\")."""
    return "'" + word.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def _entry(name: str, subject: str, mark: Mark | None, note: str) -> Iterable[str]:
    about = f"[{name}] {subject}".rstrip() + (f": {printable.line(note)}" if note else "")
    yield f"# {mark or 'undecided'}: {about}"
    if mark:
        yield f"git bisect {mark} {name}"


def last_line(range_: Range, culprit: int) -> str:
    """What git writes at the end of a log."""
    commit = range_.commits[culprit]
    return f"# first bad commit: [{commit.name}] {commit.subject}\n"
