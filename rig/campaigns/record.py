# SPDX-License-Identifier: GPL-2.0-only
"""Fills the history with what campaigns store: each result when it is stored, old ones once.

A result is a result.json of any campaign, a seed.json of `rig explore`, or a mutation.json. What
`rig bench` compares is in the result.json of its rounds.
"""

import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydantic

from rig import log
from rig.benches import benchmark
from rig.campaigns import old_results, stored
from rig.campaigns.fates import Fate as FateOf
from rig.campaigns.fates import Row
from rig.campaigns.options import OPTIONS, Request
from rig.campaigns.results import Provenance, RunResult, RunSpec, provenance
from rig.errors import InfraError, RigError
from rig.guest.qemu import Machine, Seeded
from rig.history import database, unread
from rig.history.entries import Entry, Fate, Measured, Result, Run, Setup, Tree
from rig.history.unread import KERNEL, MUTATION, NIGHT, RESULT, SEED
from rig.store import Store
from rig.suites import suite as suites
from rig.verdict.rules import CaseResult, Outcome, SuiteResult, Verdict

HEALTH = ("kernel", "health")
"""The line of a run itself: that it builds and boots, and has no splat that belongs to no case."""
BATCH = 100
"""Directories that are imported in one transaction."""
NAME = re.compile(r"(\d{4})(\d\d)(\d\d)-\d{6}-")


def stored_now(path: Path) -> None:
    """Add a file that has just been stored. A history that cannot be written costs no verdict: a
    note says so, and the next `rig history` imports the run."""
    root = _root(path)
    if root is None or not unread.belongs(path):
        return
    try:
        with database.writing(Store(root)) as writer:
            writer.add(_entries(root, path))
    except (*stored.WRONG, RigError, OSError) as error:
        _note_once(str(error))


@functools.cache
def _note_once(reason: str) -> None:
    log.note(f"not in the history yet: {reason}")


def _root(path: Path) -> Path | None:
    """The store of a file in its runs/ or explored/; None for a file elsewhere."""
    kinds = (parent for parent in path.parents if parent.name in ("runs", "explored"))
    return next((kind.parent for kind in kinds), None)


def import_new(store: Store) -> None:
    """Import all that is stored and not in the history yet."""
    if new := unread.campaigns(store):
        import_all(store, new)


def import_all(store: Store, directories: Sequence[Path]) -> int:
    """Import what is stored in them and not in the history yet; returns the number of results.

    A directory is read until nothing in it is pending. What cannot be read is not tried again.
    """
    added = 0
    title = f"Importing {len(directories)} stored campaign{'s' * (len(directories) != 1)}"
    with log.step(f"{title} into the history") as step:
        for start in range(0, len(directories), BATCH):
            with database.writing(store) as writer:
                for directory in directories[start : start + BATCH]:
                    added += _import(store.root, writer, directory)
            done = min(start + BATCH, len(directories))
            step.progress(done, len(directories), f"{added} results")
    return added


def _import(root: Path, writer: database.Writer, directory: Path) -> int:
    added, problem = 0, ""
    for path in unread.files(directory):
        if writer.has(str(path.parent.relative_to(root))):
            continue
        try:
            added += writer.add(_entries(root, path))
        except (*stored.WRONG, RigError, OSError) as error:
            problem = f"{path.relative_to(root)}: {error}"
            log.note(f"{path} cannot be read, and is left out")
    if directory.parent.name == "runs" and stored.is_whole(directory):
        writer.imported(str(directory.relative_to(root)), problem)
    return added


def _entries(root: Path, path: Path) -> list[Entry]:
    """What one stored file holds. Raises one of stored.WRONG for a damaged one."""
    if path.name == MUTATION:
        return [*_fates(root, path)]
    if path.name == SEED:
        kernel = path.parents[1] / KERNEL
        # There is none from an older rig, and none for a smaller size that still fails.
        return [_run(root, path, _seed(path, kernel))] if kernel.is_file() else []
    return [_run(root, path, _load(path))]


def _load(path: Path) -> RunResult:
    return _RESULT.validate_python(old_results.result(json.loads(path.read_bytes())))


def _seed(path: Path, kernel: Path) -> RunResult:
    """One seed of an exploration, as the run that it is."""
    tried = json.loads(path.read_bytes())
    case, result = _CASE.validate_python(tried["case"]), _load(kernel)
    time = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return replace(
        result,
        machine=replace(result.machine, schedule=Seeded(seed=tried["seed"])),
        suites=(SuiteResult(suite=result.suites[0].suite, cases=(case,)),),
        verdict=Verdict(outcome=case.outcome, reason=case.reason),
        ended=time.isoformat(timespec="seconds"),
        seconds=case.seconds,
    )


def _run(root: Path, path: Path, result: RunResult) -> Run:
    origin, machine, verdict = result.provenance, result.machine, result.verdict
    results = [
        _result(suite.suite, case, origin.request, machine)
        for suite in result.suites
        for case in suite.cases
    ]
    if health := _health(result):
        results.append(health)
    return Run(
        path=str(path.parent.relative_to(root)),
        night=_night(path, result.ended),
        tree=_tree(origin),
        setup=_setup(origin.request, machine),
        mutant=origin.request.mutant,
        seed=getattr(machine.schedule, "seed", origin.request.seed),
        selected=bool(origin.request.cases),
        commit=origin.commit,
        build=origin.build,
        release=origin.release,
        origin=origin.origin,
        qemu=origin.qemu,
        outcome=verdict.outcome,
        reason=verdict.reason,
        ended=result.ended,
        seconds=result.seconds,
        boot_seconds=result.boot_seconds,
        results=tuple(results),
        measured=tuple(_measured(result)) if verdict.outcome is Outcome.PASS else (),
    )


def _night(path: Path, ended: str) -> str:
    """The night that the run is of; without one the day of its directory's name, which is when the
    campaign began."""
    if name := _named(path.parents[1]):
        return name
    if match := NAME.match(path.parents[1].name):
        return "-".join(match.groups())
    return ended[:10] or datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d")


@functools.cache
def _named(directory: Path) -> str:
    """The name of the night whose runs are in the directory. Names must sort by time."""
    try:
        return str(json.loads((directory / NIGHT).read_bytes())["name"])
    except (*stored.WRONG, OSError):
        return ""


def place(spec: RunSpec) -> tuple[Tree, Setup]:
    """Where the results of a spec will be in the history."""
    return _tree(provenance(spec)), _setup(spec.request, spec.machine)


def _tree(origin: Provenance) -> Tree:
    subject = origin.subject
    return Tree(
        label=subject.label,
        source=str(origin.request.tree or ""),
        series=subject.target if subject.series else "",
        base=subject.base,
    )


def _setup(request: Request, machine: Machine) -> Setup:
    asked: dict[str, Any] = {
        "flavour": request.flavour,
        "lru_gen": machine.lru_gen,
        "cpus": machine.cpus,
        "memory": machine.memory,
        "zram": machine.swap.zram,
        "swap_disk": machine.swap.disk,
        "iterations": request.iterations,
        "pages": request.pages,
    }
    where = (machine.arch, str(machine.accel), machine.schedule.kind)
    # The rig's own default is left out, whatever the user's config.toml has: a label names a line.
    words = [
        word
        for name, value in asked.items()
        if value != OPTIONS[name].default
        for word in OPTIONS[name].words(value)
    ]
    return Setup(
        label=" ".join((*where, *words)), arch=where[0], accel=where[1], schedule=where[2], **asked
    )


def _result(suite: str, case: CaseResult, request: Request, machine: Machine) -> Result:
    """The counters have the floors that the case declares today."""
    seeded = isinstance(machine.schedule, Seeded)
    work = (request.iterations, request.pages)
    floors = suites.floors_of(f"{suite}/{case.name}", *work, seeded=seeded)
    return Result(
        suite=suite,
        name=case.name,
        outcome=case.outcome,
        reason=case.reason,
        seconds=case.seconds,
        counters=tuple((name, value, floors.get(name)) for name, value in case.counters),
    )


def _health(result: RunResult) -> Result | None:
    """The result of the run itself; None if it was only built, or is not known."""
    outcome, reason = result.verdict.outcome, result.verdict.reason
    cases = [case.outcome for suite in result.suites for case in suite.cases]
    if not cases and outcome in (Outcome.SKIP, Outcome.INCONCLUSIVE):
        return None
    # What a case has said already is the case's.
    own = outcome in (Outcome.FAIL, Outcome.BROKEN) and outcome not in cases
    return Result(
        suite=HEALTH[0],
        name=HEALTH[1],
        outcome=outcome if own else Outcome.PASS,
        reason=reason if own else "",
        seconds=result.boot_seconds,
    )


def _measured(result: RunResult) -> Iterator[Measured]:
    """The metrics of the benchmarks whose case has run."""
    cases = {
        case.name: dict(case.counters)
        for suite in result.suites
        for case in suite.cases
        if suite.suite == benchmark.SUITE
    }
    for bench in benchmark.known().values() if cases else ():
        counters = cases.get(bench.case, {})
        if not counters.get("oom_kill"):  # `rig bench` discards such a round, too
            for metric, value in bench.sample(counters, result.machine).items():
                judged = benchmark.judged(bench.metric(metric), result.machine)
                yield Measured(bench=bench.name, metric=metric, value=value, judged=judged)


def _fates(root: Path, path: Path) -> Iterator[Fate]:
    directory, guests = path.parent, dict[str, RunResult]()
    document = old_results.mutation(json.loads(path.read_bytes()))
    for row in _ROWS.validate_python(document["rows"]):
        if row.arch not in guests:
            result = next(iter(sorted(directory.glob(f"{row.arch}*/{RESULT}"))), None)
            if result is None:
                raise InfraError(f"no result of {row.arch} is stored beside {path}")
            guests[row.arch] = _load(result)
        guest = guests[row.arch]
        alive = (f"{case.case}: {case.reason or 'passes'}" for case in row.cases
                 if case.fate is row.fate)  # fmt: skip
        killed = row.fate is FateOf.KILLED
        yield Fate(
            path=str(directory.relative_to(root)),
            night=_night(directory / "x" / RESULT, guest.ended),
            tree=_tree(guest.provenance),
            setup=_setup(guest.provenance.request, guest.machine),
            mutant=row.mutant,
            fate=row.fate,
            reason="" if killed else row.reason or next(alive, ""),
        )


_RESULT = pydantic.TypeAdapter(RunResult)
_CASE = pydantic.TypeAdapter(CaseResult)
_ROWS = pydantic.TypeAdapter(tuple[Row, ...])
