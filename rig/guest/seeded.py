# SPDX-License-Identifier: GPL-2.0-only
"""Runs a program in a guest whose whole output is a function of (kernel, program, seed).

There is no SSH: init starts the program that the kernel command line names, the program prints to
a second serial port, and the guest exits. Measurements showed what QEMU's TCG needs for that: one
thread for all CPUs, an instruction count as clock, no network, no disk, no source of entropy.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rig import arch as arches
from rig import log, proc
from rig.errors import GuestLost, InfraError
from rig.guest import ending, libraries, qemu
from rig.guest.boot import OUTPUT_LIMIT
from rig.guest.qemu import Machine, Seeded, SeededFiles
from rig.guest.serial import CONSOLE_MAX, check_setup
from rig.guest.software import Software, write_initrd
from rig.kernel import sandbox
from rig.proc import DeadlineExceeded

CONSOLE, ANSWER, INITRD = "console.log", "answer.log", "initrd"
DEADLINE = 300.0
"""Seconds of host time: virtual time has its own pace, and a hung guest never exits."""
STARVED = 0.3
"""Share of the deadline. All CPUs of the guest are one thread, which a hung guest keeps busy: if it
ran for less, and waited for the host's CPU, a slow guest cannot be told from a hung one."""
TRACE_MAX = 8 << 30
"""Maximum size, in bytes, of a file that QEMU writes besides the consoles."""
MOST = {CONSOLE: CONSOLE_MAX, ANSWER: OUTPUT_LIMIT}
"""Maximum sizes of the consoles."""
ENDED = re.compile(rb"rig: the program ended with (\d{1,3})\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    status: int | None
    """The program's exit status; None if the guest exited before the program."""
    stdout: str
    seconds: float
    """Host time."""
    digest: str
    """SHA-256 of every byte of both consoles."""


def run(
    machine: Machine,
    software: Software,
    command: Sequence[str],
    directory: Path,
    options: Sequence[str] = (),
    leaves: Sequence[str] = (),
    deadline: float = DEADLINE,
) -> Finished:
    """Run a program; both consoles and QEMU's command line are left in `directory`.

    `options` are more options for QEMU, which must not change the run; `leaves` are the names of
    the files that QEMU writes because of them. `deadline` is in seconds of host time,
    for an architecture that needs no more than others.

    Raises GuestLost if the guest does not exit in time, InfraError if QEMU does not start.
    """
    began = time.monotonic()
    deadline *= arches.pick(machine.arch).tcg_patience
    late = ending.Late(STARVED * deadline)
    with started(machine, software, command, directory, options, leaves) as (argv, writes):
        try:
            with log.step(f"{' '.join(command[:2])} on {machine.arch}, seed {seed_of(machine)}"):
                result = proc.run(argv, check=False, deadline=deadline, on_deadline=late.look)
        except DeadlineExceeded as error:
            if late.fault:
                raise late.fault from error
            hangs = f"the guest does not exit within {deadline:.0f} s"
            if not _printed(writes):
                raise ending.silence(machine, error.detail, hangs) from error
            raise ending.full(writes) or GuestLost(hangs) from error
    errors = result.stderr.strip()[-2000:]
    if fault := ending.fault(result.status, result.stderr):
        raise fault
    console = _printed(directory)
    if not console:
        raise ending.full(directory) or ending.silence(machine, errors)
    if software.steady and not libraries.WAITED.search(result.stderr):
        raise InfraError(
            f"runs are not deterministic with this QEMU: {software.steady.name} has no effect",
            detail=errors,
            hint="rig/guest/preload.c needs QEMU to call ppoll(),"
            " and to export qemu_get_cpu() and cpu_is_stopped()",
        )
    check_setup(console)
    ended = ENDED.search(console)
    if ended is None and (full := ending.full(directory)):
        raise full
    answer = (directory / ANSWER).read_bytes()
    return Finished(
        status=int(ended[1]) if ended else None,
        stdout=answer.decode("utf-8", "replace"),
        seconds=round(time.monotonic() - began, 2),
        digest=digest(directory),
    )


def _printed(directory: Path) -> bytes:
    """The kernel's console, which may be another program's: it is opened as sandbox.take() does."""
    if not os.path.lexists(directory / CONSOLE):
        return b""
    return sandbox.read(directory, CONSOLE, CONSOLE_MAX).strip()


def environment(software: Software) -> dict[str, str]:
    """More environment variables for QEMU."""
    return {"LD_PRELOAD": str(software.steady)} if software.steady else {}


def seed_of(machine: Machine) -> int:
    assert isinstance(machine.schedule, Seeded)
    return machine.schedule.seed


@contextmanager
def started(
    machine: Machine,
    software: Software,
    command: Sequence[str],
    directory: Path,
    options: Sequence[str] = (),
    leaves: Sequence[str] = (),
    share: tuple[Path, ...] = (),
) -> Iterator[tuple[list[str], Path]]:
    """QEMU's command line for a program, and the directory that QEMU writes to while it runs.

    Its files are moved to `directory` afterwards. QEMU may write to the directories in `share` too.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with sandbox.scratch(directory) as qemu_directory:
        argv = _command(machine, software, command, directory, qemu_directory)
        initrd = directory / INITRD
        read = (software.kernel.with_name(arches.pick(machine.arch).seeded_kernel), initrd)
        box = software.box(machine, read=read, write=(qemu_directory, *share))
        boxed = replace(box, env=environment(software), cwd=qemu_directory)
        try:
            yield (
                sandbox.command([*argv, *options], boxed, unconfined=software.unconfined),
                qemu_directory,
            )
        finally:
            initrd.unlink(missing_ok=True)
            for leaf in (CONSOLE, ANSWER, *leaves):
                if os.path.lexists(qemu_directory / leaf):
                    sandbox.take(qemu_directory, leaf, directory / leaf, MOST.get(leaf, TRACE_MAX))


def _command(
    machine: Machine,
    software: Software,
    command: Sequence[str],
    directory: Path,
    qemu_directory: Path,
) -> list[str]:
    """QEMU's command line without the sandbox. Writes it and the initrd to `directory`."""
    schedule = machine.schedule
    assert isinstance(schedule, Seeded)
    if bad := [word for word in command if re.search(r"[,\s\"]", word)]:
        raise InfraError(
            f"{bad[0]!r} cannot be passed on the kernel command line",
            hint="a program's arguments must have no comma, space or quote",
        )
    arch = arches.pick(machine.arch)
    device = f"/dev/{arch.answer_device}"
    words = (f"rig.answer={device}", f"rig.run={','.join(command)}")
    files = SeededFiles(
        kernel=software.kernel.with_name(arch.seeded_kernel),
        initrd=write_initrd(directory / INITRD, software.initrd),
        console=qemu_directory / CONSOLE,
        answer=qemu_directory / ANSWER,
    )
    argv = qemu.seeded_argv(replace(machine, cmdline=(*machine.cmdline, *words)), schedule, files)
    (directory / "qemu.cmd").write_text(proc.paste(argv, env=environment(software)) + "\n")
    return argv


def digest(directory: Path) -> str:
    """SHA-256 of the two consoles of a run."""
    hasher = hashlib.sha256()
    for name in (CONSOLE, ANSWER):
        hasher.update((directory / name).read_bytes())
    return hasher.hexdigest()
