# SPDX-License-Identifier: GPL-2.0-only
"""The kernel and initrd that a machine runs, and the sandbox that QEMU runs in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import proc
from rig.guest import qemu
from rig.guest.qemu import Files, Machine
from rig.kernel import sandbox
from rig.kernel.sandbox import Box, Limits

QEMU_MEMORY, QEMU_FILE = 8 * sandbox.GIB, 4 * sandbox.GIB
"""MiB of address space that QEMU may use besides the guest's memory; maximum size of a file."""
PORT, SSH = 2222, "ssh"
"""QEMU's port on 127.0.0.1 of the sandbox, and the Unix socket that is forwarded to it."""
# The sandbox has its own network namespace: the host reaches the port through a Unix socket.
RELAY = 'socat UNIX-LISTEN:"$0",fork TCP:127.0.0.1:"$1" 2>/dev/null & shift; exec "$@"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Software:
    """What a machine runs."""

    kernel: Path
    initrd: tuple[Path | bytes, ...]
    """Archives to concatenate; boot() appends the SSH keys of the boot."""
    data_disk: Path | None = None
    steady: Path | None = None
    """The library to preload into QEMU for a seeded run (rig/guest/preload.c)."""
    plugin: Path | None = None
    """A TCG plugin that QEMU's options load."""
    unconfined: bool = False
    """QEMU may run without the sandbox if the sandbox does not work on this host."""

    def box(self, machine: Machine, *, read: tuple[Path, ...], write: tuple[Path, ...]) -> Box:
        """QEMU's sandbox: it may read the files it is started with, and write to `write` only."""
        files = tuple(filter(None, (*read, self.data_disk, self.steady, self.plugin)))
        return Box(
            read=files,
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


def swap_disk(directory: Path, megabytes: int) -> Path | None:
    if not megabytes:
        return None
    path = directory / "swap.img"
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    return path


def live_command(machine: Machine, software: Software, files: Files, note: Path) -> list[str]:
    """QEMU's command line in the sandbox. The one without the sandbox is written to `note`."""
    argv = qemu.argv(machine, files)
    note.write_text(proc.paste(argv) + "\n")
    qemu_directory, program = files.qmp.parent, proc.find(argv[0])
    read = (files.kernel, files.initrd, *sandbox.foreign(program))
    box = software.box(machine, read=read, write=(qemu_directory,))
    if files.port:
        socket, port = str(qemu_directory / SSH), str(files.port)
        argv = ["sh", "-c", RELAY, socket, port, str(program), *argv[1:]]
    return sandbox.command(argv, box, unconfined=software.unconfined)
