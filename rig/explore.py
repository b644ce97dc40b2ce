# SPDX-License-Identifier: GPL-2.0-only
"""Many seeds of one case: which fail, how many different interleavings there were.

Killed and started again, a campaign goes on where it was: it is named after the kernel, the image,
the program and the case, and each seed's result is stored when it is there.
"""

import hashlib
import math
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pydantic

from rig import campaign, console, log, run, seeded
from rig import suite as suites
from rig.errors import ConfigError
from rig.qemu import Seeded, kernel_cmdline
from rig.run import Prepared, RunSpec, Shelves
from rig.store import Store, digest, write_whole
from rig.suite import Case, Suite
from rig.verdict import CaseResult, Outcome

FILE = "seed.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """One seed."""

    seed: int
    case: CaseResult
    interleaving: str
    """A digest of what the program counted and when, without the seed itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shrunk:
    """The least that still fails at a seed."""

    seed: int
    iterations: int
    cpus: int
    seconds: float
    line: str
    """The command that shows it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exploration:
    label: str
    arch: str
    suite: str
    case: str
    mutant: str
    tried: tuple[Tried, ...]
    shrunk: Shrunk | None = None

    @property
    def failing(self) -> tuple[Tried, ...]:
        return tuple(one for one in self.tried if one.case.outcome is Outcome.FAIL)

    @property
    def interleavings(self) -> int:
        return len({one.interleaving for one in self.tried})

    @property
    def outcome(self) -> Outcome:
        return Outcome.worst(one.case.outcome for one in self.tried)

    def miss(self, seeds: int) -> float:
        """The chance that so many random seeds all pass, if each fails as often as these did."""
        if not self.tried:
            return 1.0
        return math.pow(1 - len(self.failing) / len(self.tried), seeds)


def parse_seeds(text: str) -> tuple[int, ...]:
    """`1..500`, `7`, or a list of both."""
    found: list[int] = []
    for word in text.split(","):
        first, _, last = word.strip().partition("..")
        if not first.isdigit() or (last and not last.isdigit()) or word.strip().endswith(".."):
            raise ConfigError(f"{text!r} is no list of seeds", hint="like 1..500 or 3,7,10..20")
        end = int(last or first)
        if not int(first) <= end < int(first) + 1_000_000:
            raise ConfigError(f"{word.strip()} is no range of seeds", hint="like 1..500")
        found += range(int(first), end + 1)
    return tuple(dict.fromkeys(found))


def check(specs: Sequence[RunSpec]) -> None:
    """Raise ConfigError unless each spec has one case: seeds of two are two campaigns."""
    for spec in specs:
        names = [f"{one.suite}/{case.name}" for one in spec.suites for case in suites.cases_of(one)]
        if len(names) != 1:
            raise ConfigError(
                f"seeds are tried for one case, and these are {len(names)}",
                hint=f"--case, for example {names[0]}",
            )


def explore(
    store: Store,
    shelves: Shelves,
    spec: RunSpec,
    seeds: Sequence[int],
    *,
    minutes: float = 0,
    failures: int = 0,
) -> Exploration:
    """Try the seeds of a spec that has one case; stop at so many failures, or after so long."""
    (selection,) = spec.suites
    chosen, (case,) = suites.pick(selection.suite), suites.cases_of(selection)
    if case.live_only:
        raise ConfigError(f"{chosen.name}/{case.name} is no case for seeds: {case.live_only}")
    prepared = run.prepare(store, shelves, spec)
    directory = store.root / "explored" / _identity(prepared, chosen, case)
    directory.mkdir(parents=True, exist_ok=True)
    title = f"{chosen.name}/{case.name} on {spec.machine.arch}: {len(seeds)} seeds"
    with log.step(title) as step:
        tried = _try_all(prepared, chosen, case, directory, seeds, minutes, failures, step)
    found = Exploration(
        label=spec.tree.label,
        arch=spec.machine.arch,
        suite=chosen.name,
        case=case.name,
        mutant=spec.mutant,
        tried=tried,
    )
    if found.failing:
        first = found.failing[0].seed
        with log.step(f"Shrinking seed {first}"):
            found = replace(found, shrunk=shrink(prepared, chosen, case, directory, first))
    return found


def _identity(prepared: Prepared, chosen: Suite, case: Case) -> str:
    """Whatever decides what a seed does."""
    known, spec = prepared.provenance, prepared.spec
    machine = replace(spec.machine, schedule=Seeded(seed=0))
    return digest(
        {
            "build": known.build,
            "image": known.image,
            "programs": known.programs,
            "qemu": known.qemu,
            "mutant": spec.mutant,
            "machine": str(machine),
            "cmdline": kernel_cmdline(machine),
            "case": f"{chosen.name}/{case.name}",
            "iterations": case.seeded(spec.iterations).iterations,
        }
    )


def _try_all(
    prepared: Prepared,
    chosen: Suite,
    case: Case,
    directory: Path,
    seeds: Sequence[int],
    minutes: float,
    failures: int,
    step: log.Step,
) -> tuple[Tried, ...]:
    began, done, failed = time.monotonic(), dict[int, Tried](), 0
    waiting, running = list(reversed(seeds)), set[Future[Tried]]()
    most = campaign.side_by_side([prepared.spec] * len(seeds))
    with campaign.guests(most) as submit:
        while waiting or running:
            while waiting and len(running) < most:
                seed = waiting.pop()
                running.add(submit(partial(attempt, prepared, chosen, case, directory, seed)))
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for one in (future.result() for future in finished):
                done[one.seed] = one
                if one.case.outcome is Outcome.FAIL:
                    failed += 1
                    step.note(f"seed {one.seed}: {one.case.reason}")
            different = len({one.interleaving for one in done.values()})
            text = f"{failed} failing, {different} interleavings"
            step.progress(len(done), len(seeds), text)
            late = minutes and time.monotonic() - began > minutes * 60
            if late or (failures and failed >= failures):
                waiting.clear()
    return tuple(done[seed] for seed in seeds if seed in done)


def attempt(
    prepared: Prepared, chosen: Suite, case: Case, directory: Path, seed: int, cpus: int = 0
) -> Tried:
    """One seed, unless it was tried before."""
    path = directory / f"seed-{seed}" / FILE
    if path.is_file():
        return _TRIED.validate_json(path.read_bytes())
    spec = prepared.spec
    machine = replace(spec.machine, schedule=Seeded(seed=seed), cpus=cpus or spec.machine.cpus)
    mine = replace(prepared, spec=replace(spec, machine=machine, seed=seed))
    result = _with_splats(run.seeded_case(mine, chosen, case, path.parent), path.parent)
    tried = Tried(seed=seed, case=result, interleaving=_interleaving(path.parent))
    write_whole(path, _TRIED.dump_json(tried))
    return tried


def _with_splats(case: CaseResult, directory: Path) -> CaseResult:
    """Rule 4: what the kernel says of itself outranks what the case found."""
    said = console.scan((directory / seeded.CONSOLE).read_text(errors="replace"))
    failures = [splat for splat in said if splat.kind.failure]
    if not failures or case.outcome is Outcome.FAIL:
        return case
    return replace(case, outcome=Outcome.FAIL, reason=failures[0].title)


def _interleaving(directory: Path) -> str:
    """What the program said. The kernel's console has the seed on its command line."""
    return hashlib.sha256((directory / seeded.ANSWER).read_bytes()).hexdigest()


def shrink(prepared: Prepared, chosen: Suite, case: Case, directory: Path, seed: int) -> Shrunk:
    """Fewer iterations, then fewer CPUs, as long as the seed still fails."""
    spec, best = prepared.spec, attempt(prepared, chosen, case, directory, seed)
    iterations = case.seeded(spec.iterations).iterations
    cpus = spec.machine.cpus

    def fails(iterations: int, cpus: int) -> Tried | None:
        smaller = replace(prepared, spec=replace(spec, iterations=iterations))
        place = directory / f"shrink-{iterations}-{cpus}"
        tried = attempt(smaller, chosen, case, place, seed, cpus)
        return tried if tried.case.outcome is Outcome.FAIL else None

    # Not every smaller number fails: the seed's schedule moves. Halving finds a small one.
    step = iterations // 2
    while step:
        if iterations > step and (tried := fails(iterations - step, cpus)):
            iterations, best = iterations - step, tried
        else:
            step //= 2
    while cpus > 2 and (tried := fails(iterations, cpus - 1)):
        cpus, best = cpus - 1, tried
    mutant = f" --mutant {spec.mutant}" if spec.mutant else ""
    target = spec.tree.label.split()[0]
    line = (
        f"rig run {target} --arch {spec.machine.arch}{mutant} --schedule seeded --seed {seed} "
        f"--suite {chosen.name} --case {case.name} --iterations {iterations} --cpus {cpus}"
    )
    return Shrunk(seed=seed, iterations=iterations, cpus=cpus, seconds=best.case.seconds, line=line)


_TRIED = pydantic.TypeAdapter(Tried)
