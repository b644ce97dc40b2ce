# SPDX-License-Identifier: GPL-2.0-only
"""`RunSpec` -> `RunResult`: the one pipeline. Everything else generates specs and folds results.

series -> tree -> build -> boot -> suite -> verdict; stored under the store's `runs/` with all that
is needed to explain it a year later.
"""

import shlex
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TextIO

from rig import arch as arches
from rig import log, printable
from rig.campaigns import each_patch
from rig.campaigns.results import Prepared, RunResult, RunSpec, provenance
from rig.context import Context
from rig.errors import BuildError, ConfigError, InfraError, RigError
from rig.guest import accel, boot, image, preload, seeded, symbolize
from rig.guest import programs as guest_programs
from rig.guest.boot import Guest
from rig.guest.console import Splat, scan
from rig.guest.qemu import Machine, Seeded
from rig.guest.software import Software
from rig.kernel import kbuild, mutant, tree, weave
from rig.kernel.kbuild import BuildSpec, KernelBuild
from rig.store import host_trouble
from rig.suites import suite
from rig.suites.suite import Case, Selection, Suite
from rig.verdict import ktap
from rig.verdict.rules import CaseResult, Outcome, SuiteResult, Trouble, Verdict, conclude, judge

TOP = "top.eml"
"""Beside a result: the cover letter, or the first patch, of the series that was run."""


def build_spec(context: Context, spec: RunSpec) -> BuildSpec:
    """The tree, instrumented if a mutant is wanted, with the configuration all suites share."""
    made = tree.materialize(context.store, spec.tree)
    if spec.request.mutant:
        mutants = mutant.load_all(context.shelves.patches)
        # mutant.NONE is the name of none of them.
        chosen = [one for one in mutants if one.name == spec.request.mutant]
        if why := "".join(one.absent(made.version) for one in chosen):
            raise ConfigError(f"{spec.request.mutant} is no mutant of {made.label}: {why}")
        made = weave.instrument(context.store, made, mutants)
    # Every suite's fragment, whichever suites run: one kernel serves them all.
    extra = tuple(known.config for known in suite.known().values())
    config = kbuild.fragments(
        context.shelves.kconfigs, arches.pick(spec.machine.arch), spec.request.flavour, extra
    )
    return BuildSpec(tree=made, config=config, unconfined=spec.request.unconfined)


def prepare(context: Context, spec: RunSpec) -> Prepared:
    """Tree, kernel, image and programs, each made unless it is there."""
    arch = arches.pick(spec.machine.arch)
    wanted = build_spec(context, spec)
    built = _build(context, spec, wanted)
    rootfs = image.build(context.store, context.shelves.images, spec.image, arch)
    chosen = [suite.pick(selection.suite) for selection in spec.suites]
    programs = {one.name: one.programs(context.store, one, wanted) for one in chosen}
    known = replace(
        provenance(spec),
        commit=wanted.tree.commit,
        tree=wanted.tree.tree,
        build=built.digest,
        release=built.release,
        image=rootfs.parent.name,
        programs=tuple((name, paths[0].parent.name) for name, paths in programs.items()),
        qemu=accel.qemu_version(arch),
    )
    software = Software(
        kernel=built.image,
        initrd=(rootfs, guest_programs.pack(tuple(chain.from_iterable(programs.values())))),
        data_disk=image.data_disk(context.store),
        steady=preload.library(context.store)
        if isinstance(spec.machine.schedule, Seeded)
        else None,
        unconfined=wanted.may_escape,
    )
    return Prepared(
        spec=spec,
        build=built,
        software=software,
        provenance=known,
        checkpatch=each_patch.checkpatch(
            context.store, spec.step, unconfined=spec.request.unconfined
        ),
    )


def _build(context: Context, spec: RunSpec, wanted: BuildSpec) -> KernelBuild:
    if spec.step is not None:
        before = build_spec(context, replace(spec, tree=spec.step.before))
        return each_patch.build(context.store, wanted, before, spec.step)
    try:
        return kbuild.build(context.store, wanted)
    except BuildError as error:
        if not spec.request.mutant:
            raise
        raise weave.blame(
            context.store, wanted.tree, mutant.load_all(context.shelves.patches), error
        ) from error


def machine_of(spec: RunSpec) -> Machine:
    if not spec.request.mutant:
        return spec.machine
    return replace(
        spec.machine, cmdline=(*spec.machine.cmdline, f"rig.mutant={spec.request.mutant}")
    )


def built(prepared: Prepared, directory: Path) -> RunResult:
    """The result of a spec that is not to be booted: rule 1, it proves nothing of the kernel."""
    explain(prepared, directory)
    return RunResult(
        machine=prepared.spec.machine,
        provenance=prepared.provenance,
        warnings=prepared.build.warnings,
        ended=now(),
        verdict=Verdict(outcome=Outcome.SKIP, reason="builds, no new compiler warning; not run"),
        checkpatch=prepared.checkpatch,
    )


def execute(prepared: Prepared, directory: Path) -> RunResult:
    """Boot the guest, run the suites, judge. A RigError of the guest becomes the verdict."""
    spec, began = prepared.spec, time.monotonic()
    suites: list[SuiteResult] = []
    trouble, detail, boot_seconds = None, "", 0.0
    explain(prepared, directory)
    try:
        with host_trouble("running a guest"):
            if isinstance(spec.machine.schedule, Seeded):
                for selection in spec.suites:
                    _run_seeded(prepared, selection, directory, suites)
            else:
                with boot.boot(machine_of(spec), prepared.software, directory) as up:
                    boot_seconds = up.boot_seconds
                    check_mutant(up.console.text(), spec)
                    for selection in spec.suites:
                        _run_suite(up, selection, spec, suites)
                if up.lost:
                    raise up.lost
    except RigError as error:
        trouble, detail = Trouble.of(error), error.detail
    return finish(
        prepared,
        directory,
        suites=tuple(suites),
        trouble=trouble,
        detail=detail,
        boot_seconds=boot_seconds,
        began=began,
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
) -> RunResult:
    """The result, once the guest is gone and its console complete; `began` is monotonic."""
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
        verdict=conclude(suites, splats, trouble),
        detail=detail,
        checkpatch=prepared.checkpatch,
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def check_mutant(console: str, spec: RunSpec) -> None:
    """A run without the kernel's own word that the mutant is on has tested the clean kernel."""
    if spec.request.mutant and weave.says_it_is_on(spec.request.mutant) not in console:
        raise InfraError(f"the kernel does not say that the mutant {spec.request.mutant} is on")


def _run_suite(up: Guest, selection: Selection, spec: RunSpec, suites: list[SuiteResult]) -> None:
    """Adds to `suites` what was found out, also where the rig itself fails in the middle."""
    chosen, cases, asked = suite.pick(selection.suite), suite.cases_of(selection), spec.request
    results: list[CaseResult] = []
    try:
        with log.step(f"{chosen.name} on {up.machine.arch}") as step:
            for done, case in enumerate(cases):
                step.progress(done, len(cases), case.name)
                scaled = case.scaled(asked.iterations, asked.pages)
                some = replace(scaled, promised=spec.promises)
                results.append(suite.run_case(up, chosen, some, seed=asked.seed))
                step.note(f"{results[-1].outcome} {case.name} {results[-1].reason}".rstrip())
    finally:
        suites.append(SuiteResult(suite=chosen.name, cases=tuple(results)))


def _run_seeded(
    prepared: Prepared, selection: Selection, directory: Path, suites: list[SuiteResult]
) -> None:
    """The same in the seeded schedule: a guest for each case."""
    chosen = suite.pick(selection.suite)
    results: list[CaseResult] = []
    try:
        for case in suite.cases_of(selection):
            path = directory / f"{chosen.name}.{case.name}"
            results.append(seeded_case(prepared, chosen, case, path))
    finally:
        suites.append(SuiteResult(suite=chosen.name, cases=tuple(results)))


def seeded_case(
    prepared: Prepared, chosen: Suite, case: Case, path: Path, deadline: float = seeded.DEADLINE
) -> CaseResult:
    """One case in a guest of its own; everything follows from the seed."""
    if case.live_only:
        return CaseResult(name=case.name, outcome=Outcome.SKIP, reason=case.live_only)
    spec = prepared.spec
    some = replace(case.seeded(spec.request.iterations, spec.request.pages), promised=spec.promises)
    words = suite.command(chosen, some, seed=spec.request.seed, cpus=spec.machine.cpus)
    ran = seeded.run(machine_of(spec), prepared.software, words, path, deadline=deadline)
    console = (path / seeded.CONSOLE).read_text(errors="replace")
    check_mutant(console, spec)
    if ran.status is None:
        # What it died of comes first; what dying brings about may follow.
        why = [splat.title for splat in scan(console) if splat.kind.failure]
        reason = why[0] if why else "the guest ended before the program did"
        said = CaseResult(name=case.name, outcome=Outcome.FAIL, reason=reason, seconds=ran.seconds)
    else:
        said = judge(ktap.parse(ran.stdout), case.name, some.floors, ran.status, ran.seconds)
    return replace(said, digest=ran.digest, command=words)


def _console(directory: Path) -> tuple[Splat, ...]:
    """Every splat of all consoles, now that the guests are gone and nothing can follow."""
    paths = sorted(directory.rglob(seeded.CONSOLE))
    return tuple(splat for path in paths for splat in scan(path.read_text(errors="replace")))


def explain(prepared: Prepared, directory: Path) -> None:
    """Leave beside the result what it takes to explain it later."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy2(prepared.build.directory / ".config", directory / "kernel.config")
    keep_series(prepared.spec, directory)


def keep_series(spec: RunSpec, directory: Path) -> None:
    """The patches, and the mail that an answer goes to, as they are now."""
    directory.mkdir(parents=True, exist_ok=True)
    series = spec.tree.series
    if series is not None:
        whole = (*spec.tree.below, series)
        patches = chain.from_iterable(one.patches for one in whole)
        (directory / "series.mbx").write_bytes(b"".join(patch.mbox for patch in patches))
        (directory / TOP).write_bytes(series.top)


def interact(prepared: Prepared, command: Sequence[str], out: TextIO, err: TextIO) -> int:
    """A guest for a person: a prompt, or one command whose exit status comes back."""
    with tempfile.TemporaryDirectory(prefix="rig-") as scratch:
        with boot.boot(machine_of(prepared.spec), prepared.software, Path(scratch)) as up:
            if not command:
                return up.shell()
            ran = up.run(shlex.join(command), deadline=3600)
            for stream, said in ((out, ran.stdout), (err, ran.stderr)):
                # A stranger's kernel's: a file has it as it is, and a terminal obeys none of it.
                stream.write(printable.text(said) if stream.isatty() else said)
            return ran.status
