# SPDX-License-Identifier: GPL-2.0-only
"""`rig shell`: the user's streams and a command, over a real SSH connection to a thread.

The server's "guest" is a shell of this host; a real one is in tests/boot.
"""

import contextlib
import io
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest

from rig.guest import session
from rig.guest.session import Streams


class Server(paramiko.ServerInterface):
    """Runs what it is asked to run."""

    def check_auth_none(self, username: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=serve, args=(channel, command), daemon=True).start()
        return True


def serve(channel: paramiko.Channel, command: bytes) -> None:
    process = subprocess.Popen(
        ["sh", "-c", command.replace(b". /etc/profile; ", b"")], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr

    def forward() -> None:
        assert process.stdin
        with contextlib.suppress(OSError), process.stdin as file:
            while data := channel.recv(65536):
                file.write(data)

    def back(stream: "io.FileIO", send: Callable[[bytes], object]) -> None:
        while data := os.read(stream.fileno(), 65536):
            send(data)

    threads = [
        threading.Thread(target=back, args=(process.stdout, channel.sendall)),
        threading.Thread(target=back, args=(process.stderr, channel.sendall_stderr)),
    ]
    feeder = threading.Thread(target=forward, daemon=True)
    feeder.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = process.wait()
    process.stdout.close()
    process.stderr.close()
    if status == 99:  # the connection is cut
        channel.get_transport().close()
        feeder.join()
        return
    channel.send_exit_status(status if status >= 0 else 128 - status)
    channel.close()
    feeder.join()


@pytest.fixture
def transport() -> Iterator[paramiko.Transport]:
    ours, theirs = socket.socketpair()
    server = paramiko.Transport(theirs)
    server.add_server_key(paramiko.ECDSAKey.generate())
    server.start_server(server=Server(), event=threading.Event())
    client = paramiko.Transport(ours)
    client.start_client(timeout=30)
    client.auth_none("root")
    yield client
    client.close()
    server.close()


@dataclass
class Terminal(io.RawIOBase):
    data: bytearray = field(default_factory=bytearray)

    def isatty(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data
        return len(data)


Ran = tuple[int, bytes, bytes]


@pytest.fixture
def run(transport: paramiko.Transport, tmp_path: Path) -> Callable[..., Ran]:
    """A command line with this stdin: status, stdout, stderr."""

    def call(line: str, stdin: bytes = b"", ended: Callable[[], bool] = lambda: False) -> Ran:
        (tmp_path / "stdin").write_bytes(stdin)
        out, err = io.BytesIO(), io.BytesIO()
        with (tmp_path / "stdin").open("rb") as file:
            streams = Streams(stdin=file.fileno(), out=out, err=err)
            signal.alarm(60)  # rather than to hang
            status = session.run(lambda: transport, line, streams, ended)
            signal.alarm(0)
        return status, out.getvalue(), err.getvalue()

    return call


def test_the_status_is_the_commands(run: Callable[..., Ran]) -> None:
    assert run("exit 3") == (3, b"", b"")
    assert run("true")[0] == 0
    assert run("echo a; echo b >&2; false") == (1, b"a\n", b"b\n")
    assert run("kill -9 $$")[0] != 0


def test_a_shell_without_a_terminal_reads_its_commands_from_stdin(run: Callable[..., Ran]) -> None:
    """`rig shell v6.12 </dev/null` ends at once; a failed command before the end is its status."""
    assert run("", b"")[0] == 0
    assert run("", b"echo one\nexit 3\necho two\n") == (3, b"one\n", b"")
    assert run("", b"false\n")[0] == 1


def test_a_command_gets_stdin(run: Callable[..., Ran]) -> None:
    data = bytes(range(256)) * 20_000  # 5 MB: more than all buffers on the way
    assert run("cat", data) == (0, data, b"")
    assert run("wc -c", data)[1].strip() == b"5120000"
    assert run("exit 4", data)[0] == 4, "a command need not read it"


def test_bytes_are_not_changed(run: Callable[..., Ran]) -> None:
    assert run(r"printf '\377\000\r\n\303\050'") == (0, b"\xff\0\r\n\xc3(", b"")


def test_a_terminal_gets_no_control_characters(
    transport: paramiko.Transport, evil: str, harmless: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "evil").write_text(evil, errors="surrogateescape")
    screen = Terminal()
    with Path(os.devnull).open("rb") as null:
        streams = Streams(stdin=null.fileno(), out=screen, err=screen)  # type: ignore[arg-type]
        session.run(lambda: transport, f"cat {tmp_path}/evil", streams, lambda: False)
    harmless(bytes(screen.data).decode(), lines=False)


def test_output_comes_at_once(transport: paramiko.Transport) -> None:
    """And not when the command ends."""
    reader, writer = os.pipe()
    line = "echo first; sleep 3; echo last"
    with Path(os.devnull).open("rb") as null, os.fdopen(writer, "wb") as out:
        streams = Streams(stdin=null.fileno(), out=out, err=io.BytesIO())
        work = threading.Thread(
            target=session.run, args=(lambda: transport, line, streams, lambda: False)
        )
        work.start()
        assert select.select([reader], [], [], 2.5)[0]
        assert os.read(reader, 100) == b"first\n"
        work.join()
    assert os.read(reader, 100) == b"last\n"
    os.close(reader)


def test_a_guest_that_ends_ends_the_session(run: Callable[..., Ran]) -> None:
    """Powered off, or a panic: the command never ends."""
    over = threading.Event()
    threading.Timer(0.5, over.set).start()
    began = time.monotonic()
    assert run("sleep 20", ended=over.is_set)[0] == session.CUT_OFF
    assert time.monotonic() - began < 10


def test_a_connection_that_is_cut_is_no_status(
    run: Callable[..., Ran], transport: paramiko.Transport
) -> None:
    assert run("exit 99")[0] == session.CUT_OFF
    transport.close()
    assert run("true")[0] == session.CUT_OFF
