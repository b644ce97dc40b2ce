# SPDX-License-Identifier: GPL-2.0-only
"""What a suite is, and how one of its cases is run in a guest.

A suite is a package under `rig/suites/`: its `SUITE`, its C program, its kernel `config`. The
program finds out what happened; how much of it is enough is said here, in floors. A suite whose
programs are somebody else's says in two functions how they are made and run.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import rig.suites
from rig import discover
from rig.errors import GuestLost, unknown
from rig.guest import programs as guest_programs
from rig.guest.boot import Guest
from rig.kernel.kbuild import BuildSpec
from rig.store import Store
from rig.verdict import ktap
from rig.verdict.rules import CaseResult, Floor, Outcome, Trouble, judge, not_run

PAGES_STEP = 128
"""A case's pages are so many, or a multiple (guestlib/guest.c)."""

SEED = 1
"""What a run uses unless it is told otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    name: str
    guards: str
    """The rule of the kernel it guards, and where that rule comes from."""
    floors: tuple[Floor, ...]
    iterations: int = 1
    pages: int = 0
    """Of the memory it works on, where it may be less; 0 is for the case alone to decide."""
    deadline: float = 20
    """Seconds on hardware."""
    live_only: str = ""
    """Why it cannot be run in the seeded schedule."""
    seeded_iterations: int = 0
    """Fewer, where one CPU after the other takes its turn; 0 is as many as elsewhere."""
    promised: tuple[str, ...] = ()
    """Cases that are run though the kernel's version does not promise what they test."""
    command: str = ""
    """How its program is called, where it is not the suite's own."""

    def scaled(self, iterations: int, pages: int = 0) -> "Case":
        """The case with so many iterations and pages (0: its own), its floors in proportion.

        Somebody else's program takes no number of iterations.
        """
        if self.command:
            return self
        some, size = iterations or self.iterations, min(pages, self.pages) or self.pages
        part = Fraction(some, self.iterations) * Fraction(size or 1, self.pages or 1)
        floors = tuple(
            replace(floor, at_least=max(1, int(floor.at_least * part))) for floor in self.floors
        )
        return replace(self, iterations=some, pages=size, floors=floors)

    def seeded(self, iterations: int, pages: int = 0) -> "Case":
        """The case as the seeded schedule runs it, with so many iterations (0: its own there)."""
        return self.scaled(iterations or self.seeded_iterations, pages)


def own_program(store: Store, suite: "Suite", spec: BuildSpec) -> tuple[Path, ...]:
    """Of the C beside the suite's Python."""
    return (guest_programs.build(store, spec.config.arch, suite.name, suite.directory),)


def own_case(guest: Guest, suite: "Suite", case: Case, seed: int) -> CaseResult:
    """A case of the suite's own program, in KTAP with counters."""
    words = command(suite, case, seed=seed, cpus=guest.machine.cpus)
    ran = guest.run(" ".join(words), deadline=case.deadline)
    report = ktap.parse(ran.stdout)
    return judge(report, case.name, case.floors, ran.status, round(ran.seconds, 2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    name: str
    summary: str
    cases: tuple[Case, ...]
    on_request: bool = False
    """It is run only where it is named: a run without --suite leaves it out."""
    programs: Callable[[Store, "Suite", BuildSpec], tuple[Path, ...]] = own_program
    """Makes what goes into the guest's /rig/bin, in one entry of the store."""
    run: Callable[[Guest, "Suite", Case, int], CaseResult] = own_case
    """Runs a case with a seed, and judges it."""

    @property
    def directory(self) -> Path:
        return Path(rig.suites.__file__).parent / self.name

    @property
    def config(self) -> Path:
        """The kernel configuration it needs beyond the flavour's."""
        return self.directory / "config"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Some of a suite's cases; all of them where none is named."""

    suite: str
    cases: tuple[str, ...] = ()


def known() -> dict[str, Suite]:
    return discover.constants(rig.suites, "SUITE", Suite)


def standard() -> dict[str, Suite]:
    """Those a run has unless it names others."""
    return {name: one for name, one in known().items() if not one.on_request}


def case_names(suites: Iterable[Suite]) -> tuple[str, ...]:
    """SUITE/CASE, of all their cases."""
    return tuple(f"{suite.name}/{case.name}" for suite in suites for case in suite.cases)


def pick(name: str) -> Suite:
    return discover.pick(rig.suites, "SUITE", Suite, name, "suite")


def cases_of(selection: Selection) -> tuple[Case, ...]:
    suite = pick(selection.suite)
    if not selection.cases:
        return suite.cases
    return tuple(case for case in suite.cases if case.name in selection.cases)


def select(suites: Sequence[str], cases: Sequence[str]) -> tuple[Selection, ...]:
    """What `--suite` and `--case` mean; a case may be written `suite/case`, which names the suite.

    Raises ConfigError, with the nearest names, for what is not there.
    """
    named = {case.partition("/")[0] for case in cases if "/" in case}
    chosen = [pick(name) for name in dict.fromkeys(suites)] or [
        one for name, one in known().items() if name in named or not one.on_request
    ]
    if not cases:
        return tuple(Selection(suite=suite.name) for suite in chosen)
    names = {case.name for suite in chosen for case in suite.cases}
    names |= set(case_names(chosen))
    for case in cases:
        if case not in names:
            raise unknown("case", case, names)
    selections = (
        Selection(
            suite=suite.name,
            cases=tuple(
                case.name
                for case in suite.cases
                if {case.name, f"{suite.name}/{case.name}"} & set(cases)
            ),
        )
        for suite in chosen
    )
    return tuple(selection for selection in selections if selection.cases)


def check_promises(names: Sequence[str]) -> None:
    """Raise ConfigError for one that is no SUITE/CASE."""
    cases = case_names(known().values())
    for name in names:
        if name not in cases:
            raise unknown("case that a kernel could promise", name, cases)


def command(suite: Suite, case: Case, *, seed: int, cpus: int) -> tuple[str, ...]:
    """What is started in the guest."""
    options = {"iterations": case.iterations, "seed": seed, "cpus": cpus}
    if case.pages:
        options["pages"] = case.pages
    words = (word for name, value in options.items() for word in (f"--{name}", str(value)))
    promised = [name.partition("/")[2] for name in case.promised]
    more = ("--promised", "+".join(promised)) if promised else ()
    return (suite.name, case.name, *words, *more)


def run_case(guest: Guest, suite: Suite, case: Case, *, seed: int = SEED) -> CaseResult:
    """Run one case over SSH and judge what it says.

    A guest that is lost meanwhile is the case's failure; one that was lost before is not its fault,
    and the case carries that cause without being run.
    """
    if guest.lost:
        return not_run(case.name, Trouble.of(guest.lost))
    began = time.monotonic()
    try:
        return suite.run(guest, suite, case, seed)
    except GuestLost as lost:
        seconds = round(time.monotonic() - began, 2)
        return CaseResult(
            name=case.name, outcome=Outcome.FAIL, reason=lost.message, seconds=seconds
        )
