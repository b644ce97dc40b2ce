# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's gdb stub: runs a guest until a program reaches a function, and leaves it stopped there.

The protocol is in the GDB manual, "Remote Serial Protocol". Under TCG a breakpoint changes no guest
memory, and no instruction is counted twice.
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
"""Bytes of a function's code to compare: another program may run at the same address."""


class Stub:
    """A connection to the stub. Closing it leaves the guest stopped."""

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
                    raise InfraError(f"QEMU's gdb stub does not answer at {path}") from error
            time.sleep(0.02)  # until QEMU listens; it sends no event for that

    def ask(self, packet: bytes) -> bytes:
        self._socket.sendall(b"$%b#%02x" % (packet, sum(packet) & 255))
        return self._answer()

    def _answer(self) -> bytes:
        while True:
            begin = self._buffer.find(b"$")
            end = self._buffer.find(b"#", begin)
            if 0 <= begin < end and len(self._buffer) >= end + 3:
                packet, self._buffer = self._buffer[begin + 1 : end], self._buffer[end + 3 :]
                with contextlib.suppress(ConnectionError):  # the stub may close after a packet
                    self._socket.sendall(b"+")
                return packet
            self._socket.settimeout(max(0.01, self._until - time.monotonic()))
            try:
                data = self._socket.recv(4096)
            except TimeoutError as error:
                raise InfraError("the guest does not reach the failing check in time") from error
            if not data:
                raise EOFError
            self._buffer += data

    def run_to(self, places: Sequence[tuple[int, bytes]]) -> bool:
        """Continue until a CPU reaches one of the (address, code) places; False if the guest exits.

        Other code at the same address, of another program, is skipped.
        """
        for address, _ in places:
            self.ask(b"Z0,%x,1" % address)
        try:
            while self.ask(b"c").startswith((b"T05", b"S05")):
                if any(self._memory(address) == code for address, code in places):
                    for address, _ in places:
                        self.ask(b"z0,%x,1" % address)
                    return True
                # Step off the breakpoint: `c` from there would hit it again at once.
                for address, _ in places:
                    self.ask(b"z0,%x,1" % address)
                self.ask(b"s")
                for address, _ in places:
                    self.ask(b"Z0,%x,1" % address)
        except (EOFError, ConnectionError):
            return False
        return False

    def _memory(self, address: int) -> bytes:
        reply = self.ask(b"m%x,%x" % (address, CHECKED))
        return b"" if reply.startswith(b"E") else bytes.fromhex(reply.decode())

    def close(self) -> None:
        self._socket.close()


def functions(arch: Arch, program: Path, names: Sequence[str]) -> tuple[tuple[int, bytes], ...]:
    """The address and the first bytes of each of these functions of a static program."""
    symbols = {}
    for line in proc.run([arch.tool("nm"), program]).stdout.splitlines():
        address, kind, name = line.rsplit(maxsplit=2) if len(line.split()) == 3 else ("", "", "")
        if kind in ("T", "t"):
            symbols[name] = int(address, 16)
    elf = program.read_bytes()
    return tuple((symbols[name], _code(elf, symbols[name])) for name in names if name in symbols)


def _code(elf: bytes, address: int) -> bytes:
    """Bytes of a little-endian ELF64 file at a virtual address (elf(5))."""
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for index in range(count):
        kind, _, offset, start, _, length = struct.unpack_from("<IIQQQQ", elf, table + index * size)
        if kind == 1 and start <= address < start + length:  # PT_LOAD
            begin = offset + address - start
            return elf[begin : begin + CHECKED]
    return b""
