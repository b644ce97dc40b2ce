# SPDX-License-Identifier: GPL-2.0-only
"""A fake stub. tests/kernel has QEMU's."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig import arch, proc
from rig.errors import InfraError
from rig.guest import gdbstub

HOST = next(target for target in arch.known().values() if target.is_host())
OURS, THEIRS = bytes(range(16)), bytes(16)
Server = Callable[[list[bytes]], tuple[Path, list[bytes]]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A stub that sends these answers in order and closes; it lists the packets it gets."""
    threads: list[threading.Thread] = []

    def serve(answers: list[bytes]) -> tuple[Path, list[bytes]]:
        path, packets = tmp_path / "gdb", []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()

        def talk() -> None:
            connection, _ = listener.accept()
            connection.settimeout(5)
            with connection, listener:
                for answer in answers:
                    packet = b""
                    while b"$" not in packet or packet[-3:-2] != b"#":
                        packet += connection.recv(1)
                    body = packet[packet.index(b"$") + 1 : -3]
                    assert int(packet[-2:], 16) == sum(body) & 255
                    packets.append(body)
                    # In two parts: a recv() may return a part of a packet.
                    whole = b"+$%b#%02x" % (answer, sum(answer) & 255)
                    connection.sendall(whole[:2])
                    connection.sendall(whole[2:])

        threads.append(threading.Thread(target=talk, daemon=True))
        threads[-1].start()
        return path, packets

    yield serve
    for thread in threads:
        thread.join(10)


PLACES = ((0x1000, OURS),)


def test_a_guest_is_left_stopped_at_the_place(server: Server) -> None:
    path, packets = server([b"OK", b"T05thread:1;", OURS.hex().encode(), b"OK"])
    stub = gdbstub.Stub(path, 10)
    assert stub.run_to(PLACES)
    stub.close()
    assert packets == [b"Z0,1000,1", b"c", b"m1000,10", b"z0,1000,1"]


def test_another_program_at_the_same_address_is_skipped(server: Server) -> None:
    ours, theirs, ok = OURS.hex().encode(), THEIRS.hex().encode(), b"OK"
    first = [ok, b"T05", theirs, ok, b"T05", ok]
    second = [b"T05", b"E14", ok, b"T05", ok]
    path, packets = server([*first, *second, b"T05", ours, ok])
    stub = gdbstub.Stub(path, 10)
    assert stub.run_to(PLACES)
    stub.close()
    assert packets.count(b"c") == 3
    assert packets[3:6] == [b"z0,1000,1", b"s", b"Z0,1000,1"], "it steps off the breakpoint first"


@pytest.mark.parametrize("last", [[b"W00"], []])
def test_a_guest_that_exits_did_not_reach_the_place(server: Server, last: list[bytes]) -> None:
    path, _ = server([b"OK", *last])
    stub = gdbstub.Stub(path, 10)
    assert not stub.run_to(PLACES)
    stub.close()


def test_a_stub_that_is_absent_or_silent(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="does not answer"):
        gdbstub.Stub(tmp_path / "none", 0.1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mute"))
        listener.listen()
        stub = gdbstub.Stub(tmp_path / "mute", 0.1)
        with pytest.raises(InfraError, match="does not reach the failing check"):
            stub.run_to(PLACES)
        stub.close()


def test_functions_of_a_static_program_and_their_code(tmp_path: Path) -> None:
    source, program = tmp_path / "x.c", tmp_path / "x"
    code = ", ".join(str(byte) for byte in OURS)
    source.write_text(
        f'__asm__(".text\\n.globl evidence\\nevidence: .byte {code}\\n");\n'
        "int main(void) { return 0; }\n"
    )
    proc.run([HOST.tool("gcc"), "-static", "-no-pie", "-o", program, source])
    ((_, first_bytes),) = gdbstub.functions(HOST, program, ("evidence", "absent"))
    assert first_bytes == OURS
