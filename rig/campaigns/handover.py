# SPDX-License-Identifier: GPL-2.0-only
"""`rig nightly --bisect`: hands what got worse in a night to `rig bisect`, within the budget.

A series needs no search of commits: `rig bisect SERIES` and blame look at its patches.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rig import log
from rig.campaigns import bisect, execute, failures, inquiry, suspects
from rig.campaigns.bisect import Options
from rig.campaigns.bisection import Bisection
from rig.campaigns.failures import BOOT, BUILD
from rig.campaigns.inquiry import Kind, Question
from rig.campaigns.nightly import Morning
from rig.campaigns.nightplan import Row
from rig.campaigns.options import Request
from rig.context import Context
from rig.errors import RigError
from rig.history.changes import Kind as Changed
from rig.history.night import Change


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A bisection of what got worse, before it is run."""

    change: Change
    good: str
    request: Request
    """Its target is the bad end."""
    question: Question


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search has found."""

    change: Change
    bisection: Bisection | None = None
    name: str = ""
    """Of the stored bisection."""
    trouble: str = ""
    """Why there is none."""


def run(context: Context, morning: Morning) -> tuple[Found, ...]:
    """Search each failure that is new, one after the other, until the budget of the night ends."""
    deadline = time.monotonic() + morning.night.budget - morning.seconds
    found = []
    for search in searches(context, morning):
        if time.monotonic() >= deadline:
            log.note("the budget ends before every new failure is bisected")
            break
        options = Options(deadline=deadline)
        try:
            range_ = suspects.of_tree(context, search.request, search.good)
            result, directory = bisect.bisect(context, range_, search.question, options)
        except RigError as error:
            found.append(Found(change=search.change, trouble=error.message))
        else:
            name = directory.name
            found.append(Found(change=search.change, bisection=result, name=name))
    return tuple(found)


def searches(context: Context, morning: Morning) -> Iterator[Search]:
    """Of each new failure on a git tree whose commit has moved; a kernel's health comes once."""
    seen = set()
    for change in morning.worse:
        good, bad = change.finding.commits
        row = _row(morning.night.plan.rows, change)
        if row is None:
            continue
        bad = bad or row.commit  # the result of a kernel that was not built has none
        if not good or not bad or good == bad:
            continue
        if change.finding.kind not in (Changed.NEW_FAILURE, Changed.MORE_OFTEN):
            continue
        question = _question(context, change)
        request = replace(row.request, target=bad, suites=(), cases=(), seed=1)
        if question.kind is Kind.CASE:
            request = replace(request, cases=(change.name,))
        key = (question, replace(request, schedule="") if question.kind is Kind.BUILD else request)
        if key not in seen:
            seen.add(key)
            yield Search(change=change, good=good, request=request, question=question)


def _row(rows: Sequence[Row], change: Change) -> Row | None:
    """The row of the change, if it is a revision of a git tree."""
    for row in rows:
        tree, is_series = row.request.tree, bool(row.request.base)
        place = (row.label, str(tree or ""), row.setup)
        if tree and not is_series and place == (change.tree, change.source, change.setup):
            return row
    return None


def _question(context: Context, change: Change) -> Question:
    """What is asked of each commit: the case, or what the run itself has failed with."""
    if not change.name.startswith("kernel/"):
        return Question()
    path = context.store.root / change.finding.since.path / execute.RESULT
    result = execute.load(path)
    for failure in failures.of(result):
        if failure.name == BUILD:
            return Question(kind=Kind.BUILD)
        if failure.name == BOOT:
            return Question(kind=Kind.BOOT)
    for splat in result.splats:
        if splat.kind.failure:
            return inquiry.question(splat=splat.title, build=False, boot=False, metric="", above=0)
    return Question(kind=Kind.BOOT)
