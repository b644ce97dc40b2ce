# SPDX-License-Identifier: GPL-2.0-only
"""The commits that a bisection may test: GOOD..BAD of the user's tree, or the patches of a series.

The patches of a series are a `Range` too: each is on top of the one before.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from rig import git, log, printable
from rig.campaigns import commits
from rig.campaigns import request as requests
from rig.campaigns.ancestry import GOOD
from rig.campaigns.commits import Commit, Range
from rig.campaigns.options import Request
from rig.campaigns.results import RunSpec
from rig.context import Context
from rig.errors import ConfigError
from rig.kernel import base
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.series import rfc822, target
from rig.series.model import Patch
from rig.store import Store

STAT = "--stat=72"
PATCH_LINK = "://patch.msgid.link/"
ADDRESS = re.compile(r"<[^<>\s@]+@[^<>\s]+>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspects:
    range: Range
    whole: RunSpec
    """The bad end."""
    patches: tuple[Patch, ...] = ()
    """Of a series; empty for commits of a tree."""

    def name(self, number: int) -> str:
        """A commit as a TARGET of the rig's verbs."""
        if not self.patches:
            return self.range.name(number)[:12]
        return self.good_tree.subject.target if number == GOOD else self.range.name(number)

    def subject(self, number: int) -> str:
        if number == GOOD:
            return "the good end"
        return self.range.commits[number].subject

    @property
    def good_tree(self) -> TreeSpec:
        """Of a series: what it is applied to."""
        tree = self.whole.tree
        if not tree.below:
            return TreeSpec(base=tree.base)
        return TreeSpec(base=tree.base, series=tree.below[-1], below=tree.below[:-1])

    def spec(self, store: Store, number: int) -> RunSpec:
        """The run of a commit."""
        whole = self.whole
        if self.patches:
            tree = self.good_tree
            if number != GOOD:
                last = number == len(self.range) - 1
                upto = whole.tree.upto if last else number + 1
                tree = replace(whole.tree, upto=upto)
            promises = dict.fromkeys((*tree.promises, *whole.request.promises))
            request = replace(whole.request, target=self.name(number), base=tree.base.name)
            if tree.series is None:  # a base, and --base is for a series
                request = replace(request, base="")
            return replace(whole, tree=tree, request=request, promises=tuple(promises))
        commit = _resolved(store, self.range.name(number), whole.request.tree)
        tree = TreeSpec(base=replace(commit, name=self.name(number)))
        return replace(whole, tree=tree, request=replace(whole.request, target=self.name(number)))

    def author(self, number: int) -> str:
        return self.range.commits[number].author

    def link(self, number: int) -> str:
        """Where the commit was discussed; empty if it does not say so."""
        if self.patches:
            return printable.line(rfc822.header(self.patches[number].mail, "Message-ID"))
        trailers = "--format=%(trailers:key=Link,valueonly,unfold,separator=%x20)"
        words = ("log", "-1", "--no-show-signature", trailers, self.range.name(number))
        return printable.line(git.text(*words, cwd=self.range.tree))

    def mail(self, number: int) -> bytes:
        """The headers of the mail that the commit was sent in, as far as the commit tells; empty
        if it has no message-id."""
        if self.patches:
            mail = self.patches[number].mail
            return rfc822.headers(mail) if rfc822.header(mail, "Message-ID") else b""
        shape = "--format=%aN <%aE>%x00%aD%x00%s%x00%(trailers:only,unfold)"
        words = ("log", "-1", "--no-show-signature", shape, self.range.name(number))
        author, date, subject, trailers = git.text(*words, cwd=self.range.tree).split("\0", 3)
        pairs = [line.partition(":")[::2] for line in trailers.splitlines()]
        if not (identifier := _message_id(pairs)):
            return b""
        copies = (value for _, value in pairs if ADDRESS.search(value))
        lines = {
            "From": author,
            "Cc": ", ".join(copies),
            "Date": date,
            "Message-ID": f"<{identifier}>",
            "Subject": f"[PATCH] {subject}",
        }
        return "".join(f"{key}: {printable.line(text)}\n" for key, text in lines.items()).encode()

    def diffstat(self, number: int) -> str:
        if self.patches:
            diff = rfc822.body_of(self.patches[number].mail).encode()
            stat = git.git("apply", "--stat", "-", cwd=self.range.tree, stdin=diff).stdout
            return stat.strip("\n")
        words = ("show", STAT, "--format=", "--no-show-signature", "--diff-merges=first-parent")
        return git.git(*words, self.range.name(number), cwd=self.range.tree).stdout.strip("\n")

    def parents(self, number: int) -> tuple[int, ...]:
        """The commits of the range before this one; the good end if there is none."""
        return self.range.commits[number].parents or (GOOD,)


def _message_id(trailers: Sequence[tuple[str, str]]) -> str:
    """Of the mail with the patch. A `Link:` may lead to a discussion or a report as well: the last
    one is the maintainer's, and patch.msgid.link has patches only."""
    links = [value.split()[0] for key, value in trailers if key.lower() == "link" and value.strip()]
    named = [value.strip() for key, value in trailers if key.lower() == "message-id"]
    patches = [link for link in links if PATCH_LINK in link]
    every = (*reversed(named), *reversed(patches), *reversed(links))
    return next(filter(None, map(target.message, every)), "")


@cache
def _resolved(store: Store, name: str, tree: Path | None) -> Base:
    """git takes seconds to describe a commit of a whole kernel history."""
    return base.resolve(store, name, tree=tree)


def of_tree(
    context: Context,
    request: Request,
    good: str,
    *,
    paths: Sequence[str] = (),
    first_parent: bool = False,
) -> Suspects:
    """The commits GOOD..TARGET of the request's tree. Raises ConfigError if there is no range."""
    if request.tree is None:
        raise ConfigError(
            f"{printable.line(good)} and {printable.line(request.target)} are commits of a git"
            " tree, and no tree is named",
            hint=f"add --tree: rig bisect {good} {request.target} --tree ~/linux",
        )
    bad, tree = request.target, request.tree.expanduser()
    base.check_tree(tree)
    ends = [base.commit_of(tree, name, context.store) for name in (good, bad)]
    if all(ends) and not all(base.commit_of(tree, commit) for commit in ends):  # a night fetched it
        git.borrow(context.store, tree)
        where = git.repository(context.store)
    else:
        where, ends = tree, [good, bad]
    range_ = commits.read(where, *ends, paths=paths, first_parent=first_parent)
    if range_.dirty:
        log.note(f"{tree} has changes that are not committed: they are not tested")
    if range_.diverged:
        log.note(f"{good} is not in the history of {bad}: GOOD is where they parted, {range_.good}")
    pinned = replace(request, target=range_.commits[-1].name, tree=tree)
    return Suspects(range=range_, whole=_single(context, pinned))


def of_series(context: Context, request: Request) -> Suspects:
    """The patches of a series. Raises ConfigError if the target is no series."""
    request = requests.fetched(context.shelves, request)
    if not requests.names_a_series(context.shelves, request.target) and (
        request.tree is not None or target.parse(request.target).base
    ):
        raise ConfigError(
            f"{printable.line(request.target)} is not a series",
            hint="name the two ends: rig bisect GOOD BAD --tree PATH",
        )
    whole = _single(context, request)
    patches, file = whole.tree.own, target.parse(whole.request.target).file
    called = str(file) if file else whole.tree.subject.name
    names = [f"{called}:{number + 1}" for number in range(len(patches))]
    return Suspects(
        range=Range(
            tree=git.repository(context.store),
            good=whole.tree.base.commit,
            bad=names[-1],
            commits=tuple(_commit(number, name, patches) for number, name in enumerate(names)),
        ),
        whole=whole,
        patches=patches,
    )


def _commit(number: int, name: str, patches: Sequence[Patch]) -> Commit:
    patch = patches[number]
    return Commit(
        name=name,
        subject=printable.line(patch.subject),
        author=printable.line(patch.author),
        parents=(number - 1,) if number else (),
        files=patch.files,
    )


def _single(context: Context, request: Request) -> RunSpec:
    """Raises ConfigError for several architectures, before the host is asked about each."""
    if len(names := requests.architectures(request)) > 1:
        raise ConfigError(
            f"rig bisect takes one architecture, and {len(names)} are named", hint="--arch x86_64"
        )
    specs = requests.specs(context, request)
    if len(specs) != 1:
        raise ConfigError(
            f"rig bisect takes one revision, and {len(specs)} are named", hint="SERIES@v2"
        )
    return specs[0]
