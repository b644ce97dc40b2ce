# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's gdb stub: let a guest run until a program comes to a function, then leave it standing.

The protocol is the GDB manual's, "Remote Serial Protocol". Under TCG a breakpoint changes no memory
of the guest's, and none of its instructions is counted twice.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from rig import proc
from rig.arch import Arch
from rig.errors import InfraError
from rig.kernel import sandbox

CHECKED = 16
"""Bytes of a function's code by which the program is told from others at the same address."""


class Stub:
    """A connection to the stub. Closing it leaves the guest as it stands."""

    def __init__(self, path: Path, deadline: float) -> None:
        self._buffer = b""
        self._until = time.monotonic() + deadline
        self._socket = self._connect(path)

    def _connect(self, path: Path) -> socket.socket:
        while True:
            try:
                return sandbox.connected(path)
            except OSError as error:
                if time.monotonic() > self._until:
                    raise InfraError("QEMU's gdb stub does not answer") from error
            time.sleep(0.02)  # until QEMU listens, which it tells nobody

    def ask(self, packet: bytes) -> bytes:
        self._socket.sendall(b"$%b#%02x" % (packet, sum(packet) & 255))
        return self._answer()

    def _answer(self) -> bytes:
        while True:
            begin = self._buffer.find(b"$")
            end = self._buffer.find(b"#", begin)
            if 0 <= begin < end and len(self._buffer) >= end + 3:
                packet, self._buffer = self._buffer[begin + 1 : end], self._buffer[end + 3 :]
                with contextlib.suppress(ConnectionError):  # its last words were that it ended
                    self._socket.sendall(b"+")
                return packet
            self._socket.settimeout(max(0.01, self._until - time.monotonic()))
            try:
                data = self._socket.recv(4096)
            except TimeoutError as error:
                raise InfraError("the guest does not come to the failing check") from error
            if not data:
                raise EOFError
            self._buffer += data

    def run_to(self, places: Sequence[tuple[int, bytes]]) -> bool:
        """Go on until a CPU is at one of the (address, code) there; False where the guest ends.

        Another program's code at the same address is passed by.
        """
        for address, _ in places:
            self.ask(b"Z0,%x,1" % address)
        try:
            while self.ask(b"c").startswith((b"T05", b"S05")):
                if any(self._memory(address) == code for address, code in places):
                    for address, _ in places:
                        self.ask(b"z0,%x,1" % address)
                    return True
                # Off the breakpoint: going on from it would meet it again at once.
                for address, _ in places:
                    self.ask(b"z0,%x,1" % address)
                self.ask(b"s")
                for address, _ in places:
                    self.ask(b"Z0,%x,1" % address)
        except (EOFError, ConnectionError):
            return False
        return False

    def _memory(self, address: int) -> bytes:
        said = self.ask(b"m%x,%x" % (address, CHECKED))
        return b"" if said.startswith(b"E") else bytes.fromhex(said.decode())

    def close(self) -> None:
        self._socket.close()


def functions(arch: Arch, program: Path, names: Sequence[str]) -> tuple[tuple[int, bytes], ...]:
    """Where functions of a static program are, and their first bytes."""
    symbols = {}
    for line in proc.run([arch.tool("nm"), program]).stdout.splitlines():
        address, kind, name = line.rsplit(maxsplit=2) if len(line.split()) == 3 else ("", "", "")
        if kind in ("T", "t"):
            symbols[name] = int(address, 16)
    code = program.read_bytes()
    return tuple((symbols[name], _code(code, symbols[name])) for name in names if name in symbols)


def _code(elf: bytes, address: int) -> bytes:
    """Bytes of a little-endian ELF64 file at a virtual address (elf(5))."""
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for number in range(count):
        kind, _, offset, start, _, length = struct.unpack_from(
            "<IIQQQQ", elf, table + number * size
        )
        if kind == 1 and start <= address < start + length:  # PT_LOAD
            place = offset + address - start
            return elf[place : place + CHECKED]
    return b""
