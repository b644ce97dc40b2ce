# SPDX-License-Identifier: GPL-2.0-only
"""The failures of a result, each with a signature that says whether another run has it too.

A case that fails in another way, a splat of another function, and another compiler error are other
failures: they must not be counted for this one. Addresses, pages, seeds and line numbers are not in
a signature.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rig.campaigns.results import RunResult
from rig.guest.console import Splat, fingerprint
from rig.guest.qemu import Seeded
from rig.suites import suite as suites
from rig.suites.suite import Selection
from rig.verdict.blame import beside
from rig.verdict.rules import SPLAT, CaseResult, Outcome, Shows

BUILD, BOOT = "the build", "the boot"
COMPILER = re.compile(
    r"(?:fatal )?error: (?P<gcc>.+)|(?P<ld>undefined reference .+)|(?P<modpost>^ERROR: .+)"
)
NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What it is recognized by."""

    name: str
    """suite/case, `splat/KIND:FUNCTION`, BUILD or BOOT."""
    shows: tuple[str, ...] = ()
    """Of a case and of the boot: what it shows, and the splat that ended its guest. Of the build:
    the compiler's errors."""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.name, ", ".join(self.shows))))

    def same(self, other: "Failure") -> bool:
        """Whether they have something in common: the guest may die before the program has printed
        the wrong data, or after it."""
        if self.name != other.name:
            return False
        return not self.shows or not set(self.shows).isdisjoint(other.shows)

    @property
    def parts(self) -> tuple["Failure", ...]:
        """A failure for each thing that this one shows."""
        return tuple(replace(self, shows=(show,)) for show in self.shows) or (self,)

    @property
    def is_case(self) -> bool:
        return "/" in self.name and not self.is_splat

    @property
    def is_splat(self) -> bool:
        return self.name.startswith(SPLAT)


def of(result: RunResult) -> tuple[Failure, ...]:
    """All failures of a result; none if its verdict is not FAIL, or the series does not apply."""
    return tuple(dict.fromkeys(_of(result)))


def _of(result: RunResult) -> Iterator[Failure]:
    cases = result.cases
    failed = {name: case for name, case in cases.items() if case.outcome is Outcome.FAIL}
    for name, case in failed.items():
        yield Failure(name=name, shows=_shows(case, result.splats))
    if not _booted(result) and result.verdict.outcome is Outcome.FAIL:
        # The splats on its console are what its boot failed with.
        built = result.provenance.build
        yield Failure(
            name=BOOT if built else BUILD,
            shows=_boot_shows(result) if built else _compiler_errors(result),
        )
        return
    for splat in beside(result.splats, [case.reason for case in failed.values()]):
        if splat.kind.failure:
            yield Failure(name=f"{SPLAT}{fingerprint(splat)}")


def _shows(case: CaseResult, splats: tuple[Splat, ...]) -> tuple[str, ...]:
    """A splat says more than `guest lost`: two faults can end the guest of one case."""
    ends = (splat for splat in splats if splat.kind.failure and splat.title in case.reason)
    names = tuple(dict.fromkeys(f"{SPLAT}{fingerprint(splat)}" for splat in ends))
    wrong = case.shows is Shows.WRONG_DATA
    return (*([f"{case.shows}"] if wrong or not names else []), *names)


def _boot_shows(result: RunResult) -> tuple[str, ...]:
    """The first splat: the others are its consequences."""
    splats = (splat for splat in result.splats if splat.kind.failure)
    first = next(splats, None)
    return (f"{SPLAT}{fingerprint(first)}" if first else f"{Shows.LOST}",)


def _compiler_errors(result: RunResult) -> tuple[str, ...]:
    """The errors without their places: the same mistake in a header is reported for any file."""
    lines = (result.verdict.reason, *result.detail.splitlines())
    matches = (match for line in lines if (match := COMPILER.search(line)))
    texts = [next(filter(None, match.groups())) for match in matches] or [result.verdict.reason]
    return tuple(dict.fromkeys(NUMBERS.sub("N", text) for text in texts))


def headline(failure: Failure, result: RunResult) -> str:
    """How a run shows a failure that it has."""
    if case := result.cases.get(failure.name):
        return f"{failure.name}: {case.reason}"
    names = {f"{SPLAT}{fingerprint(splat)}": splat.title for splat in reversed(result.splats)}
    return names.get(failure.name, result.verdict.reason)


def _booted(result: RunResult) -> bool:
    """A seeded guest runs its one case at boot, and so a boot that fails is the case's failure."""
    if any(case.outcome in (Outcome.PASS, Outcome.FAIL) for case in result.cases.values()):
        return True
    seeded = isinstance(result.machine.schedule, Seeded)
    return bool(result.provenance.build and (result.boot_seconds or seeded))


def seen(failure: Failure, result: RunResult) -> bool | None:
    """Whether a run has this failure; None if it does not tell.

    It does not if the case was not run, if it is INCONCLUSIVE, and if it fails in another way.
    """
    if any(failure.same(other) for other in of(result)):
        return True
    if failure.name == BUILD:
        return False if result.provenance.build else None
    if not _booted(result):
        return None
    if failure.name == BOOT:
        return False
    if failure.is_splat:
        ran = [case for case in result.cases.values() if case.outcome is Outcome.PASS]
        return False if ran else None
    case = result.cases.get(failure.name)
    return False if case and case.outcome is Outcome.PASS else None


def untold(failure: Failure, result: RunResult) -> str:
    """Why a run does not tell whether it has this failure, in words."""
    case = result.cases.get(failure.name)
    if case is None:
        return f"{result.verdict.outcome}: {result.verdict.reason}"
    return f"{case.outcome}: {case.reason}"


def selection(failures: tuple[Failure, ...], all_: tuple[Selection, ...]) -> tuple[Selection, ...]:
    """What must be run to see these failures again: the failing cases, or all for a splat."""
    if any(failure.is_splat for failure in failures):
        return all_
    names = {failure.name for failure in failures if failure.is_case}
    chosen = []
    for selected in all_:
        suite = selected.suite
        cases = [case.name for case in suites.cases_of(selected)]
        if kept := tuple(case for case in cases if f"{suite}/{case}" in names):
            chosen.append(Selection(suite=suite, cases=kept))
    return tuple(chosen)
