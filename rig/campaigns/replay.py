# SPDX-License-Identifier: GPL-2.0-only
"""`rig replay`: runs a stored seeded run again, and compares every byte.

Everything comes from the result and the store: with the same builds, image, programs and QEMU the
bytes are the same. What the store no longer has is made again, if that gives the same digests.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rig import arch as arches
from rig import log, proc
from rig.campaigns import execute, pipeline, request
from rig.campaigns.results import Provenance, RunResult
from rig.context import Context
from rig.errors import ConfigError, InfraError
from rig.guest import accel, gdbstub, libraries, seeded
from rig.guest import programs as guest_programs
from rig.guest.qemu import value as qemu_value
from rig.guest.software import Software
from rig.kernel import sandbox
from rig.kernel.sandbox import Box
from rig.store import Store
from rig.verdict.rules import CaseResult, Outcome, repeated

FAILING = ("evidence", "ktap_result")
"""Functions that a program calls when it has found a failure (rig/suites/guestlib/ktap.h)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """One case, run again."""

    name: str
    """suite/case"""
    arch: str
    identical: bool
    seconds: float
    before: str
    """The first line that differs, in the stored run; empty if they are identical."""
    after: str
    note: str
    """That QEMU is another one, so that other bytes prove nothing; empty if it is the same."""

    @property
    def outcome(self) -> Outcome:
        return repeated(identical=self.identical, same_qemu=not self.note)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A case that can be run again."""

    suite: str
    case: CaseResult
    result: RunResult
    directory: Path
    """The directory with its consoles."""

    @property
    def name(self) -> str:
        return f"{self.suite}/{self.case.name}"


def recorded(directory: Path, case: str = "") -> tuple[Recorded, ...]:
    """The seeded cases of a stored run, or the case of this name. Raises ConfigError if none."""
    cases = tuple(
        Recorded(
            suite=suite.suite,
            case=case_result,
            result=result,
            directory=path.parent / f"{suite.suite}.{case_result.name}",
        )
        for path in sorted(directory.glob(f"*/{execute.RESULT}"))
        for result in (execute.load(path),)
        for suite in result.suites
        for case_result in suite.cases
        if case_result.digest
    )
    if not cases:
        raise ConfigError(
            f"{directory.name} has no seeded case, and only seeded cases can be replayed",
            hint="rig run … --schedule seeded --seed N",
        )
    named = tuple(record for record in cases if case in ("", record.name, record.case.name))
    if not named:
        names = ", ".join(dict.fromkeys(record.name for record in cases))
        raise ConfigError(f"{directory.name} has no case {case!r}", hint=f"it has {names}")
    return named


def replay(store: Store, record: Recorded, directory: Path) -> Replayed:
    """Run a case again in `directory`, and compare every byte of both consoles."""
    origin = record.result.provenance
    run = seeded.run(record.result.machine, software(store, origin), record.case.command, directory)
    before, after = _first_difference(record.directory, directory)
    return Replayed(
        name=record.name,
        arch=record.result.machine.arch,
        identical=run.digest == record.case.digest,
        seconds=run.seconds,
        before=before,
        after=after,
        note=other_qemu(record.result),
    )


def other_qemu(result: RunResult) -> str:
    """That QEMU is not the one of the stored run; empty if it is."""
    qemu, before = accel.qemu_version(arches.pick(result.machine.arch)), result.provenance.qemu
    return "" if qemu == before else f"QEMU is {qemu}; the stored run had {before}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """A guest that is stopped where its program found the failure."""

    process: proc.Popen[bytes]
    gdb: Path
    """A script that starts gdb on it, in the sandbox."""


@contextmanager
def stopped(store: Store, record: Recorded, directory: Path) -> Iterator[Stopped]:
    """Run the case again up to the failing check; its consoles are left in `directory`.

    Raises ConfigError if the program ends without a failure.
    """
    if record.case.outcome is not Outcome.FAIL:
        raise ConfigError(
            f"{record.name} is {record.case.outcome}: there is no failure for --gdb to stop at",
            hint="--case NAME of a case that fails",
        )
    origin, machine = record.result.provenance, record.result.machine
    arch, stored = arches.pick(machine.arch), software(store, origin)
    program = store.path("programs", dict(origin.programs)[record.suite]) / record.suite
    with ExitStack() as stack:
        scratch = stack.enter_context(sandbox.scratch())
        own = scratch / "qemu"
        own.mkdir()
        options = ("-S", "-gdb", f"unix:{qemu_value(own / 'gdb')},server=on,wait=off")
        qemu, writes = stack.enter_context(
            seeded.started(machine, stored, record.case.command, directory, options, share=(own,))
        )
        process = stack.enter_context(proc.spawn(qemu))
        stack.callback(proc.kill, process)
        stub = gdbstub.Stub(own / "gdb", seeded.DEADLINE)
        stack.callback(stub.close)
        with log.step(f"{record.name} on {arch.name}, up to the failing check"):
            reached = stub.run_to(gdbstub.functions(arch, program, FAILING))
        _same_so_far(record, writes, directory)
        if not reached:
            raise ConfigError(
                f"{record.name} does not fail: there is no check for --gdb to stop at",
                hint="--case NAME of a case that fails",
            )
        stub.close()
        gdb = "gdb-multiarch" if proc.which("gdb-multiarch") else "gdb"
        vmlinux = store.path("builds", origin.build) / "vmlinux"
        gdb_commands = (f"target remote {own / 'gdb'}", f"add-symbol-file {program}")
        # Without `confirm off` gdb asks whether to load the program's symbols.
        argv = [
            gdb,
            "-iex",
            "set confirm off",
            str(vmlinux),
            *(part for text in gdb_commands for part in ("-ex", text)),
        ]
        box = Box(read=(vmlinux, program), write=(own,), terminal=True)
        boxed = sandbox.command(argv, box, unconfined=stored.unconfined)
        script = scratch / "gdb"
        script.write_text(f"#!/bin/sh\nexec {proc.paste(boxed)}\n")
        script.chmod(0o755)
        yield Stopped(process=process, gdb=script)


def _same_so_far(record: Recorded, writes: Path, directory: Path) -> None:
    """Raise InfraError unless the output is the beginning of the stored output."""
    for name in (seeded.CONSOLE, seeded.ANSWER):
        sandbox.take(writes, name, directory / name, seeded.MOST[name])
        if not (record.directory / name).read_bytes().startswith((directory / name).read_bytes()):
            before, after = _first_difference(record.directory, directory)
            raise InfraError(
                f"{record.name} does not run as it did: its output differs from the stored one",
                hint=other_qemu(record.result),
                detail=f"was: {before}\nis:  {after}",
            )


def restore(context: Context, record: Recorded) -> None:
    """Make again what the store no longer has of the case's run.

    Raises ConfigError if today's inputs give other digests.
    """
    origin = record.result.provenance
    absent = [name for name, kind, digest in _parts(origin) if not context.store.find(kind, digest)]
    if not absent:
        return
    # One run of the whole tree is enough, also for a campaign of many runs.
    rerun = replace(
        origin.request,
        arch=(record.result.machine.arch,),
        suites=tuple(name for name, _ in origin.programs),
        cases=(),
        each_patch=False,
        after=(),
        repeat=1,
        unconfined=bool(origin.unconfined),
    )
    with log.step(f"Making the {', '.join(absent)} of {record.directory.parent.parent.name} again"):
        (spec,) = request.specs(context, rerun)
        remade = pipeline.prepare(context, spec).provenance
    changed = [part[0] for part in _parts(origin) if part not in _parts(remade)]
    if changed:
        raise ConfigError(
            f"the store no longer has the {', '.join(absent)} of this run, and the "
            f"{', '.join(changed)} made today has another digest",
            hint="the rig, the series or the compiler has changed since; go back to the versions "
            "of that time",
        )


def _parts(origin: Provenance) -> tuple[tuple[str, str, str], ...]:
    """(name, kind in the store, digest) of everything that a run used."""
    programs = ((f"program {name}", "programs", digest) for name, digest in origin.programs)
    return (("kernel", "builds", origin.build), ("image", "images", origin.image), *programs)


def software(store: Store, origin: Provenance) -> Software:
    """The software of a stored run, found in the store by its digests."""
    kernel = store.path("builds", origin.build) / store.manifest("builds", origin.build)["image"]
    programs = tuple(store.path("programs", digest) / name for name, digest in origin.programs)
    image = store.path("images", origin.image) / "rootfs.cpio"
    initrd = (image, guest_programs.pack(programs))
    return Software(
        kernel=kernel,
        initrd=initrd,
        steady=libraries.steady(store),
        unconfined=bool(origin.unconfined),
    )


def _first_difference(old: Path, new: Path) -> tuple[str, str]:
    """The first line of the consoles that differs: the old one and the new one."""
    for name in (seeded.CONSOLE, seeded.ANSWER):
        was, now = ((path / name).read_bytes().split(b"\n") for path in (old, new))
        for number in range(max(len(was), len(now))):
            before = was[number] if number < len(was) else b"(nothing)"
            after = now[number] if number < len(now) else b"(nothing)"
            if before != after:
                where = f"{name}:{number + 1}: "
                return where + _text(before), where + _text(after)
    return "", ""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
