# SPDX-License-Identifier: GPL-2.0-only
"""`rig mutate`: can the suites fail? Runs every mutant against the cases that its Killed-By names.

Each (mutant, architecture, case) has its own guest, so that damage by one case cannot make the next
one fail. The clean kernel is run too, as mutant `none` of the same build: a case that fails there
is a defect of the case, and is reported first.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from pathlib import Path

import pydantic

from rig import arch as arches
from rig import log
from rig.campaigns import execute, old_results
from rig.campaigns import request as requests
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import ConfigError, unknown
from rig.guest.console import SplatKind
from rig.guest.qemu import Machine, Seeded
from rig.kernel import mutant as mutant_patches
from rig.kernel import tree
from rig.kernel.mutant import NONE, Mutant
from rig.store import write_whole
from rig.suites import suite as suites
from rig.suites.suite import Selection
from rig.verdict.rules import SPLAT, CaseResult, Outcome, killed
from rig.version import KernelVersion

FILE = "mutation.json"


class Fate(StrEnum):
    KILLED = "KILLED"
    SURVIVED = "SURVIVED"
    BROKEN = "BROKEN"
    EQUIVALENT = "EQUIVALENT"
    NOT_APPLICABLE = "NOT APPLICABLE"

    @property
    def outcome(self) -> Outcome:
        """A survivor is a defect of the suite (outcome rule 5): the campaign FAILs."""
        return {Fate.SURVIVED: Outcome.FAIL, Fate.BROKEN: Outcome.BROKEN}.get(self, Outcome.PASS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """One case against one mutant, once."""

    case: str
    """suite/case"""
    how: str
    """The first evidence, or the splat."""
    seconds: float
    """From the start of the program to its end."""
    writes: int
    """The case's counter `writes` at that time; 0 if it has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    mutant: str
    arch: str
    fate: Fate
    seed: int = 0
    """With --seeds: the first seed that killed it, or else the last one."""
    reason: str = ""
    """Why it is equivalent, does not apply, or is broken."""
    kills: tuple[Kill, ...] = ()
    missed: tuple[str, ...] = ()
    """suite/case of each run of a case that its Killed-By names and that did not fail."""
    others: tuple[str, ...] = ()
    """suite/case of failures that its Killed-By does not name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """The result of a campaign."""

    label: str
    origin: str
    repeat: int
    clean: tuple[RunResult, ...]
    rows: tuple[Row, ...]

    @property
    def clean_failures(self) -> tuple[tuple[str, str, CaseResult], ...]:
        """(architecture, suite, case) of clean cases that are neither PASS nor SKIP."""
        return tuple(
            (result.machine.arch, suite.suite, case)
            for result in self.clean
            for suite in result.suites
            for case in suite.cases
            if case.outcome not in (Outcome.PASS, Outcome.SKIP)
        )

    @property
    def outcome(self) -> Outcome:
        clean = (result.verdict.outcome for result in self.clean)
        fates = (row.fate.outcome for row in self.rows)
        return Outcome.worst((*clean, *fates))


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    rows: tuple[Row, ...]
    """Rows of mutants that need no guest."""
    clean: tuple[RunSpec, ...]
    """Run first, so that an instrumented kernel that does not build is seen at once."""
    trials: tuple[RunSpec, ...]


def plan(
    specs: Sequence[RunSpec], mutants: Sequence[Mutant], version: KernelVersion, *, all_cases: bool
) -> Plan:
    """The runs for these mutants. `specs`: one for each architecture, with the selected cases.

    Raises ConfigError if no Killed-By of these mutants names any of these cases.
    """
    rows: list[Row] = []
    trials: list[RunSpec] = []
    clean: list[RunSpec] = []
    for spec in specs:
        used: set[Selection] = set()
        for mutant in mutants:
            if row := _not_run(mutant, spec.machine, version):
                rows.append(row)
                continue
            selections = spec.suites if all_cases else _named_cases(mutant, spec.suites)
            if isinstance(spec.machine.schedule, Seeded) and (why := _live_only(selections)):
                fate = Fate.NOT_APPLICABLE
                rows.append(Row(mutant=mutant.name, arch=spec.machine.arch, fate=fate, reason=why))
                continue
            used |= set(selections)
            broken = spec.but(mutant=mutant.name)
            trials += [replace(broken, suites=(selection,)) for selection in selections]
        unbroken = spec.but(mutant=NONE)
        clean += [
            replace(unbroken, suites=(selection,)) for selection in _merged(spec.suites, used)
        ]
    if not trials and not rows:
        raise ConfigError(
            "the Killed-By of these mutants names none of these cases",
            hint="--all-cases runs them all",
        )
    return Plan(rows=tuple(rows), clean=tuple(clean), trials=tuple(trials))


def check_named(mutants: Sequence[Mutant]) -> None:
    """Raise ConfigError for an unknown name in a Killed-By or an Equivalent-On."""
    cases = suites.case_names(suites.known().values())
    splats = {f"{SPLAT}{kind}" for kind in SplatKind}
    for mutant in mutants:
        where = f"patches/mutants/{mutant.name}.cocci"
        for name in mutant.killed_by:
            if name.startswith(SPLAT):
                if name.split(":")[0] not in splats:
                    raise unknown(f"splat for the Killed-By of {where}", name, splats)
            elif name not in cases:
                raise unknown(f"case for the Killed-By of {where}", name, cases)
        for name, _ in mutant.equivalent_on:
            if name not in arches.known():
                raise unknown(
                    f"architecture for the Equivalent-On of {where}", name, arches.known()
                )


def _not_run(mutant: Mutant, machine: Machine, version: KernelVersion) -> Row | None:
    """The row of a mutant that cannot be detected on this kernel or machine, with the reason."""
    if reason := mutant.absent(version):
        return Row(mutant=mutant.name, arch=machine.arch, fate=Fate.NOT_APPLICABLE, reason=reason)
    if reason := mutant.equivalent(machine.arch):
        return Row(mutant=mutant.name, arch=machine.arch, fate=Fate.EQUIVALENT, reason=reason)
    return None


def _live_only(selections: Sequence[Selection]) -> str:
    """Why none of these cases runs in the seeded schedule; empty if one does."""
    cases = [case for selection in selections for case in suites.cases_of(selection)]
    if not cases or not all(case.live_only for case in cases):
        return ""
    return f"only in the live schedule, by {cases[0].name}: {cases[0].live_only}"


def _named_cases(mutant: Mutant, selected: Sequence[Selection]) -> list[Selection]:
    """A selection for each case that the Killed-By names; all cases if it names only splats."""
    cases = [
        (selection.suite, case.name)
        for selection in selected
        for case in suites.cases_of(selection)
    ]
    named = [pair for pair in cases if "/".join(pair) in mutant.killed_by]
    if all(name.startswith(SPLAT) for name in mutant.killed_by):
        named = cases
    return [Selection(suite=name, cases=(case,)) for name, case in named]


def _merged(selected: Sequence[Selection], used: set[Selection]) -> list[Selection]:
    """The used cases, with one selection for each suite, in the order of `selected`."""
    names = {
        (selection.suite, case.name) for selection in used for case in suites.cases_of(selection)
    }
    merged = []
    for selection in selected:
        cases = (case.name for case in suites.cases_of(selection))
        used_cases = tuple(name for name in cases if (selection.suite, name) in names)
        if used_cases:
            merged.append(Selection(suite=selection.suite, cases=used_cases))
    return merged


def mutate(
    context: Context,
    request: Request,
    names: Sequence[str],
    *,
    all_cases: bool,
    seeds: Sequence[int] = (),
) -> tuple[Mutation, Path]:
    """Run the named mutants (none: all) on a target; returns the result and its directory.

    `request.repeat` is for the mutants; the clean kernel is run once. With `seeds` each mutant is
    run with one seed after the other until it is killed, and the clean kernel with the seeds that
    killed a mutant.
    """
    mutants = choose(mutant_patches.load_all(context.shelves.patches), names)
    check_named(mutants)
    specs = requests.specs(context, replace(request, repeat=1))
    version = tree.materialize(context.store, specs[0].tree).version
    planned = plan(specs, mutants, version, all_cases=all_cases)
    directory = execute.new_directory(context.store, f"mutate-{specs[0].tree.label}")
    with log.step(f"Mutating {specs[0].tree.label}: {len(mutants)} mutants") as step:

        def run_all(runs: Sequence[RunSpec], suffix: str = "") -> tuple[RunResult, ...]:
            report = _reporter(step, mutants, len(runs))
            return execute.execute(context, runs, directory, suffix=suffix, on_result=report)

        if seeds:
            rows = _by_seeds(mutants, planned.trials, seeds, run_all)
            clean = tuple(
                result
                for seed, runs in _clean_at(planned.clean, rows).items()
                for result in run_all(runs, f"-seed-{seed}")
            )
        else:
            results = run_all((*planned.clean, *(planned.trials * request.repeat)))
            clean = results[: len(planned.clean)]
            rows = fold(mutants, results[len(planned.clean) :])
    mutation = Mutation(
        label=specs[0].tree.label,
        origin=specs[0].tree.base.origin,
        repeat=request.repeat,
        clean=clean,
        rows=(*rows, *planned.rows),
    )
    write_whole(directory / FILE, _MUTATION.dump_json(mutation, indent=1))
    return mutation, directory


def _by_seeds(
    mutants: Sequence[Mutant],
    trials: Sequence[RunSpec],
    seeds: Sequence[int],
    run_all: Callable[[Sequence[RunSpec], str], tuple[RunResult, ...]],
) -> tuple[Row, ...]:
    """A row for each mutant and architecture, from the seed that killed it, or from the last."""
    rows: dict[tuple[str, str], Row] = {}
    for seed in seeds:
        alive = [requests.at_seed(spec, seed) for spec in trials if not _is_killed(rows, spec)]
        if not alive:
            break
        for row in fold(mutants, run_all(alive, f"-seed-{seed}")):
            rows[row.mutant, row.arch] = replace(row, seed=seed)
    return tuple(rows.values())


def _is_killed(rows: dict[tuple[str, str], Row], spec: RunSpec) -> bool:
    row = rows.get((spec.request.mutant, spec.machine.arch))
    return row is not None and row.fate is Fate.KILLED


def _clean_at(clean: Sequence[RunSpec], rows: Sequence[Row]) -> dict[int, list[RunSpec]]:
    """Seed -> specs of the clean kernel, with the cases that killed a mutant with that seed."""
    killing = {(row.seed, row.arch, kill.case) for row in rows for kill in row.kills}
    by_seed: dict[int, list[RunSpec]] = {}
    for seed in sorted({seed for seed, _, _ in killing}):
        for spec in clean:
            (selection,) = spec.suites
            cases = tuple(
                case.name
                for case in suites.cases_of(selection)
                if (seed, spec.machine.arch, f"{selection.suite}/{case.name}") in killing
            )
            if cases:
                narrowed = replace(spec, suites=(replace(selection, cases=cases),))
                by_seed.setdefault(seed, []).append(requests.at_seed(narrowed, seed))
    return by_seed


def _reporter(step: log.Step, mutants: Sequence[Mutant], total: int) -> Callable[[RunResult], None]:
    """A function that notes the result of a guest in the log step."""
    finished = count(1)

    def report(result: RunResult) -> None:
        name = result.provenance.request.mutant
        title = f"{name} on {result.machine.arch}"
        if name == NONE:
            step.note(f"{title}: {result.verdict.outcome} {result.verdict.reason}")
        else:
            for row in fold(mutants, [result]):
                step.note(f"{title}: {summary(row)}")
        step.progress(next(finished), total, title)

    return report


def summary(row: Row) -> str:
    """One line, like `killed by stale_tlb/anon_lost_write after 0.9 s`."""
    if row.kills:
        first = min(row.kills, key=lambda kill: kill.seconds)
        return f"killed by {first.case} after {first.seconds:.1f} s"
    return " ".join(filter(None, (row.fate.lower(), ", ".join(row.missed), row.reason)))


def fold(mutants: Sequence[Mutant], results: Sequence[RunResult]) -> tuple[Row, ...]:
    """A row for each mutant and architecture, in the mutants' order."""
    names = {mutant.name: mutant for mutant in mutants}
    grouped: dict[tuple[str, str], list[RunResult]] = {}
    for result in results:
        key = (result.provenance.request.mutant, result.machine.arch)
        grouped.setdefault(key, []).append(result)
    return tuple(
        _row(names[name], arch, grouped[name, arch])
        for name in names
        for arch in dict.fromkeys(arch for other, arch in grouped if other == name)
    )


def _row(mutant: Mutant, arch: str, results: Sequence[RunResult]) -> Row:
    tried: dict[str, list[Kill | None]] = {}
    others, broken = [], ""
    for result in results:
        killer = killed(mutant.killed_by, result.suites, result.splats)
        splat = killer if killer and killer.startswith(SPLAT) else ""
        for suite in result.suites:
            for case in suite.cases:
                name, failed = f"{suite.suite}/{case.name}", case.outcome is Outcome.FAIL
                if splat or name in mutant.killed_by:
                    kill = _kill(name, case, splat or case.reason) if splat or failed else None
                    tried.setdefault(name, []).append(kill)
                elif failed:
                    others.append(name)
        if not killer and result.verdict.outcome is not Outcome.PASS:
            broken = broken or result.verdict.reason
    if any(all(kills) for kills in tried.values()):
        fate, broken = Fate.KILLED, ""
    else:
        fate = Fate.SURVIVED if tried else Fate.BROKEN
    return Row(
        mutant=mutant.name,
        arch=arch,
        fate=fate,
        reason=broken,
        kills=tuple(kill for kills in tried.values() for kill in kills if kill),
        missed=tuple(name for name, kills in tried.items() for kill in kills if not kill),
        others=tuple(dict.fromkeys(others)),
    )


def _kill(name: str, case: CaseResult, how: str) -> Kill:
    writes = dict(case.counters).get("writes", 0)
    return Kill(case=name, how=how, seconds=case.seconds, writes=writes)


_MUTATION = pydantic.TypeAdapter(Mutation)


def load(directory: Path) -> Mutation | None:
    """The result stored in the directory; None if another campaign is stored there."""
    path = directory / FILE
    if not path.is_file():
        return None
    return _MUTATION.validate_python(old_results.mutation(json.loads(path.read_bytes())))


def choose(mutants: tuple[Mutant, ...], names: Sequence[str]) -> tuple[Mutant, ...]:
    """The named mutants, or all. Raises ConfigError for an unknown name."""
    for name in names:
        mutant_patches.check_name(mutants, name)
    return tuple(mutant for mutant in mutants if not names or mutant.name in names)
