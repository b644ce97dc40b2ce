# SPDX-License-Identifier: GPL-2.0-only
"""Whose failure it is: the series', or the base's (outcome rule 8).

A failure that the base has as well, as often, is not the series' FAIL: then the run has shown
nothing of the series, and is INCONCLUSIVE. It stays a FAIL if the series promises that case, and
if the runs could not decide.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rig.guest.console import Splat, fingerprint
from rig.verdict.rules import SPLAT, Outcome, SuiteResult, Verdict, conclude


class Mark(StrEnum):
    INTRODUCED = "introduced by the series"
    THERE = "already there"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How often something failed in so many runs. Runs that say nothing of it do not count."""

    failed: int = 0
    runs: int = 0

    def __str__(self) -> str:
        return f"{self.failed} of {self.runs}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefix:
    """The series up to one of its patches, as it was tested to find the first bad patch."""

    upto: int
    subject: str
    """Of that patch."""
    tally: Tally = Tally()
    skipped: str = ""
    """Why its runs say nothing: it does not build, for example."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Culprit:
    """A patch that is the first one with the failure; with a chance below 1."""

    number: int
    subject: str
    chance: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Blame:
    """One failure, with the series and without it."""

    failure: str
    """suite/case, `splat/KIND:FUNCTION`, `the build` or `the boot`."""
    shows: tuple[str, ...] = ()
    """How it fails; a case that fails in another way is another failure."""
    mark: Mark
    series: Tally = Tally()
    base: Tally = Tally()
    against: str = ""
    """The tree without the series."""
    promised: bool = False
    """The series promises this case."""
    reason: str = ""
    """Why it is undecided, or what else there is to know."""
    culprits: tuple[Culprit, ...] = ()
    """One; several if the search could not tell them apart."""
    patches: int = 0
    """Of the series."""
    tested: tuple[Prefix, ...] = ()

    @property
    def excused(self) -> bool:
        """Whether it is not the series' FAIL."""
        return self.mark is Mark.THERE and not self.promised

    @property
    def by(self) -> str:
        """`patch 3/4 (mm: a subject)`; empty if no patch is known."""
        return " or ".join(f"patch {c.number}/{self.patches} ({c.subject})" for c in self.culprits)

    @property
    def summary(self) -> str:
        """In a few words: `introduced by patch 3/4 (mm: a subject)`."""
        by = f"introduced by {self.by}" if self.mark is Mark.INTRODUCED and self.by else self.mark
        return f"{by}, but the series promises it" if self._broken_promise else f"{by}"

    @property
    def _broken_promise(self) -> bool:
        return self.mark is Mark.THERE and self.promised


class Since(StrEnum):
    """What became of a failure of an earlier revision."""

    GONE = "gone"
    STILL = "still there"
    OTHER = "fails in another way now"
    UNKNOWN = "this run does not tell"


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """A failure of an earlier revision of the series, looked for again in this one."""

    revision: str
    """v2"""
    failure: str
    since: Since
    before: Tally
    now: Tally

    @property
    def counts(self) -> str:
        """The runs, if the failure is a race, so that one run that passes proves little."""
        if self.since is not Since.GONE or self.before.failed == self.before.runs:
            return ""
        return f"failed in {self.before} runs then, in {self.now} now"


def attributed(
    verdict: Verdict,
    suites: tuple[SuiteResult, ...],
    splats: tuple[Splat, ...],
    blames: Sequence[Blame],
    idle: str = "",
) -> Verdict:
    """Rule 8: the verdict without the failures that are not the series'.

    `blames` has all failures of the run but `idle`, which belongs to no case and stays.
    The suites and the splats stay as they are.
    """
    excused = {blame.failure for blame in blames if blame.excused}
    if verdict.outcome is not Outcome.FAIL or not excused:
        return verdict
    cases = {f"{suite.suite}/{case.name}": case for suite in suites for case in suite.cases}
    reasons = [case.reason for name, case in cases.items() if name in excused]
    kept = tuple(
        splat for splat in beside(splats, reasons) if f"{SPLAT}{fingerprint(splat)}" not in excused
    )
    rest = conclude(_without(excused, suites), kept, None, idle)
    if rest.outcome in (Outcome.FAIL, Outcome.BROKEN):
        return rest
    if excused < {blame.failure for blame in blames}:
        return verdict
    return Verdict(
        outcome=Outcome.INCONCLUSIVE, reason=f"already there without the series: {verdict.reason}"
    )


def beside(splats: tuple[Splat, ...], reasons: Sequence[str]) -> Iterator[Splat]:
    """The splats that are not those of the cases with these reasons.

    A case has the splat that its reason quotes, and those that follow on the console, like the
    panic after an oops. A kernel time that is earlier is another guest's.
    """
    ended: float | None = None
    for splat in splats:
        if any(splat.title in reason for reason in reasons):
            ended = splat.at or 0.0
        elif ended is None or (splat.at is not None and splat.at < ended):
            ended = None
            yield splat


def _without(names: set[str], suites: tuple[SuiteResult, ...]) -> tuple[SuiteResult, ...]:
    return tuple(
        replace(
            suite,
            cases=tuple(case for case in suite.cases if f"{suite.suite}/{case.name}" not in names),
        )
        for suite in suites
    )
