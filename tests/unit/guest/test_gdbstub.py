# SPDX-License-Identifier: GPL-2.0-only
"""A stub of the test's own; QEMU's is in tests/kernel."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig import arch, proc
from rig.errors import InfraError
from rig.guest import gdbstub

HOST = next(one for one in arch.known().values() if one.is_host())
OURS, THEIRS = bytes(range(16)), bytes(16)
Server = Callable[[list[bytes]], tuple[Path, list[bytes]]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A stub that answers in this order, then goes away; what it is asked is listed."""
    threads: list[threading.Thread] = []

    def serve(answers: list[bytes]) -> tuple[Path, list[bytes]]:
        path, asked = tmp_path / "gdb", []
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()

        def talk() -> None:
            connection, _ = listening.accept()
            connection.settimeout(5)
            with connection, listening:
                for answer in answers:
                    packet = b""
                    while b"$" not in packet or packet[-3:-2] != b"#":
                        packet += connection.recv(1)
                    body = packet[packet.index(b"$") + 1 : -3]
                    assert int(packet[-2:], 16) == sum(body) & 255
                    asked.append(body)
                    # In two parts: a packet is not what one recv() gives.
                    whole = b"+$%b#%02x" % (answer, sum(answer) & 255)
                    connection.sendall(whole[:2])
                    connection.sendall(whole[2:])

        threads.append(threading.Thread(target=talk, daemon=True))
        threads[-1].start()
        return path, asked

    yield serve
    for thread in threads:
        thread.join(10)


PLACES = ((0x1000, OURS),)


def test_a_guest_is_left_standing_where_it_was_wanted(server: Server) -> None:
    path, asked = server([b"OK", b"T05thread:1;", OURS.hex().encode(), b"OK"])
    stub = gdbstub.Stub(path, 10)
    assert stub.run_to(PLACES)
    stub.close()
    assert asked == [b"Z0,1000,1", b"c", b"m1000,10", b"z0,1000,1"]


def test_another_program_at_the_same_address_is_passed_by(server: Server) -> None:
    here, there, ok = OURS.hex().encode(), THEIRS.hex().encode(), b"OK"
    path, asked = server([ok, b"T05", there, ok, b"T05", ok, b"T05", b"E14", ok, b"T05", ok, b"T05",
                          here, ok])  # fmt: skip
    stub = gdbstub.Stub(path, 10)
    assert stub.run_to(PLACES)
    stub.close()
    assert asked.count(b"c") == 3
    assert asked[3:6] == [b"z0,1000,1", b"s", b"Z0,1000,1"], "off the breakpoint first"


@pytest.mark.parametrize("last", [[b"W00"], []])
def test_a_guest_that_ends_was_never_there(server: Server, last: list[bytes]) -> None:
    path, _ = server([b"OK", *last])
    stub = gdbstub.Stub(path, 10)
    assert not stub.run_to(PLACES)
    stub.close()


def test_a_stub_that_is_not_there_or_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="does not answer"):
        gdbstub.Stub(tmp_path / "none", 0.1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "mute"))
        listening.listen()
        stub = gdbstub.Stub(tmp_path / "mute", 0.1)
        with pytest.raises(InfraError, match="does not come to"):
            stub.run_to(PLACES)
        stub.close()


def test_functions_of_a_static_program_and_their_code(tmp_path: Path) -> None:
    source, program = tmp_path / "x.c", tmp_path / "x"
    known = ", ".join(str(n) for n in OURS)
    source.write_text(
        f'__asm__(".text\\n.globl evidence\\nevidence: .byte {known}\\n");\n'
        "int main(void) { return 0; }\n"
    )
    proc.run([HOST.tool("gcc"), "-static", "-no-pie", "-o", program, source])
    ((_, code),) = gdbstub.functions(HOST, program, ("evidence", "gone"))
    assert code == OURS
