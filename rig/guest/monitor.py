# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's monitor: asks it for something, and hears when it stops a guest.

QEMU stops a guest whose disk it cannot read or write (werror=stop, rerror=stop). Without that the
guest would get an I/O error, or wait for ever, and the kernel would be blamed for a full disk of
the host.
"""

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError

from rig.errors import DiskFull, InfraError
from rig.kernel import sandbox
from rig.proc import Popen

CONNECT, ANSWER, LEAVE = 5, 10, 5
"""Seconds. A QEMU that does not run answers nothing."""
LONGEST = 1 << 20
"""Bytes of a message: what is longer is not QEMU's."""
STOPPED = ("io-error", "internal-error")
"""The states of a guest that QEMU has stopped because of trouble of its own."""


def ask(path: Path, command: str) -> str:
    """The output of a command of QEMU's human monitor; "" if QEMU does not answer."""
    try:
        return str(asyncio.run(_ask(path, command)))
    except (TimeoutError, OSError, QMPError, EOFError):
        return ""


def forwarded(path: Path) -> int:
    """The port on this host that QEMU forwards to the guest's SSH server."""
    usernet = ask(path, "info usernet")
    match = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", usernet)
    if not match:
        raise InfraError("QEMU does not list the forwarded SSH port", detail=usernet)
    return int(match[1])


async def _ask(path: Path, command: str) -> object:
    client = QMPClient("rig")
    await asyncio.wait_for(client.connect(sandbox.connected(path)), CONNECT)
    try:
        return await asyncio.wait_for(
            client.execute("human-monitor-command", {"command-line": command}), ANSWER
        )
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(client.disconnect(), LEAVE)


def watch(path: Path, process: Popen[bytes], on_stop: Callable[[InfraError], None]) -> None:
    """Call `on_stop`, in another thread, when QEMU stops the guest by itself. It ends with QEMU."""
    words = (path, process, on_stop)
    threading.Thread(target=_watch, args=words, name="events", daemon=True).start()


def _watch(path: Path, process: Popen[bytes], on_stop: Callable[[InfraError], None]) -> None:
    with contextlib.suppress(OSError, ValueError):
        while process.poll() is None:
            try:
                connection = sandbox.connected(path)
            except OSError:
                time.sleep(0.05)  # until QEMU listens; it sends no event for that
                continue
            with connection:
                if stop := _stop(connection, process):
                    on_stop(stop)
            return


def _stop(connection: socket.socket, process: Popen[bytes]) -> InfraError | None:
    """Why QEMU has stopped the guest; None if it ends without that."""
    connection.settimeout(1)
    connection.sendall(b'{"execute": "qmp_capabilities"}\n')
    buffer = b""
    while len(buffer) < LONGEST:
        try:
            data = connection.recv(65536)
        except TimeoutError:
            if process.poll() is not None:
                return None
            continue
        if not data:
            return None
        *lines, buffer = (buffer + data).split(b"\n")
        for message in map(json.loads, filter(bytes.strip, lines)):
            if not isinstance(message, dict):
                continue
            if message.get("event") == "STOP":
                connection.sendall(b'{"execute": "query-status"}\n')
            elif stop := _reason(message):
                return stop
    return None


def _reason(message: dict[str, Any]) -> InfraError | None:
    if message.get("event") == "BLOCK_IO_ERROR":
        data = message["data"]
        what = f"QEMU cannot {data.get('operation')} the guest's disk {data.get('device')}"
        if data.get("nospace"):
            return DiskFull(what)
        return InfraError(f"{what}: {data.get('reason', 'I/O error')}")
    answer = message.get("return")
    if isinstance(answer, dict) and answer.get("status") in STOPPED:
        return InfraError(f"QEMU has stopped the guest: {answer['status']}")
    return None
