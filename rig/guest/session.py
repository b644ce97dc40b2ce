# SPDX-License-Identifier: GPL-2.0-only
"""Connects a user's streams to a command in the guest, as ssh(1) does: bytes, at once, both ways.

A terminal that the guest may control is in raw mode for that time. Other output that goes to a
terminal is escaped, because it comes from a stranger's kernel.
"""

import codecs
import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from rig import printable

if TYPE_CHECKING:
    import paramiko

STEP = 0.2
"""Seconds between two looks at whether the guest is still there."""
BLOCK = 32 << 10
CUT_OFF = -1
"""The status of a command whose connection, or guest, has ended before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Streams:
    """File descriptor of stdin, and where output goes."""

    stdin: int
    out: BinaryIO
    err: BinaryIO

    @property
    def terminal(self) -> bool:
        """Whether a person sits at both ends."""
        return os.isatty(self.stdin) and self.out.isatty()


def run(
    transport: "Callable[[], paramiko.Transport]",
    line: str,
    streams: Streams,
    ended: Callable[[], bool],
    started: Callable[[], object] = lambda: None,
) -> int:
    """Run a command line of sh, or a login shell if it is empty; its status, or CUT_OFF.

    Without a terminal a shell reads its commands from stdin, and ends with it. `started` is called
    when the guest has accepted the command. paramiko waits for that without a limit, so the caller
    closes the connection if it takes too long.
    """
    interactive = not line and streams.terminal
    size = os.get_terminal_size(streams.stdin) if interactive else None
    try:
        channel = transport().open_session()
        if size:
            channel.get_pty(os.environ.get("TERM", "vt100"), size.columns, size.lines)
            channel.invoke_shell()
        else:
            channel.exec_command(f". /etc/profile; {line}\nexit $?" if line else "exec sh -l")
    except Exception:  # of paramiko's many types: the connection has ended
        return CUT_OFF
    started()
    if not interactive:
        return _pump(channel, streams, ended, _writer(streams.out), _writer(streams.err))
    with _raw(streams.stdin), _resized(channel, streams.stdin):
        return _pump(channel, streams, ended, streams.out.write, streams.err.write)


def _writer(stream: BinaryIO) -> Callable[[bytes], object]:
    """Writes bytes as they are to a file or a pipe; to a terminal as text, escaped."""
    if not stream.isatty():
        return stream.write
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    return lambda data: stream.write(printable.text(decoder.decode(data)).encode())


def _pump(
    channel: "paramiko.Channel",
    streams: Streams,
    ended: Callable[[], bool],
    out: Callable[[bytes], object],
    err: Callable[[bytes], object],
) -> int:
    """Copy in both directions until the command ends, or the guest (`ended`)."""
    channel.setblocking(0)
    waiting, reading = b"", True
    while True:
        sources = [channel.fileno(), *([streams.stdin] if reading and not waiting else [])]
        # What waits to be sent has no descriptor to wait for.
        ready = select.select(sources, [], [], 0.02 if waiting else STEP)[0]
        if streams.stdin in ready:
            waiting = _read(streams.stdin)
            if not waiting:
                reading = False
        with contextlib.suppress(OSError, EOFError):  # it is closed: seen below
            if not reading and not waiting and not channel.eof_sent:
                channel.shutdown_write()
            if waiting and channel.send_ready():
                waiting = waiting[channel.send(waiting) :]
        more = _copy(channel.recv_ready, channel.recv, out)
        more |= _copy(channel.recv_stderr_ready, channel.recv_stderr, err)
        if more:
            streams.out.flush()
            streams.err.flush()
        elif channel.exit_status_ready():  # or the channel is closed: then the status is CUT_OFF
            if _drained(channel):
                return channel.recv_exit_status()
        elif ended():
            return CUT_OFF


def _drained(channel: "paramiko.Channel") -> bool:
    """Whether all output has arrived: it may come after the exit status."""
    until = time.monotonic() + STEP
    while time.monotonic() < until and not (channel.eof_received or channel.closed):
        time.sleep(0.01)
    return not (channel.recv_ready() or channel.recv_stderr_ready())


def _copy(
    ready: Callable[[], bool], read: Callable[[int], bytes], write: Callable[[bytes], object]
) -> bool:
    copied = False
    while ready():
        data = read(BLOCK)
        write(data)
        copied = True
    return copied


def _read(number: int) -> bytes:
    try:
        return os.read(number, BLOCK)
    except OSError:  # a terminal that has gone gives EIO
        return b""


@contextlib.contextmanager
def _raw(number: int) -> Iterator[None]:
    """Ctrl-C and all other keys go to the guest."""
    before = termios.tcgetattr(number)
    try:
        tty.setraw(number)
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resized(channel: "paramiko.Channel", number: int) -> Iterator[None]:
    """Tell the guest when the size of the window changes."""

    def changed(*_: object) -> None:
        size = fcntl.ioctl(number, termios.TIOCGWINSZ, bytes(8))
        rows, columns = struct.unpack("HHHH", size)[:2]
        with contextlib.suppress(Exception):  # the connection may just have ended
            channel.resize_pty(columns, rows)

    before = signal.signal(signal.SIGWINCH, changed)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
