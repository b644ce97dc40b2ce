# SPDX-License-Identifier: GPL-2.0-only
"""`RunSpec` -> `RunResult`: the only pipeline. The campaigns make specs and combine results.

series -> tree -> build -> boot -> suite -> verdict. The result goes to the store's `runs/`, with
everything that is needed to explain it a year later.
"""

import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from rig import arch as arches
from rig import log
from rig.campaigns import each_patch
from rig.campaigns.live import Guests, check_mutant, machine_of
from rig.campaigns.results import Prepared, RunResult, RunSpec, provenance
from rig.context import Context
from rig.errors import BuildError, ConfigError, GuestLost, RigError
from rig.guest import accel, boot, image, libraries, seeded, symbolize
from rig.guest import programs as guest_programs
from rig.guest.console import Splat, scan_file
from rig.guest.qemu import Seeded
from rig.guest.session import Streams
from rig.guest.software import Software
from rig.kernel import kbuild, sandbox, tree, weave
from rig.kernel.kbuild import BuildSpec, KernelBuild
from rig.kernel.mutant import load_all as load_mutants
from rig.store import host_trouble
from rig.suites import suite
from rig.suites.suite import Case, Selection, Suite
from rig.verdict import ktap
from rig.verdict.rules import (
    CaseResult,
    Outcome,
    Owner,
    Shows,
    SuiteResult,
    Trouble,
    Verdict,
    conclude,
    judge,
    lost,
    not_run,
)

TOP = "top.eml"
"""File beside a result: the cover letter of the series, or its first patch."""
HANGS = 4
"""Seeded guests that may hang in a run, each until seeded.DEADLINE. Then no other case is run."""


def build_spec(context: Context, spec: RunSpec) -> BuildSpec:
    """The tree, instrumented if a mutant is requested, and the kernel configuration."""
    source = tree.materialize(context.store, spec.tree)
    if spec.request.mutant:
        mutants = load_mutants(context.shelves.patches)
        # mutant.NONE, the clean kernel in the instrumented build, is not one of them.
        named = [mutant for mutant in mutants if mutant.name == spec.request.mutant]
        if reason := "".join(mutant.absent(source.version) for mutant in named):
            raise ConfigError(
                f"mutant {spec.request.mutant} does not apply to {source.label}: {reason}"
            )
        source = weave.instrument(context.store, source, mutants)
    # The fragments of all suites, whichever suites run: one kernel is enough for all of them.
    extra = tuple(known_suite.config for known_suite in suite.known().values())
    config = kbuild.fragments(
        context.shelves.kconfigs, arches.pick(spec.machine.arch), spec.request.flavour, extra
    )
    return BuildSpec(tree=source, config=config, unconfined=spec.request.unconfined)


def prepare(context: Context, spec: RunSpec) -> Prepared:
    """Make the tree and the kernel, unless the store has them; the image and the programs too if
    it will be booted."""
    arch = arches.pick(spec.machine.arch)
    to_build = build_spec(context, spec)
    kernel = _build(context, spec, to_build)
    selected = [suite.pick(selection.suite) for selection in spec.suites]
    programs = {entry.name: entry.programs(context.store, entry, to_build) for entry in selected}
    origin = replace(
        provenance(spec),
        commit=to_build.tree.commit,
        tree=to_build.tree.tree,
        build=kernel.digest,
        release=kernel.release,
        programs=tuple((name, paths[0].parent.name) for name, paths in programs.items()),
        qemu=accel.qemu_version(arch),
    )
    software = Software(kernel=kernel.image, initrd=(), unconfined=to_build.may_escape)
    if spec.boot:
        rootfs = image.build(context.store, context.shelves.images, spec.image, arch)
        origin = replace(origin, image=rootfs.parent.name)
        seeded_run = isinstance(spec.machine.schedule, Seeded)
        software = replace(
            software,
            initrd=(rootfs, guest_programs.pack(tuple(chain.from_iterable(programs.values())))),
            data_disk=image.data_disk(context.store),
            steady=libraries.steady(context.store) if seeded_run else None,
        )
    return Prepared(
        spec=spec,
        build=kernel,
        software=software,
        provenance=origin,
        checkpatch=each_patch.checkpatch(
            context.store, spec.step, unconfined=spec.request.unconfined
        ),
    )


def _build(context: Context, spec: RunSpec, to_build: BuildSpec) -> KernelBuild:
    if spec.step is not None:
        before = build_spec(context, replace(spec, tree=spec.step.before))
        return each_patch.build(context.store, to_build, before, spec.step)
    try:
        return kbuild.build(context.store, to_build)
    except BuildError as error:
        if not spec.request.mutant:
            raise
        raise weave.blame(
            context.store, to_build.tree, load_mutants(context.shelves.patches), error
        ) from error


def built(prepared: Prepared, directory: Path) -> RunResult:
    """The result of a spec that is only built: SKIP, as no case was run (outcome rule 1)."""
    explain(prepared, directory)
    return RunResult(
        machine=prepared.spec.machine,
        provenance=prepared.provenance,
        warnings=prepared.build.warnings,
        ended=now(),
        verdict=Verdict(outcome=Outcome.SKIP, reason="builds, no new warning; not run"),
        checkpatch=prepared.checkpatch,
    )


def execute(prepared: Prepared, directory: Path) -> RunResult:
    """Boot guests, run the suites, judge. A RigError on the way becomes the verdict."""
    spec, began = prepared.spec, time.monotonic()
    suites: list[SuiteResult] = []
    explain(prepared, directory)
    guests = Guests(prepared, directory)
    try:
        with host_trouble("running a guest"):
            if isinstance(spec.machine.schedule, Seeded):
                _run_seeded(prepared, directory, suites)
            else:
                with guests:
                    guests.guest()
                    for selection in spec.suites:
                        _run_suite(guests, selection, spec, suites)
                    guests.end()
        error = guests.failure
    except RigError as raised:
        error = raised
    return finish(
        prepared,
        directory,
        suites=tuple(suites),
        trouble=Trouble.of(error) if error else None,
        detail="\n\n".join(filter(None, (guests.detail, error.detail if error else ""))),
        boot_seconds=guests.boot_seconds,
        began=began,
        idle=guests.idle,
    )


def finish(
    prepared: Prepared,
    directory: Path,
    *,
    suites: tuple[SuiteResult, ...],
    trouble: Trouble | None,
    detail: str,
    boot_seconds: float,
    began: float,
    idle: str = "",
) -> RunResult:
    """The result of a run whose guest has ended: its console is complete. `began` is monotonic;
    `idle` is the loss of a guest while no case ran."""
    arch = arches.pick(prepared.spec.machine.arch)
    splats = symbolize.look_up(arch, prepared.build.directory, _console(directory))
    seconds = time.monotonic() - began
    return RunResult(
        machine=machine_of(prepared.spec),
        provenance=prepared.provenance,
        suites=suites,
        splats=splats,
        warnings=prepared.build.warnings,
        boot_seconds=round(boot_seconds, 2),
        seconds=round(seconds, 2),
        ended=now(),
        verdict=conclude(suites, splats, trouble, idle),
        detail=detail,
        idle=idle,
        checkpatch=prepared.checkpatch,
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _run_suite(
    guests: Guests, selection: Selection, spec: RunSpec, suites: list[SuiteResult]
) -> None:
    """Adds the results of the cases to `suites`, also if the rig fails in the middle."""
    request, results = spec.request, list[CaseResult]()
    selected, cases = suite.pick(selection.suite), suite.cases_of(selection)
    try:
        with log.step(f"{selected.name} on {spec.machine.arch}") as step:
            for finished, case in enumerate(cases):
                step.progress(finished, len(cases), case.name)
                scaled = case.scaled(request.iterations, request.pages)
                scaled = replace(scaled, promised=spec.promises)
                results.append(guests.run(selected, scaled, seed=request.seed))
                step.note(f"{results[-1].outcome} {case.name} {results[-1].reason}".rstrip())
    finally:
        suites.append(SuiteResult(suite=selected.name, cases=tuple(results)))


def _run_seeded(prepared: Prepared, directory: Path, suites: list[SuiteResult]) -> None:
    """The same in the seeded schedule: a guest for each case."""
    hangs = 0
    for selection in prepared.spec.suites:
        selected = suite.pick(selection.suite)
        results: list[CaseResult] = []
        try:
            for case in suite.cases_of(selection):
                if hangs == HANGS:
                    reason = f"{hangs} guests hung, each until the deadline"
                    why = Trouble(owner=Owner.KERNEL, reason=reason)
                    results.append(not_run(case.name, why))
                    continue
                path = directory / f"{selected.name}.{case.name}"
                results.append(seeded_case(prepared, selected, case, path))
                # A guest that ended has a digest.
                hangs += results[-1].shows is Shows.LOST and not results[-1].digest
        finally:
            suites.append(SuiteResult(suite=selected.name, cases=tuple(results)))


def seeded_case(
    prepared: Prepared, selected: Suite, case: Case, path: Path, deadline: float = seeded.DEADLINE
) -> CaseResult:
    """Run one case in a guest of its own; the seed determines everything that happens in it.

    If the guest hangs, the case fails, and has no digest: the host's deadline ended the run.
    """
    if case.live_only:
        return CaseResult(name=case.name, outcome=Outcome.SKIP, reason=case.live_only)
    spec, began = prepared.spec, time.monotonic()
    scaled = case.seeded(spec.request.iterations, spec.request.pages)
    scaled = replace(scaled, promised=spec.promises)
    command = suite.command(selected, scaled, seed=spec.request.seed, cpus=spec.machine.cpus)
    try:
        run = seeded.run(machine_of(spec), prepared.software, command, path, deadline=deadline)
    except GuestLost as error:
        check_mutant(_text(path / seeded.CONSOLE), spec)
        error.output, error.hung = _text(path / seeded.ANSWER), True
        return lost(case.name, error, time.monotonic() - began)
    check_mutant(_text(path / seeded.CONSOLE), spec)
    if run.status is None:
        # The first splat is the cause; later ones may be its consequences.
        titles = [splat.title for splat in scan_file(path / seeded.CONSOLE) if splat.kind.failure]
        gone = GuestLost(titles[0] if titles else "guest exited before the program ended")
        gone.output = run.stdout
        result = lost(case.name, gone, run.seconds)
    else:
        result = judge(ktap.parse(run.stdout), case.name, scaled.floors, run.status, run.seconds)
    return replace(result, digest=run.digest, command=command)


def _text(path: Path) -> str:
    """A console, as far as the guest has written it."""
    return path.read_text(errors="replace") if path.is_file() else ""


def _console(directory: Path) -> tuple[Splat, ...]:
    """The splats of all consoles. The guests have ended: nothing is written to them any more."""
    paths = sorted(directory.rglob(seeded.CONSOLE))
    return tuple(splat for path in paths for splat in scan_file(path))


def explain(prepared: Prepared, directory: Path) -> None:
    """Store beside the result what is needed to explain it later: configuration and patches."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy2(prepared.build.directory / ".config", directory / "kernel.config")
    keep_series(prepared.spec, directory)


def keep_series(spec: RunSpec, directory: Path) -> None:
    """Store the patches, and the mail that `rig reply` answers, as they are now."""
    directory.mkdir(parents=True, exist_ok=True)
    series = spec.tree.series
    if series is not None:
        applied = (*spec.tree.below, series)
        patches = chain.from_iterable(version.patches for version in applied)
        (directory / "series.mbx").write_bytes(b"".join(patch.mbox for patch in patches))
        (directory / TOP).write_bytes(series.top)


def interact(prepared: Prepared, command: Sequence[str], streams: Streams) -> int:
    """Boot a guest for a person: a prompt, or one command; returns its exit status."""
    with sandbox.scratch() as scratch:
        with boot.boot(machine_of(prepared.spec), prepared.software, scratch) as guest:
            return guest.session(shlex.join(command), streams)
