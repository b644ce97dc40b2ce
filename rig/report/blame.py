# SPDX-License-Identifier: GPL-2.0-only
"""Whose failure it is, in lines of a report: the series', the base's, and which patch it was."""

from collections.abc import Iterator
from dataclasses import replace

from rig.campaigns.results import RunResult
from rig.verdict.blame import Blame, Mark
from rig.verdict.rules import CaseResult, Outcome


def lines(result: RunResult) -> Iterator[tuple[int, str]]:
    """Each with its indentation; none for a run without a blame."""
    for blame in result.blame:
        yield 4, f"{blame.failure}: {blame.summary}"
        yield 6, f"fails in {blame.series} runs, on {blame.against} in {blame.base}"
        yield from ((6, text) for text in _search(blame))
        if blame.reason:
            yield 6, blame.reason
    for earlier in result.earlier:
        counts = f" ({earlier.counts})" if earlier.counts else ""
        yield 4, f"{earlier.revision}'s failure of {earlier.failure}: {earlier.since}{counts}"


def _search(blame: Blame) -> Iterator[str]:
    """What its first patches showed."""
    if blame.mark is not Mark.INTRODUCED or not blame.culprits or blame.patches < 2:
        return
    told = [prefix for prefix in blame.tested if prefix.tally.runs]
    fails = ", ".join(f"up to patch {prefix.upto} in {prefix.tally}" for prefix in told)
    chances = ", ".join(
        f"patch {culprit.number} by {100 * culprit.chance:.1f} %" for culprit in blame.culprits
    )
    yield f"{fails}: {chances}" if fails else chances
    for prefix in blame.tested:
        if not prefix.tally.runs and prefix.skipped:
            yield f"patch {prefix.upto} is skipped: {prefix.skipped}"


def of_case(result: RunResult, name: str) -> Blame | None:
    """The blame of a failing suite/case."""
    return next((blame for blame in result.blame if blame.failure == name), None)


def counted(case: CaseResult, blame: Blame | None) -> CaseResult:
    """The case as CI counts it: a failure that is not the series' is INCONCLUSIVE (rule 8)."""
    if blame is None or case.outcome is not Outcome.FAIL:
        return case
    if blame.excused:
        reason = f"{blame.summary}: {case.reason}"
        return replace(case, outcome=Outcome.INCONCLUSIVE, reason=reason)
    return replace(case, reason=f"{case.reason}; {blame.summary}")
