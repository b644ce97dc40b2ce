# SPDX-License-Identifier: GPL-2.0-only
"""One program in a guest that is a function of (kernel, program, seed), console and all.

Nobody logs in: init starts the program the kernel command line names, the program answers on a
serial port of its own, and the guest ends. What QEMU's TCG needs for that was measured: one thread
for all CPUs, instructions for a clock, no network, no disk, no source of entropy.
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
from rig.guest import preload, qemu
from rig.guest.boot import CONSOLE_MAX, OUTPUT_LIMIT, check_setup
from rig.guest.qemu import Machine, Seeded, SeededFiles
from rig.guest.software import Software, write_initrd
from rig.kernel import sandbox
from rig.proc import DeadlineExceeded

CONSOLE, ANSWER, INITRD = "console.log", "answer.log", "initrd"
DEADLINE = 300.0
"""Seconds of the host's; virtual time runs at its own pace, and a hung guest runs for ever."""
TRACE_MAX = 8 << 30
"""Bytes of a file that QEMU leaves beside the consoles."""
MOST = {CONSOLE: CONSOLE_MAX, ANSWER: OUTPUT_LIMIT}
"""The same of the consoles."""
ENDED = re.compile(rb"rig: the program ended with (\d{1,3})\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    status: int | None
    """The program's; None where the guest was gone before it ended."""
    stdout: str
    seconds: float
    """Of the host's."""
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
    """Run a program; both consoles and QEMU's command line are left in `directory`. `options` are
    more of QEMU's, which must not change the run, and `leaves` the files that they have it write.
    `deadline` is in seconds of the host's.

    Raises GuestLost where the guest does not come to its end, InfraError where QEMU does not start.
    """
    began = time.monotonic()
    with started(machine, software, command, directory, options, leaves) as (argv, _):
        try:
            with log.step(f"{' '.join(command[:2])} on {machine.arch}, seed {seed_of(machine)}"):
                done = proc.run(argv, check=False, deadline=deadline)
        except DeadlineExceeded as error:
            late = f"the guest does not come to its end within {deadline:.0f} s"
            raise GuestLost(late) from error
    console = (directory / CONSOLE).read_bytes() if (directory / CONSOLE).is_file() else b""
    if done.status or not console.strip():
        raise InfraError("QEMU does not start", detail=done.stderr.strip()[-2000:])
    if software.steady and not preload.WAITED.search(done.stderr):
        raise InfraError(
            "this QEMU cannot be kept steady: its seeded runs are not the same twice",
            detail=done.stderr.strip()[-2000:],
            hint="rig/guest/preload.c is preloaded into it;"
            " it needs ppoll, qemu_get_cpu, cpu_is_stopped",
        )
    check_setup(console)
    ended = ENDED.search(console)
    answer = (directory / ANSWER).read_bytes()
    return Finished(
        status=int(ended[1]) if ended else None,
        stdout=answer.decode("utf-8", "replace"),
        seconds=round(time.monotonic() - began, 2),
        digest=digest(directory),
    )


def environment(software: Software) -> dict[str, str]:
    """Of QEMU's process."""
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

    What it leaves there is in `directory` afterwards. `share` are more directories it may write to.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with sandbox.scratch(directory) as own:
        argv = _command(machine, software, command, directory, own)
        initrd = directory / INITRD
        read = (software.kernel.with_name(arches.pick(machine.arch).seeded_kernel), initrd)
        box = software.box(machine, read=read, write=(own, *share))
        boxed = replace(box, env=environment(software), cwd=own)
        try:
            yield (
                sandbox.command([*argv, *options], boxed, unconfined=software.unconfined),
                own,
            )
        finally:
            initrd.unlink(missing_ok=True)
            for leaf in (CONSOLE, ANSWER, *leaves):
                if os.path.lexists(own / leaf):
                    sandbox.take(own, leaf, directory / leaf, MOST.get(leaf, TRACE_MAX))


def _command(
    machine: Machine, software: Software, command: Sequence[str], directory: Path, own: Path
) -> list[str]:
    """QEMU's command line by itself, noted in `directory`, where the initrd is then, too."""
    schedule = machine.schedule
    assert isinstance(schedule, Seeded)
    if wrong := [word for word in command if re.search(r"[,\s\"]", word)]:
        raise InfraError(f"{wrong[0]!r} cannot be said on a kernel command line")
    arch = arches.pick(machine.arch)
    device = f"/dev/{arch.answer_device}"
    words = (f"rig.answer={device}", f"rig.run={','.join(command)}")
    files = SeededFiles(
        kernel=software.kernel.with_name(arch.seeded_kernel),
        initrd=write_initrd(directory / INITRD, software.initrd),
        console=own / CONSOLE,
        answer=own / ANSWER,
    )
    argv = qemu.seeded_argv(replace(machine, cmdline=(*machine.cmdline, *words)), schedule, files)
    (directory / "qemu.cmd").write_text(proc.paste(argv, env=environment(software)) + "\n")
    return argv


def digest(directory: Path) -> str:
    """Of the consoles a run has left."""
    whole = hashlib.sha256()
    for name in (CONSOLE, ANSWER):
        whole.update((directory / name).read_bytes())
    return whole.hexdigest()
