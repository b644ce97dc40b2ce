# SPDX-License-Identifier: GPL-2.0-only
"""`rig explore`: runs one case with many seeds: which fail, how many interleavings there were.

A campaign that was interrupted continues when it is started again: its directory is named after the
kernel, the image, the program and the case, and the result of each seed is stored at once.
"""

import contextlib
import hashlib
import math
import re
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
from rig.campaigns import execute, pipeline, record, request
from rig.campaigns.live import machine_of
from rig.campaigns.options import command
from rig.campaigns.results import Prepared, RunResult, RunSpec
from rig.context import Context
from rig.errors import ConfigError
from rig.guest import console, seeded
from rig.guest.qemu import SEED_MAX, Seeded, SeededFiles, seeded_argv
from rig.history import unread
from rig.store import digest, write_whole
from rig.suites import suite as suites
from rig.suites.suite import PAGES_STEP, Case, Suite
from rig.verdict.rules import CaseResult, Outcome, SuiteResult, Verdict

FILE = unread.SEED
MINUTES_MAX = 100_000
FAILURES_MAX = 1_000_000
SEEDS = re.compile(r"\s*([0-9]{1,19})(?:\.\.([0-9]{1,19}))?\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """The result of one seed."""

    seed: int
    case: CaseResult
    interleaving: str
    """A digest of the program's output: its counters and times, without the seed itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shrunk:
    """The smallest size found that still fails with a seed."""

    seed: int
    iterations: int
    pages: int
    """0 if the case has no choice of pages."""
    cpus: int
    seconds: float
    line: str
    """The command that runs it."""


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
        return tuple(tried for tried in self.tried if tried.case.outcome is Outcome.FAIL)

    @property
    def interleavings(self) -> int:
        return len({tried.interleaving for tried in self.tried})

    @property
    def outcome(self) -> Outcome:
        return Outcome.worst(tried.case.outcome for tried in self.tried)

    def miss(self, seeds: int) -> float:
        """The chance that this many random seeds all pass, if they fail as often as these did."""
        if not self.tried:
            return 1.0
        return math.pow(1 - len(self.failing) / len(self.tried), seeds)


def parse_seeds(text: str) -> tuple[int, ...]:
    """`1..500`, `7`, or a list of both."""
    seeds: list[int] = []
    for word in text.split(","):
        if not (match := SEEDS.fullmatch(word)):
            shown = text if len(text) < 80 else f"{text[:80]}…"
            raise ConfigError(f"{shown!r} is not a list of seeds", hint="like 1..500 or 3,7,10..20")
        first, end = int(match[1]), int(match[2] or match[1])
        if not first <= end < min(first + 1_000_000, SEED_MAX + 1):
            raise ConfigError(
                f"{word.strip()} is not a range of seeds",
                hint=f"like 1..500: at most 1,000,000 seeds, none above {SEED_MAX}",
            )
        seeds += range(first, end + 1)
        if len(seeds) > 1_000_000:
            raise ConfigError(f"these are {len(seeds):,} seeds", hint="at most 1,000,000")
    return tuple(dict.fromkeys(seeds))


def check(specs: Sequence[RunSpec]) -> None:
    """Raise ConfigError unless each spec has exactly one case."""
    for spec in specs:
        names = [
            f"{selection.suite}/{case.name}"
            for selection in spec.suites
            for case in suites.cases_of(selection)
        ]
        if len(names) != 1:
            raise ConfigError(
                f"rig explore takes one case, and {len(names)} are selected",
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
    """Run a spec that has one case with each seed, then shrink the first failure.

    Stops after this many failures or minutes (0: never).
    """
    (selection,) = spec.suites
    suite, (case,) = suites.pick(selection.suite), suites.cases_of(selection)
    if case.live_only:
        raise ConfigError(
            f"{suite.name}/{case.name} does not run in the seeded schedule: {case.live_only}"
        )
    prepared = pipeline.prepare(context, spec)
    name = _identity(prepared, suite, case)
    directory = context.store.path("explored", name)
    directory.mkdir(parents=True, exist_ok=True)
    _describe(prepared, suite, directory)
    context.store.use("explored", name)
    title = f"{suite.name}/{case.name} on {spec.machine.arch}: {len(seeds)} seeds"
    with log.step(title) as step:
        tried = _try_all(prepared, suite, case, directory, seeds, minutes, failures, step)
    exploration = Exploration(
        label=spec.tree.label,
        arch=spec.machine.arch,
        suite=suite.name,
        case=case.name,
        mutant=spec.request.mutant,
        tried=tried,
    )
    if exploration.failing:
        first = exploration.failing[0].seed
        with log.step(f"Shrinking seed {first}") as step:
            shrunk = shrink(prepared, suite, case, directory, first, step)
        exploration = replace(exploration, shrunk=shrunk)
    return exploration


def _describe(prepared: Prepared, suite: Suite, directory: Path) -> None:
    """Say beside the seeds what they are of, for the history: a result with no case."""
    path = directory / unread.KERNEL
    if not path.is_file():
        kernel = RunResult(
            machine=machine_of(prepared.spec),
            provenance=prepared.provenance,
            suites=(SuiteResult(suite=suite.name, cases=()),),
            verdict=Verdict(outcome=Outcome.INCONCLUSIVE, reason="its seeds have the results"),
        )
        write_whole(path, _KERNEL.dump_json(kernel))


def _identity(prepared: Prepared, suite: Suite, case: Case) -> str:
    """A digest of everything that determines the result of a seed."""
    origin, spec = prepared.provenance, prepared.spec
    scaled = case.seeded(spec.request.iterations, spec.request.pages)
    return digest(
        {
            "build": origin.build,
            "image": origin.image,
            "programs": origin.programs,
            "qemu": origin.qemu,
            "mutant": spec.request.mutant,
            "machines": [_hardware(spec, seed) for seed in range(64)],
            "case": f"{suite.name}/{case.name}",
            "iterations": scaled.iterations,
            "pages": scaled.pages,
        }
    )


def _hardware(spec: RunSpec, seed: int) -> list[str]:
    """QEMU's options for a seed, without the names of files, which have their own digests."""
    none, kernel = Path(), Path(arches.pick(spec.machine.arch).seeded_kernel)
    files = SeededFiles(kernel=kernel, initrd=none, console=none, answer=none)
    return seeded_argv(request.at_seed(spec, seed).machine, Seeded(seed=seed), files)


def _try_all(
    prepared: Prepared,
    suite: Suite,
    case: Case,
    directory: Path,
    seeds: Sequence[int],
    minutes: float,
    failures: int,
    step: log.Step,
) -> tuple[Tried, ...]:
    began, results, failed = time.monotonic(), dict[int, Tried](), 0
    waiting, running = list(reversed(seeds)), set[Future[Tried]]()
    most = execute.side_by_side([prepared.spec] * len(seeds))
    with execute.guests(most) as submit:
        while waiting or running:
            while waiting and len(running) < most:
                seed = waiting.pop()
                running.add(submit(partial(attempt, prepared, suite, case, directory, seed)))
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for tried in (future.result() for future in finished):
                results[tried.seed] = tried
                if tried.case.outcome is Outcome.FAIL:
                    failed += 1
                    step.note(f"seed {tried.seed}: {tried.case.reason}")
            different = len({tried.interleaving for tried in results.values()})
            text = f"{failed} failing, {different} interleavings"
            step.progress(len(results), len(seeds), text)
            late = minutes and time.monotonic() - began > minutes * 60
            if late or (failures and failed >= failures):
                waiting.clear()
    return tuple(results[seed] for seed in seeds if seed in results)


def attempt(
    prepared: Prepared,
    suite: Suite,
    case: Case,
    directory: Path,
    seed: int,
    deadline: float = seeded.DEADLINE,
) -> Tried:
    """Run one seed, or load its result if it is stored."""
    path = directory / f"seed-{seed}" / FILE
    with contextlib.suppress(FileNotFoundError, ValueError):  # a damaged result is made again
        return _TRIED.validate_json(path.read_bytes())
    at_seed = replace(prepared, spec=request.at_seed(prepared.spec, seed))
    result = pipeline.seeded_case(at_seed, suite, case, path.parent, deadline)
    result = _with_splats(result, path.parent)
    tried = Tried(seed=seed, case=result, interleaving=_interleaving(path.parent))
    write_whole(path, _TRIED.dump_json(tried))
    record.stored_now(path)
    return tried


def _with_splats(case: CaseResult, directory: Path) -> CaseResult:
    """The case's result; FAIL if there is a fatal splat (outcome rule 4)."""
    splats = console.scan_file(directory / seeded.CONSOLE)
    failures = [splat for splat in splats if splat.kind.failure]
    if not failures or case.outcome is Outcome.FAIL:
        return case
    return replace(case, outcome=Outcome.FAIL, reason=failures[0].title)


def _interleaving(directory: Path) -> str:
    """A digest of the program's output. The console cannot be used: it shows the seed."""
    return hashlib.sha256((directory / seeded.ANSWER).read_bytes()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Size:
    """The size of a run that fails."""

    iterations: int
    pages: int
    cpus: int

    def __str__(self) -> str:
        pages = f", {self.pages} pages" if self.pages else ""
        return f"{self.iterations} iterations{pages}, {self.cpus} CPUs"


def shrink(
    prepared: Prepared, suite: Suite, case: Case, directory: Path, seed: int, step: log.Step
) -> Shrunk:
    """Fewer iterations, then fewer pages, then fewer CPUs, as long as the seed still fails."""
    spec, best = prepared.spec, attempt(prepared, suite, case, directory, seed)
    scaled = case.seeded(spec.request.iterations, spec.request.pages)
    size = _Size(iterations=scaled.iterations, pages=scaled.pages, cpus=spec.machine.cpus)
    # If less work takes much longer, it is another failure, such as a guest that hangs.
    deadline = 30 + 10 * best.case.seconds

    def fails(size: _Size) -> bool:
        nonlocal best
        machine = replace(spec.machine, cpus=size.cpus)
        less = spec.but(iterations=size.iterations, pages=size.pages, cpus=size.cpus)
        smaller = replace(prepared, spec=replace(less, machine=machine))
        place = directory / f"shrink-{size.iterations}-{size.pages}-{size.cpus}"
        tried = attempt(smaller, suite, case, place, seed, deadline)
        failed = tried.case.outcome is Outcome.FAIL and tried.case.digest != ""
        step.note(f"{size}: {'fails' if failed else 'does not fail'}")
        best = tried if failed else best
        return failed

    # Not every smaller number fails, as the interleaving changes too. Halving finds a small one.
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
        line=_command(spec, suite, case, seed, size),
    )


def _command(spec: RunSpec, suite: Suite, case: Case, seed: int, size: _Size) -> str:
    """The command that runs this size with this seed."""
    smallest = replace(
        spec.request,
        arch=(spec.machine.arch,),
        schedule="seeded",
        seed=seed,
        suites=(suite.name,),
        cases=(case.name,),
        iterations=size.iterations,
        pages=size.pages,
        cpus=size.cpus,
    )
    return shlex.join(command(smallest))


_TRIED = pydantic.TypeAdapter(Tried)
_KERNEL = pydantic.TypeAdapter(RunResult)
