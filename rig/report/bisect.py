# SPDX-License-Identifier: GPL-2.0-only
"""What `rig bisect` has found, as text."""

import shlex
from collections.abc import Iterator

from rig import printable
from rig.campaigns.bisection import Bisection, Culprit, Evidence
from rig.campaigns.inquiry import Kind

TESTED = 40
"""At most so many commits are listed; a rarely failing race over a long range has more."""
OTHERS = 8


def render(bisection: Bisection, name: str = "") -> str:
    """The answer and its evidence; `name` is the stored bisection."""
    return printable.page(line.rstrip() for line in _lines(bisection, name))


def mail(bisection: Bisection) -> str:
    """The evidence, for the mail that answers the culprit's."""
    culprit = bisection.culprit
    is_commit = culprit and culprit.commit != culprit.name
    lines = [f"commit   {culprit.commit}"] if culprit and is_commit else []
    lines += [f"range    {_range(bisection)}", *_failure(bisection)]
    lines += [*_evidence(bisection), "", _costs(bisection)]
    return printable.page(line.rstrip() for line in lines)


def _lines(bisection: Bisection, name: str) -> Iterator[str]:
    yield _range(bisection)
    yield ""
    if bisection.culprit:
        yield from _culprit(bisection.culprit)
    else:
        yield f"{bisection.outcome}: {bisection.reason}"
        if bisection.hint:
            yield f"  hint: {bisection.hint}"
        yield from _suspects(bisection)
    yield from _failure(bisection)
    yield from _tested(bisection)
    if bisection.others:
        yield ""
        yield "failures that are not this one:"
        yield from (f"  {text}" for text in bisection.others[:OTHERS])
        if (more := len(bisection.others) - OTHERS) > 0:
            yield f"  [{more} more]"
    yield from _evidence(bisection)
    yield ""
    yield _costs(bisection)
    if name:
        is_tree = bisection.request.tree is not None
        yield f"rig report {name}" + (f"; rig bisect log {name}" if is_tree else "")


def _range(bisection: Bisection) -> str:
    where = f"{bisection.arch}, {bisection.schedule}"
    limit = " ".join(("", "--", *bisection.paths)) if bisection.paths else ""
    first = ", first parents" if bisection.first_parent else ""
    return (
        f"{bisection.good}..{bisection.bad}{limit}: {bisection.commits} commits{first}; "
        f"{_asked(bisection)}" + ("" if bisection.question.kind is Kind.BUILD else f" on {where}")
    )


def _costs(bisection: Bisection) -> str:
    return f"{bisection.builds} builds, {bisection.guests} guests"


def _asked(bisection: Bisection) -> str:
    question, request = bisection.question, bisection.request
    if question.kind is Kind.BUILD:
        return f"does it compile for {bisection.arch}"
    if question.kind is Kind.BOOT:
        return "does it boot"
    if question.kind is Kind.SPLAT:
        return f"splat {question.splat!r}"
    if question.kind is Kind.METRIC:
        return f"{question.metric} above {question.above:g} of the good end's"
    return ", ".join((*request.suites, *request.cases)) or "all suites"


def _culprit(culprit: Culprit) -> Iterator[str]:
    yield f"{culprit.name} ({culprit.subject}) is the culprit, with {percent(culprit.chance)}"
    if culprit.commit != culprit.name:
        yield f"  commit {culprit.commit}"
    yield f"  author {culprit.author}"
    if culprit.link:
        yield f"  link   {culprit.link}"
    yield from (f"  {line}" for line in culprit.diffstat.splitlines())
    if culprit.same_kernel:
        yield "INCONCLUSIVE: its kernel image is byte for byte that of its parent: it changes"
        yield "nothing that is compiled here, and so it cannot be the culprit."


def _suspects(bisection: Bisection) -> Iterator[str]:
    likely = [suspect for suspect in bisection.suspects if suspect.chance >= 0.001]
    if not bisection.failures or not likely:
        return
    yield ""
    yield "the most likely commits:"
    for suspect in likely:
        yield f"  {suspect.name}  {percent(suspect.chance):>6}  {suspect.subject}"


def _failure(bisection: Bisection) -> Iterator[str]:
    if not bisection.signature:
        return
    yield ""
    yield f"failure  {bisection.signature}"
    if bisection.headline and bisection.headline not in bisection.signature:
        yield f"         {bisection.headline}"
    if bisection.runs and not bisection.question.decisive:
        yield (
            f"rate     {bisection.failures} of {bisection.runs} runs of bad commits:"
            f" {bisection.rate:.0%} (95 %: {bisection.low:.0%} to {bisection.high:.0%})"
        )


def _tested(bisection: Bisection) -> Iterator[str]:
    if not bisection.tested:
        return
    width = max(len(entry.name) for entry in bisection.tested)
    yield ""
    yield f"{'tested':{width}}  {'is bad':>7} {'runs':>5} {'failed':>6} {'guests':>8} {'build':>7}"
    for entry in bisection.tested[:TESTED]:
        runs, build = entry.failed + entry.passed, entry.build_seconds
        built = f"{build:.0f} s" if build else "-"
        about = f"{entry.subject} [skipped: {entry.skipped}]" if entry.skipped else entry.subject
        yield (
            f"{entry.name:{width}}  {percent(entry.bad):>7} {runs:5} {entry.failed:6}"
            f" {entry.seconds:6.0f} s {built:>7}  {about}"
        )
    if (more := len(bisection.tested) - TESTED) > 0:
        yield f"[{more} more]"


def _evidence(bisection: Bisection) -> Iterator[str]:
    culprit = bisection.culprit
    if not culprit:
        return
    if culprit.failing:
        yield ""
        yield f"fails at the culprit, in {_runs(culprit.failing)}:"
        yield f"  {shlex.join(culprit.failing.again)}"
    for passing in culprit.passing:
        yield ""
        yield f"passes at {passing.name} before it, in {_runs(passing)}:"
        yield f"  {shlex.join(passing.again)}"


def _runs(evidence: Evidence) -> str:
    """How many runs, and with which seeds."""
    runs = f"{evidence.runs} run{'s' * (evidence.runs != 1)}"
    if not evidence.seeds:
        return runs
    shown = ", ".join(map(str, evidence.seeds[:8]))
    return f"{runs}, with the seeds {shown}" + (", …" if len(evidence.seeds) > 8 else "")


def percent(chance: float) -> str:
    """Never 100 % of what is not certain."""
    if 0.9995 <= chance < 1:
        return ">99.9 %"
    return f"{100 * chance:.1f} %"
