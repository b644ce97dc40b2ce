# SPDX-License-Identifier: GPL-2.0-only
"""`rig mutate`: can the suites fail? Runs every mutant against the cases that its Killed-By names.

Each (mutant, architecture, case) has its own guest, so that damage by one case cannot make the next
one fail, or keep it from running. The clean kernel is run too, as mutant `none` of the same build:
a case that fails there is a defect of the case, and is reported first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import pydantic

from rig import arch as arches
from rig import log
from rig.campaigns import execute, old_results, record, stored
from rig.campaigns import request as requests
from rig.campaigns.fates import Fate, Guest, Row, fold, named_cases, needs_no_guest, summary
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import unknown
from rig.guest.console import SplatKind
from rig.guest.qemu import Machine, Seeded
from rig.history import unread
from rig.kernel import mutant as mutant_patches
from rig.kernel import tree
from rig.kernel.mutant import NONE, Mutant
from rig.store import write_whole
from rig.suites import suite as suites
from rig.suites.suite import Selection
from rig.verdict.rules import SPLAT, CaseResult, Outcome
from rig.version import KernelVersion

FILE = unread.MUTATION


MORE_GUESTS = 7
"""In the live schedule a race is not lost in every guest: a case that has not killed a mutant gets
this many more guests at most. The seeded schedule proves what does not depend on luck."""


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
            selections = _selections(mutant, _runnable(spec), all_cases=all_cases)
            wanted = _selections(mutant, spec.suites, all_cases=all_cases)
            if wanted and not selections:
                rows.append(_live_only(mutant, spec.machine, wanted[0]))
            used |= set(selections)
            broken = spec.but(mutant=mutant.name)
            trials += [replace(broken, suites=(selection,)) for selection in selections]
        unbroken = spec.but(mutant=NONE)
        clean += [
            replace(unbroken, suites=(selection,)) for selection in _merged(spec.suites, used)
        ]
    if not trials:  # a campaign without a guest proves nothing, and must not pass
        reasons = [(f"{row.mutant} on {row.arch}", row.reason) for row in rows]
        why = (
            "" if len(rows) == len(specs) * len(mutants) else "Killed-By names none of these cases"
        )
        raise mutant_patches.nothing_runs(reasons, why)
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


def _live_only(mutant: Mutant, machine: Machine, selection: Selection) -> Row:
    """The row of a mutant that only cases of the live schedule can kill."""
    case = suites.cases_of(selection)[0]
    reason = f"only in the live schedule, by {case.name}: {case.live_only}"
    return Row(mutant=mutant.name, arch=machine.arch, fate=Fate.NOT_APPLICABLE, reason=reason)


def _runnable(spec: RunSpec) -> list[Selection]:
    """The selected cases that run in the schedule of this spec."""
    runnable = []
    for selection in spec.suites:
        cases = suites.cases_of(selection)
        if isinstance(spec.machine.schedule, Seeded):
            cases = tuple(case for case in cases if not case.live_only)
        if cases:
            names = tuple(case.name for case in cases)
            runnable.append(Selection(suite=selection.suite, cases=names))
    return runnable


def _selections(
    mutant: Mutant, selected: Sequence[Selection], *, all_cases: bool
) -> list[Selection]:
    """A selection for each case that the Killed-By names; for every case if it names only splats.

    With `all_cases`, another one for the other cases of each suite.
    """
    named = named_cases(mutant)
    single: list[Selection] = []
    others: list[Selection] = []
    for selection in selected:
        names = [case.name for case in suites.cases_of(selection)]
        alone = [name for name in names if not named or f"{selection.suite}/{name}" in named]
        single += (Selection(suite=selection.suite, cases=(name,)) for name in alone)
        if rest := tuple(name for name in names if name not in alone):
            others.append(Selection(suite=selection.suite, cases=rest))
    return [*single, *others] if all_cases else single


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

    `request.repeat` is for the mutants, which must then be killed each time; the clean kernel is
    run once. With `seeds` each case is run with one seed after the other until it has killed the
    mutant, and the clean kernel with the seeds that killed one.
    """
    mutants = choose(mutant_patches.load_all(context.shelves.patches), names)
    check_named(mutants)
    if request.tree is None:
        mutant_patches.check_release(mutants, request.target)
    specs = requests.specs(context, replace(request, repeat=1))
    version = tree.materialize(context.store, specs[0].tree).version
    planned = plan(specs, mutants, version, all_cases=all_cases)
    directory = execute.new_directory(context.store, f"mutate-{specs[0].tree.label}")
    with log.step(f"Mutating {specs[0].tree.label}: {len(mutants)} mutants") as step:

        def run_all(runs: Sequence[RunSpec], suffix: str = "") -> list[Guest]:
            report = _reporter(step, mutants, len(runs))
            results = execute.execute(context, runs, directory, suffix=suffix, on_result=report)
            return list(zip(runs, results, strict=True))

        if seeds:
            rows = _until_killed(mutants, planned.trials, _by_seed(seeds), run_all)
            clean = [
                guest
                for seed, runs in _clean_at(planned.clean, rows).items()
                for guest in run_all(runs, f"-seed-{seed}")
            ]
        else:
            clean = run_all(planned.clean) if planned.clean else []
            attempts = _again(request.repeat)
            rows = _until_killed(mutants, planned.trials, attempts, run_all, repeat=request.repeat)
    mutation = Mutation(
        label=specs[0].tree.label,
        origin=specs[0].tree.base.origin,
        repeat=request.repeat,
        clean=tuple(result for _, result in clean),
        rows=(*rows, *planned.rows),
    )
    write_whole(directory / FILE, _MUTATION.dump_json(mutation, indent=1))
    record.stored_now(directory / FILE)
    return mutation, directory


Attempt = tuple[str, Callable[[RunSpec], RunSpec]]
"""A suffix for the names of the guests' directories, and what is changed in their specs."""
RunAll = Callable[[Sequence[RunSpec], str], list[Guest]]


def _by_seed(seeds: Sequence[int]) -> Iterator[Attempt]:
    for seed in seeds:
        yield f"-seed-{seed}", partial(requests.at_seed, seed=seed)


def _again(repeat: int) -> Iterator[Attempt]:
    """With --repeat there are no more guests than were asked for."""
    yield "", lambda spec: spec
    for number in range(1, MORE_GUESTS + 1) if repeat == 1 else ():
        yield f"-again-{number}", lambda spec: spec


def _until_killed(
    mutants: Sequence[Mutant],
    trials: Sequence[RunSpec],
    attempts: Iterable[Attempt],
    run_all: RunAll,
    *,
    repeat: int = 1,
) -> tuple[Row, ...]:
    """A row for each mutant and architecture. A case gets guests until it has killed the mutant."""
    names = {mutant.name: mutant for mutant in mutants}
    guests: list[Guest] = []
    rows: tuple[Row, ...] = ()
    for suffix, changed in attempts:
        by_mutant = {(row.mutant, row.arch): row for row in rows}
        alive = [
            changed(spec)
            for spec in trials
            if not needs_no_guest(
                by_mutant.get((spec.request.mutant, spec.machine.arch)),
                names[spec.request.mutant],
                spec,
            )
        ]
        if not alive:
            break
        guests += run_all(alive * repeat, suffix)
        rows = fold(mutants, guests, each_guest=repeat > 1)
    return rows


def _clean_at(clean: Sequence[RunSpec], rows: Sequence[Row]) -> dict[int, list[RunSpec]]:
    """Seed -> specs of the clean kernel, with the cases that killed a mutant with that seed."""
    killing = {
        (kill.seed, row.arch, case.case)
        for row in rows
        for case in row.cases
        for kill in case.kills
    }
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
    names = {mutant.name: mutant for mutant in mutants}
    finished = count(1)

    def report(result: RunResult) -> None:
        name = result.provenance.request.mutant
        title = f"{name} on {result.machine.arch}"
        if name == NONE:
            step.note(f"{title}: {result.verdict.outcome} {result.verdict.reason}")
        else:
            step.note(f"{title}: {summary(names[name], result)}")
        step.progress(next(finished), total, title)

    return report


_MUTATION = pydantic.TypeAdapter(Mutation)


def load(directory: Path) -> Mutation | None:
    """The result stored in the directory; None if another campaign is stored there."""
    path = directory / FILE
    if not path.is_file():
        return None
    return stored.read(
        path, lambda document: _MUTATION.validate_python(old_results.mutation(document))
    )


def choose(mutants: tuple[Mutant, ...], names: Sequence[str]) -> tuple[Mutant, ...]:
    """The named mutants, or all. Raises ConfigError for an unknown name."""
    for name in names:
        mutant_patches.check_name(mutants, name)
    return tuple(mutant for mutant in mutants if not names or mutant.name in names)
