# SPDX-License-Identifier: GPL-2.0-only
"""A stored seeded run once more: the same bytes, or where they part.

Everything comes from the result and the store: whoever has the same builds, image, programs and
QEMU gets the same bytes. What the store has lost is made again, where that gives the same digests.
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
from rig.guest import accel, gdbstub, preload, seeded
from rig.guest import programs as guest_programs
from rig.guest.software import Software
from rig.kernel import sandbox
from rig.kernel.sandbox import Box
from rig.store import Store
from rig.verdict.rules import CaseResult

FAILING = ("evidence", "ktap_result")
"""What a program calls when it has seen a failure (rig/suites/guestlib/ktap.h)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """One case, run again."""

    name: str
    """suite/case"""
    arch: str
    identical: bool
    seconds: float
    before: str
    """The first line that differs, as it was; "" where nothing does."""
    after: str
    note: str
    """What else is not as it was: another QEMU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A case that can be run again."""

    suite: str
    case: CaseResult
    result: RunResult
    directory: Path
    """Where its consoles are."""

    @property
    def name(self) -> str:
        return f"{self.suite}/{self.case.name}"


def recorded(directory: Path, case: str = "") -> tuple[Recorded, ...]:
    """The seeded cases of a stored run; ConfigError where there is none, or none of that name."""
    found = tuple(
        Recorded(
            suite=one.suite,
            case=case_result,
            result=result,
            directory=path.parent / f"{one.suite}.{case_result.name}",
        )
        for path in sorted(directory.glob(f"*/{execute.RESULT}"))
        for result in (execute.load(path),)
        for one in result.suites
        for case_result in one.cases
        if case_result.digest
    )
    if not found:
        raise ConfigError(
            f"{directory.name} has nothing to replay: only a seeded run is the same twice",
            hint="rig run … --schedule seeded --seed N",
        )
    chosen = tuple(one for one in found if case in ("", one.name, one.case.name))
    if not chosen:
        names = ", ".join(dict.fromkeys(one.name for one in found))
        raise ConfigError(f"{directory.name} has no case {case!r}", hint=f"it has {names}")
    return chosen


def replay(store: Store, one: Recorded, directory: Path) -> Replayed:
    """Run it again into `directory` and compare every byte of both consoles."""
    known = one.result.provenance
    ran = seeded.run(one.result.machine, software(store, known), one.case.command, directory)
    before, after = _first_difference(one.directory, directory)
    here = accel.qemu_version(arches.pick(one.result.machine.arch))
    note = "" if here == known.qemu else f"this is {here}, it was {known.qemu}"
    return Replayed(
        name=one.name,
        arch=one.result.machine.arch,
        identical=ran.digest == one.case.digest,
        seconds=ran.seconds,
        before=before,
        after=after,
        note=note,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """A guest that stands at the instant its program has seen the failure."""

    process: proc.Popen[bytes]
    gdb: Path
    """A script that looks at it, with gdb in the sandbox."""


@contextmanager
def stopped(store: Store, one: Recorded, directory: Path) -> Iterator[Stopped]:
    """The run again, as far as the failing check; its consoles are left in `directory`.

    Raises ConfigError where the program comes to its end without having anything to say.
    """
    known, machine = one.result.provenance, one.result.machine
    arch, made = arches.pick(machine.arch), software(store, known)
    program = store.path("programs", dict(known.programs)[one.suite]) / one.suite
    with ExitStack() as stack:
        scratch = stack.enter_context(sandbox.scratch())
        own = scratch / "qemu"
        own.mkdir()
        options = ("-S", "-gdb", f"unix:{own / 'gdb'},server=on,wait=off")
        argv, writes = stack.enter_context(
            seeded.started(machine, made, one.case.command, directory, options, share=(own,))
        )
        process = stack.enter_context(proc.spawn(argv))
        stack.callback(proc.kill, process)
        stub = gdbstub.Stub(own / "gdb", seeded.DEADLINE)
        stack.callback(stub.close)
        with log.step(f"{one.name} on {arch.name}, as far as the failing check"):
            there = stub.run_to(gdbstub.functions(arch, program, FAILING))
        _same_so_far(one, writes, directory)
        if not there:
            raise ConfigError(f"{one.name} has nothing to stop at: it does not fail")
        stub.close()
        gdb = "gdb-multiarch" if proc.which("gdb-multiarch") else "gdb"
        vmlinux = store.path("builds", known.build) / "vmlinux"
        words = (f"target remote {own / 'gdb'}", f"add-symbol-file {program}")
        # Or it asks whether the program's symbols are wanted.
        asked = [
            gdb,
            "-iex",
            "set confirm off",
            str(vmlinux),
            *(part for word in words for part in ("-ex", word)),
        ]
        box = Box(read=(vmlinux, program), write=(own,), terminal=True)
        boxed = sandbox.command(asked, box, unconfined=made.unconfined)
        script = scratch / "gdb"
        script.write_text(f"#!/bin/sh\nexec {proc.paste(boxed)}\n")
        script.chmod(0o755)
        yield Stopped(process=process, gdb=script)


def _same_so_far(one: Recorded, writes: Path, directory: Path) -> None:
    """Raise InfraError unless all that was said by now was said then."""
    for name in (seeded.CONSOLE, seeded.ANSWER):
        sandbox.take(writes, name, directory / name, seeded.MOST[name])
        if not (one.directory / name).read_bytes().startswith((directory / name).read_bytes()):
            before, after = _first_difference(one.directory, directory)
            raise InfraError(
                f"{one.name} went another way than it did", detail=f"was: {before}\nis:  {after}"
            )


def restore(context: Context, one: Recorded) -> None:
    """Make again what the context.store no longer has of that run.

    Raises ConfigError where today's inputs make something else.
    """
    known = one.result.provenance
    absent = [what for what, kind, digest in _parts(known) if not context.store.find(kind, digest)]
    if not absent:
        return
    # The tree as a whole: it is run once, whatever the campaign did with it.
    asked = replace(
        known.request,
        arch=(one.result.machine.arch,),
        suites=tuple(name for name, _ in known.programs),
        cases=(),
        each_patch=False,
        after=(),
        repeat=1,
        unconfined=bool(known.unconfined),
    )
    with log.step(f"Making the {', '.join(absent)} of {one.directory.parent.parent.name} again"):
        (spec,) = request.specs(context, asked)
        made = pipeline.prepare(context, spec).provenance
    others = [part[0] for part in _parts(known) if part not in _parts(made)]
    if others:
        raise ConfigError(
            f"the context.store no longer has the {', '.join(absent)} of that run, and today's "
            f"{', '.join(others)} would be another",
            hint="the rig's checkout, the series or the compiler has changed since; with those of "
            "then it is made again",
        )


def _parts(known: Provenance) -> tuple[tuple[str, str, str], ...]:
    """What a run was made of: its name, where in the store it is, its digest."""
    programs = ((f"program {name}", "programs", digest) for name, digest in known.programs)
    return (("kernel", "builds", known.build), ("image", "images", known.image), *programs)


def software(store: Store, known: Provenance) -> Software:
    """What a stored run was made of, from the store by its digests."""
    kernel = store.path("builds", known.build) / store.manifest("builds", known.build)["image"]
    programs = tuple(store.path("programs", digest) / name for name, digest in known.programs)
    image = store.path("images", known.image) / "rootfs.cpio"
    initrd = (image, guest_programs.pack(programs))
    return Software(
        kernel=kernel,
        initrd=initrd,
        steady=preload.library(store),
        unconfined=bool(known.unconfined),
    )


def _first_difference(old: Path, new: Path) -> tuple[str, str]:
    """The first line of the consoles that is not the same: as it was, and as it is."""
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
