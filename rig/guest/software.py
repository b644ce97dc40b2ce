# SPDX-License-Identifier: GPL-2.0-only
"""What a machine runs, and the box that QEMU runs it in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import proc
from rig.guest import qemu
from rig.guest.qemu import Files, Machine
from rig.kernel import sandbox
from rig.kernel.sandbox import Box, Limits

QEMU_MEMORY, QEMU_FILE = 8 * sandbox.GIB, 4 * sandbox.GIB
"""MiB of address space that QEMU may have beside the guest's memory; of its largest file."""
PORT, SSH = 2222, "ssh"
"""QEMU's port on the sandbox's own 127.0.0.1, and the socket that leads to it."""
# The port is of a network that nobody else is in: it is handed out as a socket in a directory.
RELAY = 'socat UNIX-LISTEN:"$0",fork TCP:127.0.0.1:"$1" 2>/dev/null & shift; exec "$@"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Software:
    """What a machine runs."""

    kernel: Path
    initrd: tuple[Path | bytes, ...]
    """Archives, put one after the other; the boot's keys come last."""
    data_disk: Path | None = None
    steady: Path | None = None
    """What a seeded machine's QEMU is preloaded with (rig/guest/preload.py)."""
    unconfined: bool = False
    """QEMU may run without the sandbox where that does not work."""

    def box(self, machine: Machine, *, read: tuple[Path, ...], write: tuple[Path, ...]) -> Box:
        """Where QEMU runs: it sees the files it is started with, and what is its own to write."""
        own = tuple(filter(None, (*read, self.data_disk, self.steady)))
        return Box(
            read=own,
            write=write,
            device=machine.accel.device,
            limits=Limits(
                memory=machine.memory + QEMU_MEMORY, file=max(QEMU_FILE, machine.swap.disk)
            ),
        )


def write_initrd(path: Path, parts: Sequence[Path | bytes]) -> Path:
    with path.open("wb") as file:
        for part in parts:
            file.write(part if isinstance(part, bytes) else part.read_bytes())
    return path


def live_command(machine: Machine, software: Software, files: Files, note: Path) -> list[str]:
    """QEMU's command line, which is noted by itself, with the sandbox around it."""
    argv = qemu.argv(machine, files)
    note.write_text(proc.paste(argv) + "\n")
    own, program = files.qmp.parent, proc.find(argv[0])
    read = (files.kernel, files.initrd, *sandbox.foreign(program))
    box = software.box(machine, read=read, write=(own,))
    if files.port:
        argv = ["sh", "-c", RELAY, str(own / SSH), str(files.port), str(program), *argv[1:]]
    return sandbox.command(argv, box, unconfined=software.unconfined)
