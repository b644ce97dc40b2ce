# SPDX-License-Identifier: GPL-2.0-only
"""What a suite is, and how one of its cases is run in a guest.

A suite is a package under `rig/suites/`: its `SUITE`, its C program, its kernel `config`. The
program counts what happened; the floors here say how much is enough. A suite with programs from
elsewhere (kselftest_mm) has two functions that build and run them.
"""

import functools
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
from rig.verdict.floors import Floor
from rig.verdict.rules import CaseResult, Trouble, judge, lost, not_run

PAGES_STEP = 128
"""The number of pages of a case is a multiple of this (guestlib/guest.c)."""

SEED = 1
"""The default of --seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    name: str
    guards: str
    """The kernel's rule that the case tests, and where it comes from."""
    floors: tuple[Floor, ...]
    iterations: int = 1
    pages: int = 0
    """Pages that it works on, where --pages may lower it; 0: not selectable."""
    deadline: float = 20
    """Seconds on hardware; accelerators scale it."""
    live_only: str = ""
    """Why it does not run in the seeded schedule; empty if it does."""
    seeded_iterations: int = 0
    """Iterations in the seeded schedule, where the CPUs run in turn; 0: `iterations`."""
    promised: tuple[str, ...] = ()
    """Cases (SUITE/CASE) that the kernel must pass whatever its version (--promise)."""
    command: str = ""
    """The command line, for a program from elsewhere; empty for the suite's own."""

    def scaled(self, iterations: int, pages: int = 0) -> "Case":
        """The case with this many iterations and pages (0: its own), and floors in proportion.

        A program from elsewhere has no such options.
        """
        if self.command:
            return self
        count, size = iterations or self.iterations, min(pages, self.pages) or self.pages
        part = Fraction(count, self.iterations) * Fraction(size or 1, self.pages or 1)
        floors = tuple(
            replace(floor, at_least=max(1, int(floor.at_least * part))) for floor in self.floors
        )
        return replace(self, iterations=count, pages=size, floors=floors)

    def seeded(self, iterations: int, pages: int = 0) -> "Case":
        """The case for the seeded schedule, with this many iterations (0: its own there)."""
        return self.scaled(iterations or self.seeded_iterations, pages)


def own_program(store: Store, suite: "Suite", spec: BuildSpec) -> tuple[Path, ...]:
    """The program that is built from the C files of the suite."""
    return (guest_programs.build(store, spec.config.arch, suite.name, suite.directory),)


def own_case(guest: Guest, suite: "Suite", case: Case, seed: int) -> CaseResult:
    """Run a case of the suite's own program, which prints KTAP with counters."""
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
    """Only run when --suite or --case names it."""
    programs: Callable[[Store, "Suite", BuildSpec], tuple[Path, ...]] = own_program
    """Builds the programs for the guest's /rig/bin, in one entry of the store."""
    run: Callable[[Guest, "Suite", Case, int], CaseResult] = own_case
    """Runs a case with a seed and judges it."""

    @property
    def directory(self) -> Path:
        return Path(rig.suites.__file__).parent / self.name

    @property
    def config(self) -> Path:
        """Kernel options that it needs in addition to the flavour's."""
        return self.directory / "config"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Some of a suite's cases; no names: all of them."""

    suite: str
    cases: tuple[str, ...] = ()


def known() -> dict[str, Suite]:
    return discover.constants(rig.suites, "SUITE", Suite)


def standard() -> dict[str, Suite]:
    """The suites of a run without --suite."""
    return {name: suite for name, suite in known().items() if not suite.on_request}


def case_names(suites: Iterable[Suite]) -> tuple[str, ...]:
    """SUITE/CASE for every case of the suites."""
    return tuple(f"{suite.name}/{case.name}" for suite in suites for case in suite.cases)


@functools.cache
def declared() -> dict[str, Case]:
    """SUITE/CASE -> the case, of all suites."""
    return {f"{suite.name}/{case.name}": case for suite in known().values() for case in suite.cases}


@functools.lru_cache(4096)
def floors_of(name: str, iterations: int, pages: int, *, seeded: bool) -> dict[str, int]:
    """Counter -> floor, as SUITE/CASE declares it today for this much work; none for a case that
    the rig does not know."""
    if (case := declared().get(name)) is None:
        return {}
    scaled = (case.seeded if seeded else case.scaled)(iterations, pages)
    return {floor.counter: floor.at_least for floor in scaled.floors}


def pick(name: str) -> Suite:
    return discover.pick(rig.suites, "SUITE", Suite, name, "suite")


def cases_of(selection: Selection) -> tuple[Case, ...]:
    suite = pick(selection.suite)
    if not selection.cases:
        return suite.cases
    return tuple(case for case in suite.cases if case.name in selection.cases)


def select(suites: Sequence[str], cases: Sequence[str]) -> tuple[Selection, ...]:
    """The selections of `--suite` and `--case`; a case may be written `suite/case`.

    Raises ConfigError, with the nearest names, for an unknown suite or case.
    """
    named = {case.partition("/")[0] for case in cases if "/" in case}
    chosen = [pick(name) for name in dict.fromkeys(suites)] or [
        suite for name, suite in known().items() if name in named or not suite.on_request
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
    """Raise ConfigError for a name that is not a SUITE/CASE."""
    cases = case_names(known().values())
    for name in names:
        if name not in cases:
            raise unknown("case that a kernel could promise", name, cases)


def command(suite: Suite, case: Case, *, seed: int, cpus: int) -> tuple[str, ...]:
    """The command line of a case in the guest."""
    options = {"iterations": case.iterations, "seed": seed, "cpus": cpus}
    if case.pages:
        options["pages"] = case.pages
    words = (word for name, value in options.items() for word in (f"--{name}", str(value)))
    promised = [name.partition("/")[2] for name in case.promised]
    more = ("--promised", "+".join(promised)) if promised else ()
    return (suite.name, case.name, *words, *more)


def run_case(guest: Guest, suite: Suite, case: Case, *, seed: int = SEED) -> CaseResult:
    """Run one case over SSH and judge its output.

    A guest that is lost during the case is a failure of the case. If it was lost before, the case
    is not run, and its result carries the first cause.
    """
    if guest.lost:
        return not_run(case.name, Trouble.of(guest.lost))
    began = time.monotonic()
    try:
        return suite.run(guest, suite, case, seed)
    except GuestLost as error:
        return lost(case.name, error, time.monotonic() - began)
