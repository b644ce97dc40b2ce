# SPDX-License-Identifier: GPL-2.0-only
"""`boot()` starts a guest. Commands run in it over SSH, while its console is watched.

SSH does not show a panic: the connection just stops. So a thread reads the console all the time,
and a splat closes the connection at once. A lost guest is not used again: each call says why.
"""

import contextlib
import io
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rig import log, proc
from rig.errors import BootError, GuestLost, InfraError, RigError
from rig.guest import ending, hang, monitor, serial, session, sshkeys, symbolize
from rig.guest.qemu import Files, Machine
from rig.guest.serial import Console
from rig.guest.software import PORT, SSH, Software, live_command, swap_disk, write_initrd
from rig.kernel import sandbox
from rig.proc import Popen, TimeoutExpired

if TYPE_CHECKING:  # their import takes a third of the rig's start; half of the verbs need no SSH
    import fabric
    import paramiko

BOOT_DEADLINE = 10.0
"""Seconds on hardware, from the start of QEMU to the first answer over SSH."""
OUTPUT_LIMIT = 4 << 20
"""Bytes of a command's output. A command that prints more is stopped."""
QEMU_LOG_MAX = 64 << 10
"""Bytes that are read of what QEMU has printed."""
ASKED = 5.0
"""Seconds on hardware in which a hung guest has to list its blocked tasks."""
SESSION = 60.0
"""Seconds on hardware in which the guest has to accept the command of `rig shell`."""
CLOSING = 5.0
"""Seconds from the end of the connection to the end of the console, if QEMU exits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    command: str
    status: int
    stdout: str
    stderr: str
    seconds: float


class Guest:
    """A booted guest. Any GuestLost is final: every later call raises it again."""

    def __init__(
        self, machine: Machine, process: Popen[bytes], console: Console, qmp: Path
    ) -> None:
        self.machine = machine
        self.console = console
        self.boot_seconds = 0.0
        self._process = process
        self._qmp = qmp
        self._load = ending.Load(process.pid)
        self._lost: GuestLost | None = None
        self._connection: fabric.Connection | None = None
        self._output = bytearray()
        """What the command that runs has printed."""
        self._timer = threading.Timer(0, self._expire)
        self._tasks: tuple[str, ...] | None = None
        """What hangs; None unless a deadline has struck."""
        self.keys: tuple[sshkeys.Key, sshkeys.Key] | None = None
        """Of the guest's host and of the user; None while it boots."""
        self.system_map = Path()
        """Of the kernel; there need not be one."""

    @property
    def pid(self) -> int:
        """The pid of QEMU, or of its sandbox: the two end together."""
        return self._process.pid

    @property
    def lost(self) -> GuestLost | None:
        return self._lost

    def run(self, command: str, *, deadline: float = 60, stdin: bytes = b"") -> Ran:
        """Run a shell command as root; `deadline` in seconds on hardware.

        Raises GuestLost when the kernel splats, dies or does not answer in time.
        """
        import paramiko

        if self._lost:
            raise self._lost
        self._output = bytearray()
        began = time.monotonic()
        until = began + deadline * self.machine.patience
        self._arm(until - began + 1)
        try:
            channel = self._transport().open_session(timeout=until - began)
            # Without `exit` the shell execs the last command; a signal to it gives no status.
            channel.settimeout(until - began)
            channel.exec_command(f". /etc/profile; {command}\nexit $?")
            if stdin:
                channel.sendall(stdin)
            channel.shutdown_write()
            stdout, stderr = self._collect(channel, until)
            if not channel.status_event.wait(max(0.0, until - time.monotonic())):
                raise self._hang()
            status = channel.recv_exit_status()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._disconnected(command, until) from error
        finally:
            self._timer.cancel()
        if status == -1 or self.console.trouble.is_set():
            raise self._disconnected(command, until)
        return Ran(
            command=command,
            status=status,
            stdout=stdout.decode("utf-8", "replace"),
            stderr=stderr.decode("utf-8", "replace"),
            seconds=time.monotonic() - began,
        )

    def _arm(self, seconds: float) -> None:
        """Close the connection after this time: paramiko may wait for the guest without a limit."""
        self._load, self._tasks = ending.Load(self.pid), None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        """Ask the guest what hangs, while there is a connection, and close it."""
        try:
            self._tasks = () if self.console.trouble.is_set() else self.diagnose()
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()

    def _disconnected(self, command: str, until: float) -> RigError:
        if time.monotonic() > until or self.console.stopped:
            return self._hang()
        # When QEMU exits, the connection closes first; the sandbox, and so the console, end later.
        if not self.console.ended.wait(CLOSING) and not self._is_relayed():
            return InfraError("socat, which forwards the guest's SSH port, has ended")
        return self._lose(f"the connection was closed while {command!r} ran")

    def _is_relayed(self) -> bool:
        """Whether the guest's SSH port is still forwarded out of the sandbox."""
        try:
            sandbox.connected(self._qmp.with_name(SSH)).close()
        except OSError:
            return bool(sandbox.broken())
        return True

    def _collect(self, channel: "paramiko.Channel", until: float) -> tuple[bytes, bytes]:
        out, err = self._output, bytearray()
        while True:
            if time.monotonic() > until:
                raise self._hang()
            channel.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                data = channel.recv(65536)
                out += data
                if not data:  # end of output; the rest of stderr has already arrived
                    while channel.recv_stderr_ready():
                        err += channel.recv_stderr(65536)
                    return bytes(out), bytes(err)
            while channel.recv_stderr_ready():
                err += channel.recv_stderr(65536)
            if len(out) + len(err) > OUTPUT_LIMIT:
                channel.close()
                raise InfraError(
                    f"a guest program printed more than {OUTPUT_LIMIT >> 20} MiB and was stopped"
                )

    def session(self, command: str, streams: session.Streams) -> int:
        """Run a command line, or a shell if it is empty; its status. A guest may be powered off."""
        console = self.console
        self._arm(SESSION * self.machine.patience)
        status = session.run(
            self._transport, command, streams, console.over.is_set, self._timer.cancel
        )
        if status != session.CUT_OFF and not console.trouble.is_set():
            return status
        console.over.wait(2)  # the connection ends some moments before the kernel does
        if serial.HALTED.search(console._tail) and not console.splats:
            return 0
        self._timer.cancel()
        raise self._lose("the connection was closed") if self._tasks is None else self._hang()

    def diagnose(self) -> tuple[str, ...]:
        """What a hung guest does, a line for each CPU and blocked task.

        QEMU's registers are written to registers.txt; the tasks' stacks are on the console.
        """
        registers = self.monitor("info cpus") + self.monitor("info registers -a")
        self.console.path.with_name("registers.txt").write_text(registers)
        hang.ask(self._dial, self.console.text, ASKED * self.machine.patience)
        symbols = symbolize.symbols(self.system_map, kinds="tTwW")
        return (*hang.blocked(self.console.text()), *hang.cpus(registers, symbols))

    def _hang(self) -> RigError:
        """The first cause, after a deadline; of a hang with what hangs."""
        self._timer.cancel()
        if self._timer.is_alive():  # it asks the guest
            self._timer.join()
        if self._tasks is None and not self.console.trouble.is_set():
            self._tasks = self.diagnose()
        lost = self._late()
        if isinstance(lost, GuestLost) and not self.console.trouble.is_set():
            lost.hung, lost.tasks = True, self._tasks or ()
        return lost

    def _late(self) -> RigError:
        """The first cause, after a deadline."""
        if not self.console.trouble.is_set() and (busy := self._load.starved()):
            self.console.stop(busy)
        return self._lose("no answer within the deadline")

    def _printed_by_qemu(self) -> str:
        """The end of what QEMU itself has printed: a hostile guest's may print without an end."""
        path = self.console.path.with_name("qemu.log")
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - QEMU_LOG_MAX))
            return file.read(QEMU_LOG_MAX).decode(errors="replace")

    def monitor(self, command: str) -> str:
        """The output of a command of QEMU's human monitor; "" where QEMU has exited."""
        return monitor.ask(self._qmp, command)

    # --- coming up and going down --------------------------------------------------------------

    def _transport(self) -> "paramiko.Transport":
        import paramiko

        assert self._connection is not None
        transport: paramiko.Transport | None = self._connection.transport
        if transport is None:
            raise paramiko.SSHException("the connection is closed")
        return transport

    def _connect(self, until: float) -> None:
        import paramiko

        while True:
            try:
                self._connection = self._dial(max(1.0, until - time.monotonic()))
            except (paramiko.SSHException, OSError, EOFError) as error:
                if self.console.trouble.is_set() or time.monotonic() > until:
                    raise self._boot_failed(
                        f"SSH is refused: {error or type(error).__name__}"
                    ) from error
                self.console.trouble.wait(0.05)
            else:
                self.console.on_trouble.callback(self._connection.close)
                return

    def _dial(self, seconds: float) -> "fabric.Connection":
        """Another connection. The guest's server has a process for each: one may hang alone."""
        import fabric
        import paramiko

        assert self.keys, "there is no SSH while it boots"
        host, user = self.keys
        relay = None if sandbox.broken() else self._qmp.with_name(SSH)
        port = PORT if relay else monitor.forwarded(self._qmp)
        host_key = paramiko.Ed25519Key.from_private_key(io.StringIO(host.private.decode()))
        connection = fabric.Connection(
            "127.0.0.1",
            user="root",
            port=port,
            config=fabric.Config(lazy=True, overrides={"load_ssh_configs": False}),
            connect_kwargs={
                "pkey": paramiko.Ed25519Key.from_private_key(io.StringIO(user.private.decode())),
                "allow_agent": False,
                "look_for_keys": False,
                "timeout": 5,
                "banner_timeout": seconds,
                "auth_timeout": seconds,
            },
        )
        connection.client.get_host_keys().add(f"[127.0.0.1]:{port}", host_key.get_name(), host_key)
        connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            if relay:
                connection.connect_kwargs["sock"] = sandbox.connected(relay)
            connection.open()
        except BaseException:
            connection.close()
            raise
        return connection

    def _boot_failed(self, reason: str) -> RigError:
        error = self._lose(reason)
        if isinstance(error, GuestLost):
            if not self.console.text().strip():
                late = () if self.console.ended.is_set() else (reason,)
                return ending.silence(self.machine, self._printed_by_qemu(), *late)
            return BootError(error.message, hint=error.hint, detail=error.detail)
        return error

    def _lose(self, reason: str) -> RigError:
        """The first cause: from the console, from the process, or else `reason`."""
        if self._lost or self.console.stopped:
            return self._lost or self.console.stopped  # type: ignore[return-value]
        if self.console.trouble.is_set() or self._process.poll() is not None:
            # Wait for the rest of the splat, or for QEMU to exit: panic=-1 resets at once.
            self.console.ended.wait(5)
        if self.console.failure:
            return self.console.failure
        with contextlib.suppress(TimeoutExpired):
            status = self._process.wait(timeout=1 if self.console.ended.is_set() else 0.01)
            fault = ending.fault(status, self._printed_by_qemu())
            if fault and not self.console.fatal():
                fault.detail = fault.detail or self.console.tail()
                return fault
        if splat := self.console.fatal():
            lost = GuestLost(splat.title, detail="\n".join(splat.text))
        else:
            if self.console.ended.is_set():
                reason = "guest exited; no panic or oops on the console"
            lost = GuestLost(reason, detail=self.console.tail())
        lost.output = self._output.decode("utf-8", "replace")
        self._lost = lost
        return lost


@contextlib.contextmanager
def boot(machine: Machine, software: Software, directory: Path) -> Iterator[Guest]:
    """Boot a guest; its console, QEMU's command line and QEMU's output are left in `directory`.

    Raises BootError when the kernel does not boot, InfraError when QEMU does not start.
    """
    with ExitStack() as stack:
        yield ending.without_crash(
            lambda: stack.enter_context(_booted(machine, software, directory))
        )


@contextlib.contextmanager
def _booted(machine: Machine, software: Software, directory: Path) -> Iterator[Guest]:
    directory.mkdir(parents=True, exist_ok=True)
    # The rig reports a lost connection itself; paramiko's threads would print a traceback too.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    with ExitStack() as stack:
        scratch = stack.enter_context(sandbox.scratch())
        qemu_directory = scratch / "qemu"
        qemu_directory.mkdir()
        host, user = sshkeys.make(), sshkeys.make()
        files = Files(
            kernel=software.kernel,
            initrd=write_initrd(scratch / "initrd", (*software.initrd, sshkeys.pack(host, user))),
            qmp=qemu_directory / "qmp",
            port=0 if sandbox.broken() else PORT,
            swap_disk=swap_disk(qemu_directory, machine.swap.disk),
            data_disk=software.data_disk,
        )
        command = live_command(machine, software, files, directory / "qemu.cmd")
        output = stack.enter_context((directory / "qemu.log").open("wb"))
        began = time.monotonic()
        process = stack.enter_context(proc.spawn(command, stderr=output))
        console = Console(process, directory / "console.log")
        stack.callback(console.thread.join, 5)
        stack.callback(proc.kill, process)
        monitor.watch(files.events, process, console.stop)
        guest = Guest(machine, process, console, files.qmp)
        guest.system_map = software.kernel.with_name("System.map")
        stack.callback(guest._hang_up)
        with log.step(f"Booting {machine.arch} under {machine.accel}"):
            _await_ready(guest, began)
            guest.keys = (host, user)
            guest._connect(began + BOOT_DEADLINE * machine.patience)
            guest.run("true", deadline=BOOT_DEADLINE)
            guest.boot_seconds = time.monotonic() - began
        yield guest


def _await_ready(guest: Guest, began: float) -> None:
    console, deadline = guest.console, began + BOOT_DEADLINE * guest.machine.patience
    while not console.ready.wait(0.02):
        if console.trouble.is_set():
            raise guest._boot_failed("the kernel does not boot")
        if time.monotonic() > deadline:
            if busy := guest._load.starved():
                raise busy
            guest.diagnose()
            raise guest._boot_failed(
                f"the kernel hangs at boot: not ready within {deadline - began:.0f} s"
            )
    serial.check_setup(console.path.read_bytes())
