# SPDX-License-Identifier: GPL-2.0-only
"""Guests with a hostile SSH server, which a stranger's kernel could have.

tests/boot has real guests.
"""

import contextlib
import io
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from rig import proc
from rig.errors import DiskFull, GuestLost, InfraError
from rig.guest import boot as guest_module
from rig.guest import hang, monitor, serial
from rig.guest.boot import Guest
from rig.guest.qemu import Accel, Machine
from rig.guest.serial import Console
from rig.guest.session import Streams
from rig.kernel import sandbox

REPORT = (
    "[   10.5] sysrq: Show Blocked State\n"
    "[   10.531307] task:stale_tlb       state:D stack:0     pid:812   tgid:809\n"
    "[   10.532511]  folio_wait_bit_common+0x13d/0x350\n"
)
TASKS = ("blocked: stale_tlb[812] (state D) in folio_wait_bit_common",)
KEY = paramiko.ECDSAKey.generate()


class Server(paramiko.ServerInterface):
    """Accepts every login, and calls `answer` for every command."""

    def __init__(self, answer: Callable[[paramiko.Channel], object]) -> None:
        self.answer = answer

    def check_auth_none(self, username: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def run() -> None:
            channel.recv(1)  # the end of stdin: the client knows then that its command was accepted
            self.answer(channel)

        threading.Thread(target=run, daemon=True).start()
        return True


Serve = Callable[[Callable[[paramiko.Channel], object]], Guest]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A guest with that server. Its QEMU exits when something is written to `end`."""
    os.mkfifo(tmp_path / "end")
    with contextlib.ExitStack() as stack:

        def start(answer: Callable[[paramiko.Channel], object]) -> Guest:
            ours, theirs = socket.socketpair()
            server, client = paramiko.Transport(theirs), paramiko.Transport(ours)
            server.add_server_key(KEY)
            server.start_server(threading.Event(), Server(answer))
            client.start_client(timeout=60)
            client.auth_none("root")
            for transport in (server, client):
                stack.callback(transport.close)
            words = ["sh", "-c", 'read -r line <"$0"', tmp_path / "end"]
            process = stack.enter_context(proc.spawn(words))
            console = Console(process, tmp_path / "console.log")
            guest = Guest(
                Machine(arch="x86_64", accel=Accel.KVM), process, console, tmp_path / "qmp"
            )
            connection: Any = SimpleNamespace(transport=client, close=client.close)
            guest._connection = connection
            return guest

        yield start


def prints_and_exits(channel: paramiko.Channel) -> None:
    channel.sendall(b"output")
    channel.send_exit_status(7)
    channel.close()


def test_a_command_has_its_output_and_status(serve: Serve) -> None:
    ran = serve(prints_and_exits).run("true")
    assert (ran.stdout, ran.status) == ("output", 7)


def closes_without_a_status(channel: paramiko.Channel) -> None:
    channel.sendall(b"output")
    channel.shutdown_write()


def is_silent(channel: paramiko.Channel) -> None:
    pass


@pytest.mark.parametrize("answer", [closes_without_a_status, is_silent])
def test_a_command_without_an_answer_ends_at_the_deadline(
    serve: Serve, answer: Callable[[paramiko.Channel], object]
) -> None:
    guest = serve(answer)
    with pytest.raises(GuestLost, match="no answer within the deadline"):
        guest.run("true", deadline=0.5)
    assert guest.lost


def test_a_hang_has_the_output_so_far_and_the_blocked_tasks(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line of a program is the step in which it hangs."""
    monkeypatch.setattr(guest_module, "ASKED", 0.3)

    def prints_and_hangs(channel: paramiko.Channel) -> None:
        channel.sendall(b"KTAP version 1\n1..1\n# round 3\n")

    guest = serve(prints_and_hangs)
    monkeypatch.setattr(guest.console, "text", lambda: REPORT)
    with pytest.raises(GuestLost, match="no answer within the deadline") as lost:
        guest.run("true", deadline=0.5)
    assert lost.value.hung
    assert lost.value.output.endswith("# round 3\n")
    assert lost.value.tasks == TASKS
    assert (tmp_path / "registers.txt").is_file()


@contextlib.contextmanager
def hangs_at(where: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guest's SSH server answers up to a point."""
    until = threading.Event()
    check = {
        "open": "check_channel_request",
        "exec": "check_channel_exec_request",
        "pty": "check_channel_pty_request",
    }
    if where in check:
        monkeypatch.setattr(Server, check[where], lambda *_: until.wait(60))
    if where == "input":
        reads_nothing(monkeypatch)
    yield
    until.set()


@pytest.mark.parametrize("where", ["open", "exec", "input", "output", "status"])
def test_a_hang_is_explained_wherever_a_deadline_strikes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(guest_module, "ASKED", 0.3)
    guest = serve(closes_without_a_status if where == "status" else is_silent)
    monkeypatch.setattr(guest.console, "text", lambda: REPORT)
    began = time.monotonic()
    with hangs_at(where, monkeypatch), pytest.raises(GuestLost) as lost:
        guest.run("cat", deadline=0.5, stdin=bytes(8 << 20) if where == "input" else b"")
    assert time.monotonic() - began < 40, "the server hangs for a minute"
    assert lost.value.message == "no answer within the deadline"
    assert (lost.value.hung, lost.value.tasks) == (True, TASKS)


@pytest.mark.parametrize("where", ["open", "exec", "pty"])
def test_so_is_one_at_the_start_of_a_session(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(guest_module, "ASKED", 0.3)
    monkeypatch.setattr(guest_module, "SESSION", 0.5)
    both = streams()
    if where == "pty":
        monkeypatch.setattr(Streams, "terminal", True)
        monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 25)))
    guest = serve(is_silent)
    monkeypatch.setattr(guest.console, "text", lambda: REPORT)
    began = time.monotonic()
    with hangs_at(where, monkeypatch), pytest.raises(GuestLost) as lost:
        guest.session("" if where == "pty" else "true", both)
    assert time.monotonic() - began < 40, "the server hangs for a minute"
    assert (lost.value.message, lost.value.tasks) == ("no answer within the deadline", TASKS)


def test_a_hung_guest_is_asked_over_another_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's process of the first connection may hang itself."""
    monkeypatch.setattr(guest_module, "ASKED", 5)
    guest = serve(is_silent)
    asked: list[str] = []

    def execute(command: str) -> None:
        asked.append(command)
        monkeypatch.setattr(guest.console, "text", lambda: REPORT)

    channel = SimpleNamespace(exec_command=execute)
    transport = SimpleNamespace(open_session=lambda: channel)
    other = contextlib.nullcontext(SimpleNamespace(transport=transport))
    monkeypatch.setattr(guest, "_dial", lambda seconds: other)
    with pytest.raises(GuestLost) as lost:
        guest.run("true", deadline=0.5)
    assert asked == [hang.SYSRQ]
    assert lost.value.tasks == TASKS


def test_a_guest_that_died_is_not_asked(serve: Serve, tmp_path: Path) -> None:
    guest = serve(is_silent)
    guest.diagnose = lambda: pytest.fail("it was asked")  # type: ignore[method-assign]
    threading.Timer(0.3, (tmp_path / "end").write_text, ["now\n"]).start()
    with pytest.raises(GuestLost, match="no panic or oops on the console"):
        guest.run("true", deadline=1.5)


def test_a_guest_that_exits_closes_the_connection_first(serve: Serve, tmp_path: Path) -> None:
    """QEMU's sandbox, and with it the console, ends later."""

    def resets(channel: paramiko.Channel) -> None:
        channel.get_transport().close()
        threading.Timer(0.3, (tmp_path / "end").write_text, ["now\n"]).start()

    with pytest.raises(GuestLost, match="no panic or oops on the console"):
        serve(resets).run("reboot -f", deadline=60)


def test_a_command_that_is_not_accepted_ends_at_the_deadline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "check_channel_exec_request", lambda *_: threading.Event().wait(3))
    with pytest.raises(GuestLost, match="no answer within the deadline"):
        serve(is_silent).run("true", deadline=0.5)


def test_a_console_log_has_a_maximum_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "CONSOLE_MAX", 1 << 20)
    with proc.spawn(["timeout", "20", "yes", 1000 * "y"]) as process:
        console = Console(process, tmp_path / "console.log")
        console.thread.join()
        guest = Guest(Machine(arch="x86_64", accel=Accel.KVM), process, console, tmp_path / "qmp")
        with pytest.raises(InfraError, match="the console log has more than 1 MiB"):
            raise guest._lose("a test")
    assert (tmp_path / "console.log").stat().st_size < 2 << 20


def test_of_what_qemu_prints_the_end_is_read(tmp_path: Path) -> None:
    """It has its log as stderr, and can make it as large as a file may be: a hole costs nothing."""
    with proc.spawn(["true"]) as process:
        console = Console(process, tmp_path / "console.log")
        guest = Guest(Machine(arch="x86_64", accel=Accel.KVM), process, console, tmp_path / "qmp")
        assert guest._printed_by_qemu() == ""
        with (tmp_path / "qemu.log").open("wb") as file:
            file.truncate(1 << 30)
            file.seek(1 << 30)
            file.write(b"qemu: the end\n")
        text = guest._printed_by_qemu()
        assert len(text) == guest_module.QEMU_LOG_MAX and text.endswith("qemu: the end\n")


@pytest.fixture
def other_monitor(tmp_path: Path) -> Iterator[Path]:
    """The monitor of another QEMU."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "other"))
        server.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    _answer_qmp(server.accept()[0])

        threading.Thread(target=serve, daemon=True).start()
        yield tmp_path / "other"
        server.shutdown(socket.SHUT_RDWR)


def _answer_qmp(connection: socket.socket) -> None:
    version = {"qemu": {"major": 8, "minor": 0, "micro": 0}, "package": ""}
    reply: dict[str, object] = {"QMP": {"version": version, "capabilities": []}}
    with connection:
        connection.sendall(json.dumps(reply).encode() + b"\n")
        while data := connection.recv(4096):  # each request comes in one piece
            request = json.loads(data)
            reply = {"return": "secret" if request["execute"] == "human-monitor-command" else {}}
            reply |= {"id": request["id"]} if "id" in request else {}
            connection.sendall(json.dumps(reply).encode() + b"\n")


def test_a_symbolic_link_to_a_monitor_is_not_followed(
    serve: Serve, other_monitor: Path, tmp_path: Path
) -> None:
    """QEMU could replace its socket with a link to any socket of the user's."""
    guest = serve(is_silent)
    guest._qmp = other_monitor
    assert guest.monitor("info cpus") == "secret", "otherwise the next lines prove nothing"
    guest._qmp = tmp_path / "qmp"
    guest._qmp.symlink_to(other_monitor)
    assert guest.monitor("info cpus") == ""


# Deadlines


def reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server takes the command and then reads no input; nobody closes the connection."""
    monkeypatch.setattr(Guest, "_hang_up", lambda _: None)
    check = "check_channel_exec_request"
    monkeypatch.setattr(Server, check, lambda *_: True)


def test_input_that_the_guest_does_not_read_ends_at_the_deadline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads_nothing(monkeypatch)
    guest = serve(is_silent)
    with pytest.raises(GuestLost, match="no answer within the deadline"):
        guest.run("cat", deadline=1, stdin=bytes(8 << 20))


def test_a_status_that_never_comes_ends_at_the_deadline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guest, "_hang_up", lambda _: None)
    with pytest.raises(GuestLost, match="no answer within the deadline"):
        serve(closes_without_a_status).run("true", deadline=1)


def test_a_monitor_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU is stopped (SIGSTOP): the kernel accepts connections to its socket."""
    for name in ("CONNECT", "ANSWER", "LEAVE"):
        monkeypatch.setattr(monitor, name, 0.2)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "qmp"))
        server.listen()
        assert monitor.ask(tmp_path / "qmp", "info cpus") == ""


def test_a_relay_that_has_ended_is_not_the_kernels_fault(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "broken", lambda: "")
    monkeypatch.setattr(guest_module, "CLOSING", 0.2)

    def closes(channel: paramiko.Channel) -> None:
        channel.get_transport().close()

    with pytest.raises(InfraError, match="socat, which forwards"):
        serve(closes).run("true", deadline=60)


# What QEMU says of itself


def says(tmp_path: Path, *events: dict[str, Any], status: str = "running") -> None:
    """A QEMU with these events, on the socket `events`."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "events"))
    server.listen()

    def run() -> None:
        connection = server.accept()[0]
        # Its client has heard enough after the first bad event.
        with server, connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(b'{"QMP": {}}\r\n')
            assert b"qmp_capabilities" in connection.recv(4096)
            connection.sendall(b'{"return": {}}\r\n')
            for event in events:
                data = json.dumps(event).encode()
                connection.sendall(data[:7])
                connection.sendall(data[7:] + b"\r\n")
            while b"query-status" in connection.recv(4096):
                answer = {"return": {"status": status, "running": False}}
                connection.sendall(json.dumps(answer).encode() + b"\n")

    threading.Thread(target=run, daemon=True).start()


NO_SPACE = {
    "event": "BLOCK_IO_ERROR",
    "data": {
        "device": "rig-swap", "operation": "write", "action": "stop", "nospace": True,
        "reason": "No space left on device",
    },
}  # fmt: skip
BAD_DISK = {
    "event": "BLOCK_IO_ERROR",
    "data": {"device": "rig-data", "operation": "read", "reason": "Input/output error"},
}


@pytest.mark.parametrize(
    ("events", "status", "kind", "message"),
    [
        ([NO_SPACE, {"event": "STOP"}], "io-error", DiskFull, "cannot write .* rig-swap"),
        ([BAD_DISK], "io-error", InfraError, "cannot read .* rig-data: Input/output error"),
        ([{"event": "STOP"}], "internal-error", InfraError, "has stopped the guest: internal"),
    ],
)
def test_a_guest_that_qemu_stops_ends_at_once_and_is_the_hosts_fault(
    serve: Serve,
    tmp_path: Path,
    events: list[dict[str, Any]],
    status: str,
    kind: type[InfraError],
    message: str,
) -> None:
    """A host directory that is full, /tmp too: the swap disk is there."""
    guest = serve(is_silent)

    def stops(channel: paramiko.Channel) -> None:
        says(tmp_path, *events, status=status)

    monitor.watch(tmp_path / "events", guest._process, guest.console.stop)
    guest.console.on_trouble.callback(guest._hang_up)
    threading.Timer(0.2, stops, [None]).start()
    began = time.monotonic()
    with pytest.raises(kind, match=message):
        guest.run("true", deadline=100)
    assert time.monotonic() - began < 60
    with pytest.raises(kind, match=message):
        guest.run("true", deadline=100)


def test_a_guest_that_qemu_only_pauses_is_waited_for(serve: Serve, tmp_path: Path) -> None:
    guest = serve(prints_and_exits)
    says(tmp_path, {"event": "STOP"}, {"event": "RESUME"}, status="paused")
    monitor.watch(tmp_path / "events", guest._process, guest.console.stop)
    assert guest.run("true").stdout == "output"
    assert guest.console.stopped is None


# `rig shell`


INSTEAD = b"Power off not available: System halted instead"


def streams() -> Streams:
    return Streams(stdin=os.open(os.devnull, os.O_RDONLY), out=io.BytesIO(), err=io.BytesIO())


def test_a_session_has_its_output_and_status(serve: Serve) -> None:
    both = streams()
    assert serve(prints_and_exits).session("true", both) == 7
    assert both.out.getvalue() == b"output"  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", [b"System halted", b"Power down", b"Restarting system", INSTEAD])
def test_a_guest_that_is_powered_off_ends_its_session(serve: Serve, words: bytes) -> None:
    """At once, though QEMU goes on: not every kernel can power it off."""
    guest = serve(is_silent)

    def halts() -> None:
        guest.console._tail = b"[    9.1] reboot: " + words + b"\r\n"
        guest.console.over.set()

    threading.Timer(0.3, halts).start()
    began = time.monotonic()
    assert guest.session("poweroff", streams()) == 0
    assert time.monotonic() - began < 10


def test_a_panic_ends_a_session_with_its_reason(serve: Serve, tmp_path: Path) -> None:
    guest = serve(is_silent)
    threading.Timer(0.3, (tmp_path / "end").write_text, ["now\n"]).start()
    with pytest.raises(GuestLost, match="guest exited"):
        guest.session("", streams())
