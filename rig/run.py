# SPDX-License-Identifier: GPL-2.0-only
"""`RunSpec` -> `RunResult`: the one pipeline. Everything else generates specs and folds results.

series -> tree -> build -> boot -> suite -> verdict; stored under the store's `runs/` with all that
is needed to explain it a year later.
"""

import contextvars
import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import pydantic

from rig import accel, guest, guestbin, image, kbuild, log, mutant, suite, symbolize, tree, weave
from rig import arch as arches
from rig.console import Splat, scan
from rig.errors import ConfigError, InfraError, RigError, unknown
from rig.guest import Guest, Software
from rig.kbuild import BuildSpec, KernelBuild
from rig.qemu import Machine
from rig.store import Store, host_trouble
from rig.suite import Selection
from rig.tree import TreeSpec
from rig.verdict import SuiteResult, Trouble, Verdict, conclude
from rig.version import KernelVersion

RESULT = "result.json"
SAFE = re.compile(r"[^A-Za-z0-9@._-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelves:
    """Where the checkout keeps what people add to it."""

    kconfigs: Path
    patches: Path
    images: Path

    @classmethod
    def default(cls) -> "Shelves":
        checkout = Path(__file__).resolve().parents[1]
        top = checkout if (checkout / "kconfigs").is_dir() else Path(__file__).parent / "_data"
        return cls(kconfigs=top / "kconfigs", patches=top / "patches", images=top / "images")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    tree: TreeSpec
    machine: Machine
    flavour: str = "base"
    image: str = "test"
    suites: tuple[Selection, ...] = ()
    mutant: str = ""
    seed: int = suite.SEED


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Of what, exactly, something was found out: digests of everything."""

    label: str
    origin: str
    commit: str = ""
    tree: str = ""
    build: str = ""
    release: str = ""
    image: str = ""
    programs: tuple[tuple[str, str], ...] = ()
    qemu: str = ""
    flavour: str
    mutant: str
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    machine: Machine
    provenance: Provenance
    suites: tuple[SuiteResult, ...] = ()
    splats: tuple[Splat, ...] = ()
    warnings: tuple[str, ...] = ()
    """The compiler's."""
    boot_seconds: float = 0
    seconds: float = 0
    began: str = ""
    verdict: Verdict
    detail: str = ""
    """Evidence of a verdict that is not a case's: the compiler's words, the hunk, the console."""


_RESULT = pydantic.TypeAdapter(RunResult)


def to_json(result: RunResult) -> bytes:
    return _RESULT.dump_json(result, indent=1)


def load(path: Path) -> RunResult:
    return _RESULT.validate_json(path.read_bytes())


# --- preparing ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A spec with all it needs made."""

    spec: RunSpec
    build: KernelBuild
    software: Software
    provenance: Provenance


def _provenance(spec: RunSpec) -> Provenance:
    return Provenance(
        label=spec.tree.label,
        origin=spec.tree.base.origin,
        flavour=spec.flavour,
        mutant=spec.mutant,
        seed=spec.seed,
    )


def build_spec(store: Store, shelves: Shelves, spec: RunSpec) -> BuildSpec:
    """The tree, instrumented if a mutant is wanted, with the configuration all suites share."""
    made = tree.materialize(store, spec.tree)
    if spec.mutant:
        version = KernelVersion.parse(spec.tree.base.name)
        made = weave.instrument(store, made, version, mutant.load_all(shelves.patches))
    # Every suite's fragment, whichever suites run: one kernel serves them all.
    extra = tuple(known.config for known in suite.known().values())
    config = kbuild.fragments(shelves.kconfigs, arches.pick(spec.machine.arch), spec.flavour, extra)
    return BuildSpec(tree=made, config=config)


def prepare(store: Store, shelves: Shelves, spec: RunSpec) -> Prepared:
    """Tree, kernel, image and programs, each made unless it is there."""
    arch = arches.pick(spec.machine.arch)
    wanted = build_spec(store, shelves, spec)
    built = kbuild.build(store, wanted)
    rootfs = image.build(store, shelves.images, spec.image, arch)
    programs = tuple(
        guestbin.build(store, arch, selection.suite, suite.pick(selection.suite).directory)
        for selection in spec.suites
    )
    provenance = replace(
        _provenance(spec),
        commit=wanted.tree.commit,
        tree=wanted.tree.tree,
        build=built.digest,
        release=built.release,
        image=rootfs.parent.name,
        programs=tuple((path.name, path.parent.name) for path in programs),
        qemu=accel.qemu_version(arch),
    )
    software = Software(kernel=built.image, initrd=(rootfs, guestbin.pack(programs)))
    return Prepared(spec=spec, build=built, software=software, provenance=provenance)


def machine_of(spec: RunSpec) -> Machine:
    if not spec.mutant:
        return spec.machine
    return replace(spec.machine, cmdline=(*spec.machine.cmdline, f"rig.mutant={spec.mutant}"))


# --- running -----------------------------------------------------------------------------------


def execute(prepared: Prepared, directory: Path) -> RunResult:
    """Boot the guest, run the suites, judge. A RigError of the guest becomes the verdict."""
    spec, began, started = prepared.spec, time.monotonic(), _now()
    machine = machine_of(spec)
    suites: list[SuiteResult] = []
    trouble, detail, boot_seconds = None, "", 0.0
    _explain(prepared, directory)
    try:
        with host_trouble("running a guest"):
            with guest.boot(machine, prepared.software, directory) as up:
                boot_seconds = up.boot_seconds
                _check_mutant(up, spec)
                for selection in spec.suites:
                    suites.append(_run_suite(up, selection, spec.seed))
            if up.lost:
                raise up.lost
    except RigError as error:
        trouble, detail = Trouble.of(error), error.detail
    splats = tuple(_decode(splat, prepared) for splat in _console(directory))
    return RunResult(
        machine=machine,
        provenance=prepared.provenance,
        suites=tuple(suites),
        splats=splats,
        warnings=prepared.build.warnings,
        boot_seconds=round(boot_seconds, 2),
        seconds=round(time.monotonic() - began, 2),
        began=started,
        verdict=conclude(tuple(suites), splats, trouble),
        detail=detail,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check_mutant(up: Guest, spec: RunSpec) -> None:
    """A run without the kernel's own word that the mutant is on has tested the clean kernel."""
    if spec.mutant and weave.says_it_is_on(spec.mutant) not in up.console.text():
        raise InfraError(f"the kernel does not say that the mutant {spec.mutant} is on")


def _run_suite(up: Guest, selection: Selection, seed: int) -> SuiteResult:
    chosen, cases = suite.pick(selection.suite), suite.cases_of(selection)
    results = []
    with log.step(f"{chosen.name} on {up.machine.arch}") as step:
        for done, case in enumerate(cases):
            step.progress(done, len(cases), case.name)
            results.append(suite.run_case(up, chosen, case, seed=seed))
            step.note(f"{results[-1].outcome} {case.name} {results[-1].reason}".rstrip())
    return SuiteResult(suite=chosen.name, cases=tuple(results))


def _console(directory: Path) -> tuple[Splat, ...]:
    """Every splat of the whole console, now that the guest is gone and nothing can follow."""
    path = directory / "console.log"
    return scan(path.read_text(errors="replace")) if path.is_file() else ()


def _decode(splat: Splat, prepared: Prepared) -> Splat:
    arch = arches.pick(prepared.spec.machine.arch)
    return replace(splat, text=symbolize.decode(arch, prepared.build.directory, splat.text))


def _explain(prepared: Prepared, directory: Path) -> None:
    """Leave beside the result what it takes to explain it later."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy2(prepared.build.directory / ".config", directory / "kernel.config")
    series = prepared.spec.tree.series
    if series is not None:
        mails = (b"From rig Thu Jan  1 00:00:00 1970\n" + patch.mail for patch in series.patches)
        (directory / "series.mbx").write_bytes(b"".join(mails))


def interact(prepared: Prepared, command: Sequence[str], out: TextIO, err: TextIO) -> int:
    """A guest for a person: a prompt, or one command whose exit status comes back."""
    with tempfile.TemporaryDirectory(prefix="rig-") as scratch:
        with guest.boot(machine_of(prepared.spec), prepared.software, Path(scratch)) as up:
            if not command:
                up.shell()
                return 0
            ran = up.run(shlex.join(command), deadline=3600)
            out.write(ran.stdout)
            err.write(ran.stderr)
            return ran.status


# --- campaigns: several specs, one directory ---------------------------------------------------


def new_directory(store: Store, label: str) -> Path:
    """A directory under `runs/` of its own, named after the time and what is run."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    parent = store.root / "runs"
    parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, 1000):
        path = parent / f"{stamp}-{SAFE.sub('-', label)}{f'-{attempt}' if attempt > 1 else ''}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise InfraError(f"{parent} is full of runs of this second")


def campaign(
    store: Store, shelves: Shelves, specs: Sequence[RunSpec], directory: Path
) -> tuple[RunResult, ...]:
    """Run the specs, in their order: kernels one after the other, guests side by side.

    Each result is stored as soon as it is there. What is wrong with the request is raised; what is
    wrong with a series or a kernel is a result.
    """
    with ThreadPoolExecutor(max_workers=_side_by_side(specs)) as pool:
        futures = []
        for spec in specs:
            # A thread of its own has no log step unless it is handed ours.
            context = contextvars.copy_context()
            place = directory / _slot(spec, specs)
            ready = _prepare_or_verdict(store, shelves, spec)
            work: Callable[[], RunResult] = (
                (lambda ready=ready, place=place: execute(ready, place))  # type: ignore[misc]
                if isinstance(ready, Prepared)
                else (lambda ready=ready: ready)  # type: ignore[misc]
            )
            futures.append(pool.submit(context.run, _store_result, work, place))
        return tuple(future.result() for future in futures)


def _slot(spec: RunSpec, specs: Sequence[RunSpec]) -> str:
    """The spec's directory: its architecture, numbered where several share it."""
    same = [other for other in specs if other.machine.arch == spec.machine.arch]
    if len(same) == 1:
        return spec.machine.arch
    return f"{spec.machine.arch}-{next(n for n, other in enumerate(same, 1) if other is spec)}"


def _side_by_side(specs: Sequence[RunSpec]) -> int:
    """How many guests fit: one for each core, and in three quarters of the memory that is free."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    largest = max(spec.machine.memory + 256 for spec in specs)
    return max(1, min(os.cpu_count() or 1, free * 3 // 4 // largest, len(specs)))


def _prepare_or_verdict(store: Store, shelves: Shelves, spec: RunSpec) -> Prepared | RunResult:
    """A series that does not apply or compile has its verdict without a boot."""
    began, started = time.monotonic(), _now()
    try:
        return prepare(store, shelves, spec)
    except ConfigError:
        raise
    except RigError as error:
        return RunResult(
            machine=machine_of(spec),
            provenance=_provenance(spec),
            seconds=round(time.monotonic() - began, 2),
            began=started,
            verdict=conclude((), (), Trouble.of(error)),
            detail="\n".join(filter(None, (error.detail, error.hint))),
        )


def _store_result(work: Callable[[], RunResult], directory: Path) -> RunResult:
    result = work()
    directory.mkdir(parents=True, exist_ok=True)
    scratch = directory / f".{RESULT}"
    scratch.write_bytes(to_json(result))
    scratch.rename(directory / RESULT)
    return result


def runs(store: Store) -> tuple[Path, ...]:
    """The stored runs, newest last."""
    return tuple(
        sorted(path for path in (store.root / "runs").glob("*") if any(path.glob(f"*/{RESULT}")))
    )


def find(store: Store, name: str = "") -> Path:
    """A stored run by its name, a unique part of it, or the newest."""
    known = runs(store)
    if not known:
        raise ConfigError("there is no stored run yet", hint="rig run v6.12 makes one")
    if not name:
        return known[-1]
    matches = [path for path in known if name == path.name] or [
        path for path in known if name in path.name
    ]
    if not matches:
        raise unknown("run", name, (path.name for path in known))
    if len(matches) > 1:
        raise ConfigError(
            f"{name!r} is the name of {len(matches)} runs", hint=f"the newest is {matches[-1].name}"
        )
    return matches[0]


def load_all(directory: Path) -> tuple[RunResult, ...]:
    return tuple(load(path) for path in sorted(directory.glob(f"*/{RESULT}")))
