# SPDX-License-Identifier: GPL-2.0-only
"""The serial console of a running guest: a thread writes it to a file and watches it."""

import contextlib
import re
import threading
from pathlib import Path

from rig import proc
from rig.errors import InfraError
from rig.guest.console import ConsoleScanner, Splat
from rig.proc import Popen
from rig.store import host_trouble

READY = b"rig: guest is ready"
HALTED = re.compile(rb"reboot: (?:[^\r\n]*System halted|Power down|Restarting system)")
SETUP_FAILED = re.compile(rb"rig: setup failed: ([^\r\n]*)")
CONSOLE_MAX = 64 << 20
"""Bytes of a console log, which is read into memory as a whole."""


class Console:
    """Copies the serial console to a file, and looks for splats and for the ready message."""

    def __init__(self, process: Popen[bytes], path: Path) -> None:
        self.path = path
        self.splats: list[Splat] = []
        self.ready = threading.Event()
        self.trouble = threading.Event()
        """Set as soon as a splat begins, or the console ends."""
        self.ended = threading.Event()
        self.over = threading.Event()
        """Set when it has ended, or was powered off: not every kernel can end QEMU."""
        self.on_trouble = contextlib.ExitStack()
        self._scanner = ConsoleScanner()
        self._process = process
        self._tail = b""
        self.failure: InfraError | None = None
        """What stopped the reader: the rig's fault. QEMU is then killed."""
        self.stopped: InfraError | None = None  # why QEMU has stopped the guest
        self.thread = threading.Thread(target=self._drain, name="console", daemon=True)
        self.thread.start()

    def _drain(self) -> None:
        try:
            with host_trouble("writing the console's log"):
                self._read()
        except BaseException as error:
            failed = InfraError(f"the console's reader failed: {error!r}")
            self.failure = error if isinstance(error, InfraError) else failed
            proc.kill(self._process)
        self.ended.set()
        self.over.set()
        self._alarm()

    def _read(self) -> None:
        assert self._process.stdout is not None
        fd = self._process.stdout
        with self.path.open("wb", buffering=0) as file:
            while data := fd.read1(65536):  # type: ignore[attr-defined]
                if file.write(data) and file.tell() > CONSOLE_MAX:
                    raise InfraError(f"the console log has more than {CONSOLE_MAX >> 20} MiB")
                self._tail = (self._tail + data)[-4096:]
                if not self.ready.is_set() and READY in self._tail:
                    self.ready.set()
                if HALTED.search(self._tail):
                    self.over.set()
                self.splats.extend(self._scanner.feed(data))
                if self._scanner.started and not self.trouble.is_set():
                    self._alarm()
            self.splats.extend(self._scanner.close())

    def stop(self, why: InfraError) -> None:
        """QEMU has stopped the guest: nothing more will come."""
        self.stopped = why
        self._alarm()

    def _alarm(self) -> None:
        self.trouble.set()
        self.on_trouble.close()

    def text(self) -> str:
        return self.path.read_bytes().decode("utf-8", "replace") if self.path.is_file() else ""

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.text().splitlines()[-lines:])

    def fatal(self) -> Splat | None:
        return next((splat for splat in self.splats if splat.fatal), None)


def check_setup(console: bytes) -> None:
    """Raise InfraError if the image's setup script reported a failure."""
    if match := SETUP_FAILED.search(console):
        raise InfraError(f"the guest's setup failed: {match[1].decode('utf-8', 'replace')}")
