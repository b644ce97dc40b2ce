# SPDX-License-Identifier: GPL-2.0-only
"""Are the suites able to fail? Every mutant against the cases that name it.

Each (mutant, architecture, case) has a guest of its own: what one case broke is not the next one's
to notice. The clean kernel is run too, as mutant `none` of the same build: a case that fails there
is a defect of the case, and is reported before everything else.
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
from rig.campaigns import execute, old_results, request
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import ConfigError, unknown
from rig.guest.console import SplatKind
from rig.guest.qemu import Machine, Seeded
from rig.kernel import mutant, tree
from rig.kernel.mutant import NONE, Mutant
from rig.store import write_whole
from rig.suites import suite
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
        """A survivor is the suite's defect (outcome rule 5), so it fails the campaign."""
        return {Fate.SURVIVED: Outcome.FAIL, Fate.BROKEN: Outcome.BROKEN}.get(self, Outcome.PASS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """One case against one mutant, once."""

    case: str
    """suite/case"""
    how: str
    """The first evidence, or the splat; "" where it noticed nothing."""
    seconds: float
    """Of the guest, from the start of the program to its end."""
    writes: int
    """How many writes the case had done by then; 0 where it does not count them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    mutant: str
    arch: str
    fate: Fate
    seed: int = 0
    """The first one that killed it, where seeds were tried; or the last."""
    reason: str = ""
    """Why it is equivalent, does not apply, or is broken."""
    kills: tuple[Kill, ...] = ()
    missed: tuple[str, ...] = ()
    """suite/case of those that name it and noticed nothing, once for each time."""
    others: tuple[str, ...] = ()
    """What else failed, without being named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """What a campaign has shown."""

    label: str
    origin: str
    repeat: int
    clean: tuple[RunResult, ...]
    rows: tuple[Row, ...]

    @property
    def clean_failures(self) -> tuple[tuple[str, str, CaseResult], ...]:
        """(architecture, suite, case) of whatever is no PASS and no SKIP without a mutant."""
        return tuple(
            (result.machine.arch, one.suite, case)
            for result in self.clean
            for one in result.suites
            for case in one.cases
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
    """Those that need no guest."""
    clean: tuple[RunSpec, ...]
    """Run first: that the instrumented kernels are built is seen before the long part begins."""
    trials: tuple[RunSpec, ...]


def plan(
    specs: Sequence[RunSpec], mutants: Sequence[Mutant], version: KernelVersion, *, all_cases: bool
) -> Plan:
    """`specs`, one for each architecture with the selected cases, times the mutants.

    Raises ConfigError where none of the mutants is named by any of the cases.
    """
    rows: list[Row] = []
    trials: list[RunSpec] = []
    clean: list[RunSpec] = []
    for spec in specs:
        used: set[Selection] = set()
        for one in mutants:
            if row := _spared(one, spec.machine, version):
                rows.append(row)
                continue
            chosen = spec.suites if all_cases else _naming(one, spec.suites)
            if isinstance(spec.machine.schedule, Seeded) and (why := _live_only(chosen)):
                fate = Fate.NOT_APPLICABLE
                rows.append(Row(mutant=one.name, arch=spec.machine.arch, fate=fate, reason=why))
                continue
            used |= set(chosen)
            broken = spec.but(mutant=one.name)
            trials += [replace(broken, suites=(selection,)) for selection in chosen]
        whole = spec.but(mutant=NONE)
        clean += [replace(whole, suites=(one,)) for one in _merged(spec.suites, used)]
    if not trials and not rows:
        raise ConfigError(
            "none of these cases is named by any of these mutants", hint="--all-cases runs them all"
        )
    return Plan(rows=tuple(rows), clean=tuple(clean), trials=tuple(trials))


def check_named(mutants: Sequence[Mutant]) -> None:
    """Raise ConfigError for a Killed-By or an Equivalent-On that names nothing there is."""
    cases = suite.case_names(suite.known().values())
    splats = {f"{SPLAT}{kind}" for kind in SplatKind}
    for one in mutants:
        where = f"patches/mutants/{one.name}.cocci"
        for name in one.killed_by:
            if name.startswith(SPLAT):
                if name.split(":")[0] not in splats:
                    raise unknown(f"splat for the Killed-By of {where}", name, splats)
            elif name not in cases:
                raise unknown(f"case for the Killed-By of {where}", name, cases)
        for name, _ in one.equivalent_on:
            if name not in arches.known():
                raise unknown(
                    f"architecture for the Equivalent-On of {where}", name, arches.known()
                )


def _spared(one: Mutant, machine: Machine, version: KernelVersion) -> Row | None:
    """The row of a mutant that cannot be noticed there, with the reason its header gives."""
    if why := one.absent(version):
        return Row(mutant=one.name, arch=machine.arch, fate=Fate.NOT_APPLICABLE, reason=why)
    if why := one.equivalent(machine.arch):
        return Row(mutant=one.name, arch=machine.arch, fate=Fate.EQUIVALENT, reason=why)
    return None


def _live_only(chosen: Sequence[Selection]) -> str:
    """Why none of these cases has seeds: what kills it live stands."""
    cases = [case for selection in chosen for case in suite.cases_of(selection)]
    if not cases or not all(case.live_only for case in cases):
        return ""
    return f"only live, by {cases[0].name}: {cases[0].live_only}"


def _naming(one: Mutant, selected: Sequence[Selection]) -> list[Selection]:
    """A selection for each case that names the mutant; all there are where only splats do."""
    cases = [(some.suite, case.name) for some in selected for case in suite.cases_of(some)]
    named = [pair for pair in cases if "/".join(pair) in one.killed_by]
    if all(name.startswith(SPLAT) for name in one.killed_by):
        named = cases
    return [Selection(suite=name, cases=(case,)) for name, case in named]


def _merged(selected: Sequence[Selection], used: set[Selection]) -> list[Selection]:
    """The cases in use, a selection for each suite, in the suites' own order."""
    wanted = {(one.suite, case.name) for one in used for case in suite.cases_of(one)}
    merged = (
        Selection(
            suite=one.suite,
            cases=tuple(
                case.name for case in suite.cases_of(one) if (one.suite, case.name) in wanted
            ),
        )
        for one in selected
    )
    return [one for one in merged if one.cases]


def mutate(
    context: Context,
    asked: Request,
    names: Sequence[str],
    *,
    all_cases: bool,
    seeds: Sequence[int] = (),
) -> tuple[Mutation, Path]:
    """Mutants by name, or all, against a target: what came out, and where it is stored.

    `asked.repeat` is for the mutants; the clean kernel is run once. With `seeds` each mutant has
    one after the other until it is killed, and the clean kernel has the seeds that killed.
    """
    mutants = choose(mutant.load_all(context.shelves.patches), names)
    check_named(mutants)
    specs = request.specs(context, replace(asked, repeat=1))
    version = tree.materialize(context.store, specs[0].tree).version
    planned = plan(specs, mutants, version, all_cases=all_cases)
    directory = execute.new_directory(context.store, f"mutate-{specs[0].tree.label}")
    with log.step(f"Mutating {specs[0].tree.label}: {len(mutants)} mutants") as step:

        def run_all(runs: Sequence[RunSpec], suffix: str = "") -> tuple[RunResult, ...]:
            said = _reporter(step, mutants, len(runs))
            return execute.execute(context, runs, directory, suffix=suffix, on_result=said)

        if seeds:
            rows = _by_seeds(mutants, planned.trials, seeds, run_all)
            clean = tuple(
                result
                for seed, runs in _clean_at(planned.clean, rows).items()
                for result in run_all(runs, f"-seed-{seed}")
            )
        else:
            results = run_all((*planned.clean, *(planned.trials * asked.repeat)))
            clean = results[: len(planned.clean)]
            rows = fold(mutants, results[len(planned.clean) :])
    done = Mutation(
        label=specs[0].tree.label,
        origin=specs[0].tree.base.origin,
        repeat=asked.repeat,
        clean=clean,
        rows=(*rows, *planned.rows),
    )
    write_whole(directory / FILE, _MUTATION.dump_json(done, indent=1))
    return done, directory


def _by_seeds(
    mutants: Sequence[Mutant],
    trials: Sequence[RunSpec],
    seeds: Sequence[int],
    run_all: Callable[[Sequence[RunSpec], str], tuple[RunResult, ...]],
) -> tuple[Row, ...]:
    """A row for each mutant and architecture: of the seed that killed it, or of the last."""
    rows: dict[tuple[str, str], Row] = {}
    for seed in seeds:
        left = [request.at_seed(spec, seed) for spec in trials if not _is_dead(rows, spec)]
        if not left:
            break
        for row in fold(mutants, run_all(left, f"-seed-{seed}")):
            rows[row.mutant, row.arch] = replace(row, seed=seed)
    return tuple(rows.values())


def _is_dead(rows: dict[tuple[str, str], Row], spec: RunSpec) -> bool:
    row = rows.get((spec.request.mutant, spec.machine.arch))
    return row is not None and row.fate is Fate.KILLED


def _clean_at(clean: Sequence[RunSpec], rows: Sequence[Row]) -> dict[int, list[RunSpec]]:
    """By seed: the clean kernel, with the cases that have killed a mutant at that very seed."""
    killing = {(row.seed, row.arch, kill.case) for row in rows for kill in row.kills}
    found: dict[int, list[RunSpec]] = {}
    for seed in sorted({seed for seed, _, _ in killing}):
        for spec in clean:
            (one,) = spec.suites
            cases = tuple(
                case.name
                for case in suite.cases_of(one)
                if (seed, spec.machine.arch, f"{one.suite}/{case.name}") in killing
            )
            if cases:
                some = replace(spec, suites=(replace(one, cases=cases),))
                found.setdefault(seed, []).append(request.at_seed(some, seed))
    return found


def _reporter(step: log.Step, mutants: Sequence[Mutant], total: int) -> Callable[[RunResult], None]:
    """Says what each guest has shown, as it is known."""
    done = count(1)

    def report(result: RunResult) -> None:
        name = result.provenance.request.mutant
        what = f"{name} on {result.machine.arch}"
        if name == NONE:
            step.note(f"{what}: {result.verdict.outcome} {result.verdict.reason}")
        else:
            for row in fold(mutants, [result]):
                step.note(f"{what}: {summary(row)}")
        step.progress(next(done), total, what)

    return report


def summary(row: Row) -> str:
    """`killed by stale_tlb/anon_lost_write after 0.9 s`, in one line."""
    if row.kills:
        first = min(row.kills, key=lambda kill: kill.seconds)
        return f"killed by {first.case} after {first.seconds:.1f} s"
    return " ".join(filter(None, (row.fate.lower(), ", ".join(row.missed), row.reason)))


def fold(mutants: Sequence[Mutant], results: Sequence[RunResult]) -> tuple[Row, ...]:
    """A row for each mutant and architecture, in the mutants' order."""
    names = {one.name: one for one in mutants}
    grouped: dict[tuple[str, str], list[RunResult]] = {}
    for result in results:
        key = (result.provenance.request.mutant, result.machine.arch)
        grouped.setdefault(key, []).append(result)
    return tuple(
        _row(names[name], arch, grouped[name, arch])
        for name in names
        for arch in dict.fromkeys(arch for other, arch in grouped if other == name)
    )


def _row(broken_by: Mutant, arch: str, results: Sequence[RunResult]) -> Row:
    tried: dict[str, list[Kill | None]] = {}
    others, broken = [], ""
    for result in results:
        by = killed(broken_by.killed_by, result.suites, result.splats)
        splat = by if by and by.startswith(SPLAT) else ""
        for one in result.suites:
            for case in one.cases:
                name, failed = f"{one.suite}/{case.name}", case.outcome is Outcome.FAIL
                if splat or name in broken_by.killed_by:
                    kill = _kill(name, case, splat or case.reason) if splat or failed else None
                    tried.setdefault(name, []).append(kill)
                elif failed:
                    others.append(name)
        if not by and result.verdict.outcome is not Outcome.PASS:
            broken = broken or result.verdict.reason
    if any(all(kills) for kills in tried.values()):
        fate, broken = Fate.KILLED, ""
    else:
        fate = Fate.SURVIVED if tried else Fate.BROKEN
    return Row(
        mutant=broken_by.name,
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
    """The campaign stored there, if it was one."""
    path = directory / FILE
    if not path.is_file():
        return None
    return _MUTATION.validate_python(old_results.mutation(json.loads(path.read_bytes())))


def choose(mutants: tuple[Mutant, ...], names: Sequence[str]) -> tuple[Mutant, ...]:
    """Those named, or all; ConfigError with the nearest names for what is none."""
    for name in names:
        mutant.check_name(mutants, name)
    return tuple(one for one in mutants if not names or one.name in names)
