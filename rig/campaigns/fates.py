# SPDX-License-Identifier: GPL-2.0-only
"""The fate of each mutant: what the guests of a mutation campaign have shown.

Outcome rule 5: a mutant is killed only when every case that its Killed-By names has failed on it,
or the splat that it names has appeared. A case that never fails on a mutant does not guard the
rule, however many cases beside it do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rig.campaigns.results import RunResult, RunSpec
from rig.guest.qemu import Seeded
from rig.kernel.mutant import Mutant
from rig.suites import suite as suites
from rig.verdict.rules import SPLAT, CaseResult, Outcome, killed

Guest = tuple[RunSpec, RunResult]
"""One guest: what was to be run in it, and what came of it."""


class Fate(StrEnum):
    KILLED = "KILLED"
    SURVIVED = "SURVIVED"
    INCONCLUSIVE = "INCONCLUSIVE"
    BROKEN = "BROKEN"
    EQUIVALENT = "EQUIVALENT"
    NOT_APPLICABLE = "NOT APPLICABLE"

    @property
    def outcome(self) -> Outcome:
        """A survivor is a defect of the suite (outcome rule 5): the campaign FAILs."""
        return {
            Fate.SURVIVED: Outcome.FAIL,
            Fate.INCONCLUSIVE: Outcome.INCONCLUSIVE,
            Fate.BROKEN: Outcome.BROKEN,
        }.get(self, Outcome.PASS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """A guest in which a case has killed a mutant."""

    how: str
    """The first evidence, or the splat."""
    seconds: float
    """From the start of the program to its end."""
    writes: int
    """The case's counter `writes` at that time; 0 if it has none."""
    seed: int = 0
    """In the seeded schedule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseFate:
    """One case on one mutant, in all its guests."""

    case: str
    """suite/case"""
    fate: Fate
    guests: int
    seeds: tuple[int, ...] = ()
    """The seeds of these guests in the seeded schedule."""
    kills: tuple[Kill, ...] = ()
    reason: str = ""
    """Why it has not killed the mutant; empty if it has, or if it passed."""
    started: bool = True
    """False if in no guest its program was started: no kernel, or no guest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One mutant on one architecture."""

    mutant: str
    arch: str
    fate: Fate
    reason: str = ""
    """Why no guest was booted for it: equivalent, not applicable."""
    cases: tuple[CaseFate, ...] = ()
    """The cases that its Killed-By names; all that were run if it names only splats."""
    others: tuple[str, ...] = ()
    """suite/case of failures that its Killed-By does not name."""

    @property
    def kills(self) -> tuple[Kill, ...]:
        return tuple(kill for case in self.cases for kill in case.kills)


def fold(
    mutants: Sequence[Mutant], guests: Iterable[Guest], *, each_guest: bool = False
) -> tuple[Row, ...]:
    """A row for each mutant and architecture, in the mutants' order.

    `each_guest`: a case must kill in each of its guests, not only in one of them.
    """
    names = {mutant.name: mutant for mutant in mutants}
    grouped: dict[tuple[str, str], list[Guest]] = {}
    for spec, result in guests:
        key = (spec.request.mutant, spec.machine.arch)
        grouped.setdefault(key, []).append((spec, result))
    return tuple(
        _row(names[name], arch, grouped[name, arch], each_guest=each_guest)
        for name in names
        for arch in dict.fromkeys(arch for other, arch in grouped if other == name)
    )


def needs_no_guest(row: Row | None, mutant: Mutant, spec: RunSpec) -> bool:
    """True if the named cases of this spec have killed the mutant, or cannot be run.

    A program that was started and is BROKEN gets more guests, as a survivor does: with a mutant,
    memory of the kernel itself may be overwritten, and any system call may fail.
    """
    if row is None:
        return False
    selected = cases_of(spec)
    cases = [case for case in row.cases if case.case in selected]
    if not named_cases(mutant):
        return row.fate is Fate.KILLED or not any(case.started for case in cases)
    return all(case.fate is Fate.KILLED or not case.started for case in cases)


def named_cases(mutant: Mutant) -> tuple[str, ...]:
    """suite/case of the cases that its Killed-By names, without the splats."""
    return tuple(name for name in mutant.killed_by if not name.startswith(SPLAT))


def cases_of(spec: RunSpec) -> tuple[str, ...]:
    """suite/case of all that is run for a spec."""
    return tuple(
        f"{selection.suite}/{case.name}"
        for selection in spec.suites
        for case in suites.cases_of(selection)
    )


def summary(mutant: Mutant, result: RunResult) -> str:
    """One guest in one line, like `killed by stale_tlb/anon_lost_write after 0.9 s`."""
    words = []
    for name, case in result.cases.items():
        if killed(mutant.killed_by, name, case, result.splats):
            return f"killed by {name} after {case.seconds:.1f} s"
        words.append(f"{case.outcome} {name} {case.reason}".rstrip())
    return "; ".join(words) or f"{result.verdict.outcome} {result.verdict.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trial:
    """One case in one guest."""

    fate: Fate
    seed: int
    kill: Kill | None = None
    reason: str = ""
    started: bool = True


def _row(mutant: Mutant, arch: str, guests: Sequence[Guest], *, each_guest: bool) -> Row:
    named = named_cases(mutant)
    trials: dict[str, list[_Trial]] = {name: [] for name in named}
    others: list[str] = []
    for spec, result in guests:
        shown = result.cases
        for name in cases_of(spec):
            if name in named or not named:
                trial = _trial(mutant, spec, result, name, shown.get(name))
                trials.setdefault(name, []).append(trial)
            elif name in shown and shown[name].outcome is Outcome.FAIL:
                others.append(name)
    cases = tuple(
        _case(name, tried, each_guest=each_guest) if tried else _not_run(name, guests[0][0])
        for name, tried in trials.items()
    )
    fates = [case.fate for case in cases if case.guests]
    return Row(
        mutant=mutant.name,
        arch=arch,
        fate=_fate(fates, any_of=not named) if fates else Fate.INCONCLUSIVE,
        cases=cases,
        others=tuple(dict.fromkeys(others)),
    )


def _trial(
    mutant: Mutant, spec: RunSpec, result: RunResult, name: str, case: CaseResult | None
) -> _Trial:
    seed = spec.request.seed if isinstance(spec.machine.schedule, Seeded) else 0
    if case is None:
        # The kernel was not built, or the guest did not boot.
        return _Trial(fate=Fate.BROKEN, seed=seed, reason=result.verdict.reason, started=False)
    if how := killed(mutant.killed_by, name, case, result.splats):
        writes = dict(case.counters).get("writes", 0)
        kill = Kill(how=how, seconds=case.seconds, writes=writes, seed=seed)
        return _Trial(fate=Fate.KILLED, seed=seed, kill=kill)
    # A FAIL that does not kill: the mutant names only splats.
    fates = {
        Outcome.PASS: Fate.SURVIVED,
        Outcome.FAIL: Fate.SURVIVED,
        Outcome.BROKEN: Fate.BROKEN,
    }
    fate = fates.get(case.outcome, Fate.INCONCLUSIVE)
    return _Trial(fate=fate, seed=seed, reason=case.reason)


def _case(name: str, tried: Sequence[_Trial], *, each_guest: bool) -> CaseFate:
    kills = tuple(trial.kill for trial in tried if trial.kill)
    fate = _fate([trial.fate for trial in tried], any_of=not each_guest)
    # The last guest's: the first may have been lost by chance.
    reasons = [trial.reason for trial in tried if trial.fate is fate]
    return CaseFate(
        case=name,
        fate=fate,
        guests=len(tried),
        seeds=tuple(trial.seed for trial in tried if trial.seed),
        kills=kills,
        reason=reasons[-1],
        started=any(trial.started for trial in tried),
    )


def _fate(fates: Sequence[Fate], *, any_of: bool) -> Fate:
    """KILLED if all are, or with `any_of` if any is; otherwise the most severe of the others."""
    if Fate.KILLED in fates and any_of:
        return Fate.KILLED
    return max(fates, key=lambda fate: fate.outcome.severity)


def _not_run(name: str, spec: RunSpec) -> CaseFate:
    """A case that is named, and that no guest has run."""
    selection, _, case_name = name.partition("/")
    (case,) = (case for case in suites.pick(selection).cases if case.name == case_name)
    live_only = case.live_only if isinstance(spec.machine.schedule, Seeded) else ""
    reason = f"only in the live schedule: {live_only}" if live_only else "not selected"
    return CaseFate(case=name, fate=Fate.NOT_APPLICABLE, guests=0, reason=reason, started=False)
