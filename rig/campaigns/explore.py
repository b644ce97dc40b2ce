# SPDX-License-Identifier: GPL-2.0-only
"""Many seeds of one case: which fail, how many different interleavings there were.

Killed and started again, a campaign goes on where it was: it is named after the kernel, the image,
the program and the case, and each seed's result is stored when it is there.
"""

import hashlib
import math
import shlex
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pydantic

from rig import arch as arches
from rig import log
from rig.campaigns import execute, pipeline, request
from rig.campaigns.options import command
from rig.campaigns.results import Prepared, RunSpec
from rig.context import Context
from rig.errors import ConfigError, GuestLost
from rig.guest import console, seeded
from rig.guest.qemu import SEED_MAX, Seeded, SeededFiles, seeded_argv
from rig.store import digest, write_whole
from rig.suites import suite as suites
from rig.suites.suite import PAGES_STEP, Case, Suite
from rig.verdict.rules import CaseResult, Outcome

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
    pages: int
    """0 where that is not a matter of choice."""
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
        if not int(first) <= end < min(int(first) + 1_000_000, SEED_MAX + 1):
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
    context: Context,
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
    prepared = pipeline.prepare(context, spec)
    directory = context.store.root / "explored" / _identity(prepared, chosen, case)
    directory.mkdir(parents=True, exist_ok=True)
    title = f"{chosen.name}/{case.name} on {spec.machine.arch}: {len(seeds)} seeds"
    with log.step(title) as step:
        tried = _try_all(prepared, chosen, case, directory, seeds, minutes, failures, step)
    found = Exploration(
        label=spec.tree.label,
        arch=spec.machine.arch,
        suite=chosen.name,
        case=case.name,
        mutant=spec.request.mutant,
        tried=tried,
    )
    if found.failing:
        first = found.failing[0].seed
        with log.step(f"Shrinking seed {first}") as step:
            found = replace(found, shrunk=shrink(prepared, chosen, case, directory, first, step))
    return found


def _identity(prepared: Prepared, chosen: Suite, case: Case) -> str:
    """Whatever decides what a seed does."""
    known, spec = prepared.provenance, prepared.spec
    own = case.seeded(spec.request.iterations, spec.request.pages)
    return digest(
        {
            "build": known.build,
            "image": known.image,
            "programs": known.programs,
            "qemu": known.qemu,
            "mutant": spec.request.mutant,
            "machines": [_hardware(spec, seed) for seed in range(64)],
            "case": f"{chosen.name}/{case.name}",
            "iterations": own.iterations,
            "pages": own.pages,
        }
    )


def _hardware(spec: RunSpec, seed: int) -> list[str]:
    """What a seed makes of the machine. The files have digests of their own."""
    none, kernel = Path(), Path(arches.pick(spec.machine.arch).seeded_kernel)
    files = SeededFiles(kernel=kernel, initrd=none, console=none, answer=none)
    return seeded_argv(request.at_seed(spec, seed).machine, Seeded(seed=seed), files)


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
    most = execute.side_by_side([prepared.spec] * len(seeds))
    with execute.guests(most) as submit:
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
    prepared: Prepared,
    chosen: Suite,
    case: Case,
    directory: Path,
    seed: int,
    deadline: float = seeded.DEADLINE,
) -> Tried:
    """One seed, unless it was tried before. A guest that does not come to its end is a failure."""
    path = directory / f"seed-{seed}" / FILE
    if path.is_file():
        return _TRIED.validate_json(path.read_bytes())
    mine = replace(prepared, spec=request.at_seed(prepared.spec, seed))
    try:
        result = pipeline.seeded_case(mine, chosen, case, path.parent, deadline)
    except GuestLost as lost:
        result = CaseResult(
            name=case.name, outcome=Outcome.FAIL, reason=lost.message, seconds=deadline
        )
    result = _with_splats(result, path.parent)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Size:
    """What a failure takes."""

    iterations: int
    pages: int
    cpus: int

    def __str__(self) -> str:
        pages = f", {self.pages} pages" if self.pages else ""
        return f"{self.iterations} iterations{pages}, {self.cpus} CPUs"


def shrink(
    prepared: Prepared, chosen: Suite, case: Case, directory: Path, seed: int, step: log.Step
) -> Shrunk:
    """Fewer iterations, then fewer pages, then fewer CPUs, as long as the seed still fails."""
    spec, best = prepared.spec, attempt(prepared, chosen, case, directory, seed)
    own = case.seeded(spec.request.iterations, spec.request.pages)
    size = _Size(iterations=own.iterations, pages=own.pages, cpus=spec.machine.cpus)
    # Less work that takes much longer has met something else, such as a guest that hangs.
    deadline = 30 + 10 * best.case.seconds

    def fails(size: _Size) -> bool:
        nonlocal best
        machine = replace(spec.machine, cpus=size.cpus)
        less = spec.but(iterations=size.iterations, pages=size.pages, cpus=size.cpus)
        smaller = replace(less, machine=machine)
        place = directory / f"shrink-{size.iterations}-{size.pages}-{size.cpus}"
        mine = replace(prepared, spec=smaller)
        tried = attempt(mine, chosen, case, place, seed, deadline)
        failed = tried.case.outcome is Outcome.FAIL and tried.case.digest != ""
        step.note(f"{size}: {'fails' if failed else 'does not fail'}")
        best = tried if failed else best
        return failed

    # Not every smaller number fails: the seed's schedule moves. Halving finds a small one.
    by = size.iterations // 2
    while by:
        less = replace(size, iterations=size.iterations - by)
        if less.iterations > 0 and fails(less):
            size = less
        else:
            by //= 2
    while size.pages % (2 * PAGES_STEP) == 0 < size.pages and fails(
        less := replace(size, pages=size.pages // 2)
    ):
        size = less
    while size.cpus > 2 and fails(less := replace(size, cpus=size.cpus - 1)):
        size = less
    return Shrunk(
        seed=seed,
        iterations=size.iterations,
        pages=size.pages,
        cpus=size.cpus,
        seconds=best.case.seconds,
        line=_line(spec, chosen, case, seed, size),
    )


def _line(spec: RunSpec, chosen: Suite, case: Case, seed: int, size: _Size) -> str:
    """The command that shows it."""
    least = replace(
        spec.request,
        arch=(spec.machine.arch,),
        schedule="seeded",
        seed=seed,
        suites=(chosen.name,),
        cases=(case.name,),
        iterations=size.iterations,
        pages=size.pages,
        cpus=size.cpus,
    )
    return shlex.join(command(least))


_TRIED = pydantic.TypeAdapter(Tried)
