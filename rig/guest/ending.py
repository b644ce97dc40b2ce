# SPDX-License-Identifier: GPL-2.0-only
"""Whose fault it is that QEMU has ended, or is too slow: the host's, or the kernel's.

A guest that resets ends QEMU with status 0 (-no-reboot). QEMU also exits with 0 on SIGTERM, and
then says so. Any other status is QEMU's own.
"""

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from rig import arch as arches
from rig import family, log, proc
from rig.errors import BootError, DiskFull, InfraError, QemuCrashed, RigError
from rig.guest import accel
from rig.guest.qemu import Machine
from rig.kernel import sandbox

BUGS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
"""Signals of a program's own faults; all others were sent to QEMU."""
BEAT, STOPPED = 0.5, 5.0
"""Seconds. A rig that does not look at the clock for STOPPED seconds does not run."""
STARTS = 3
"""How often QEMU is started for one guest, if it crashes while the guest boots.

With a thread for each CPU, on a busy host, QEMU 10.0 may use a stale section of its memory map
while the kernel places the PCI BARs (QEMU issue 1921): "iotlb_to_section: Assertion ... failed" and
"msix_table_mmio_write: Assertion ... failed", in 2 of about 170 boots."""
T = TypeVar("T")

TERMINATED = re.compile(r"terminating on signal (\d+)( from pid .*)?")
REFUSED = re.compile(
    r"could not load kernel|invalid kernel header|linux kernel too old|PVH ELF Note"
    r"|[Ee]rror loading (?:uncompressed )?kernel"
)
"""QEMU's messages about a kernel image that it does not understand."""
HINT = "`rig doctor` boots a minimal guest and shows what fails"
STARVED = 0.15
"""Share of the rig's CPUs. A guest that boots needs it for two or three seconds of its deadline of
60 s; a guest that hangs uses all of its CPUs, or does not wait for one."""
LEFT = 64 << 10
"""A file system with fewer free bytes is full."""


def fault(status: int, output: str) -> InfraError | None:
    """The error if QEMU ended because of the host; None if the guest has ended by itself.

    `output` is what QEMU printed besides the console.
    """
    detail = output.strip()[-2000:]
    if any(words in output for words in DiskFull.WORDS):
        return DiskFull("QEMU", detail=detail)
    if match := TERMINATED.search(output):
        return InfraError(f"QEMU was ended by signal {match[1]}{match[2] or ''}", detail=detail)
    if number := sandbox.signal_of(status):
        kind = QemuCrashed if number in BUGS else InfraError
        return kind(f"QEMU was killed by signal {number}", detail=detail)
    if status and not REFUSED.search(output):
        return InfraError(f"QEMU ended with status {status}", detail=detail, hint=HINT)
    return None


def without_crash(start: Callable[[], T]) -> T:
    """What `start` returns. If QEMU crashes in it, it is called again, STARTS times in all."""
    for number in range(2, STARTS + 1):
        try:
            return start()
        except QemuCrashed as error:
            words = (error.detail.splitlines() or ["it printed nothing"])[-1]
            log.note(f"{error.message} ({words}); start {number} of {STARTS}")
    return start()


def silence(machine: Machine, output: str, reason: str = "the kernel prints nothing") -> RigError:
    """The error for a guest that has printed nothing.

    It is the kernel's fault if QEMU boots another kernel, the minimal guest, on this host now.
    """
    detail = output.strip()[-2000:]
    arch = arches.pick(machine.arch)
    works, why = accel.boots(arch, machine.accel)
    if not works:
        return InfraError("QEMU does not start", detail="\n".join((detail, why)).strip(), hint=HINT)
    reason = f"{reason}; a minimal {arch.name} guest boots on this host"
    return BootError(reason, detail=detail)


def full(directory: Path) -> DiskFull | None:
    """The error if no space is left where QEMU writes: what it wrote there may be cut off."""
    free = os.statvfs(directory)
    blocks = free.f_bavail if os.geteuid() else free.f_bfree
    return DiskFull(f"QEMU writes to {directory}") if blocks * free.f_frsize < LEFT else None


class Pulse:
    """Notices that the rig itself was stopped (Ctrl-Z, SIGSTOP): none of its threads ran then."""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._stops: list[tuple[float, float]] = []
        """When it went on, and after how many seconds."""
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(BEAT)
            now = time.monotonic()
            if now - self._beat > STOPPED:
                self._stops.append((now, now - self._beat))
            self._beat = now

    def stopped(self, since: float) -> float:
        """For how many seconds since then."""
        now, beat = time.monotonic(), self._beat
        stops = [*self._stops, *([(now, now - beat)] if now - beat > STOPPED else [])]
        return sum(seconds for end, seconds in stops if end > since)


pulse = cache(Pulse)
"""That of this process. It begins with the first call."""


def halted(pid: int, began: float) -> InfraError | None:
    """The error if a guest's deadline has passed because somebody has stopped the rig, for a tenth
    of the time, or QEMU."""
    stopped, seconds = pulse().stopped(began), time.monotonic() - began
    if stopped > seconds / 10:
        return InfraError(
            f"the rig was stopped for {stopped:.0f} of {seconds:.0f} s (Ctrl-Z, SIGSTOP)",
            hint="run it again",
        )
    if _is_stopped(pid):
        return InfraError("QEMU is stopped (SIGSTOP, or a debugger)", hint="run it again")
    return None


def _is_stopped(pid: int) -> bool:
    for thread, children in family.threads(pid):
        try:
            state = (thread / "stat").read_text(errors="replace").rpartition(") ")[2][:1]
        except OSError:
            continue
        if state in ("T", "t") or any(map(_is_stopped, children)):
            return True
    return False


class Load:
    """How much of the CPUs QEMU gets from now on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        pulse()
        self._began = time.monotonic()
        self._ran, self._waited = schedule(pid)

    def starved(self) -> InfraError | None:
        """The error if QEMU was stopped, or waited for a CPU nearly all the time: it is not the
        guest that is slow."""
        if stop := halted(self._pid, self._began):
            return stop
        ran, waited = schedule(self._pid)
        seconds = time.monotonic() - self._began
        enough = STARVED * seconds * proc.cpus()
        return starved(seconds, ran - self._ran, waited - self._waited, enough)


class Late:
    """Looks why a guest of the seeded schedule does not exit in time: `fault` is the host's."""

    def __init__(self, enough: float) -> None:
        pulse()
        self._began, self._enough = time.monotonic(), enough
        self.fault: InfraError | None = None

    def look(self, pid: int) -> None:
        ran, waited = schedule(pid)
        seconds = time.monotonic() - self._began
        self.fault = halted(pid, self._began) or starved(seconds, ran, waited, self._enough)


def starved(seconds: float, ran: float, waited: float, enough: float) -> InfraError | None:
    """The error if QEMU's threads waited for a CPU for half of this time, and did not run for long
    enough. All in seconds."""
    if waited < seconds / 2 or ran > enough:
        return None
    return InfraError(
        f"the host is too busy: in {seconds:.0f} s QEMU's threads ran for {ran:.0f} s"
        f" and waited {waited:.0f} s for a CPU",
        hint="end other programs, and run it again",
    )


def schedule(pid: int) -> tuple[float, float]:
    """Seconds that the threads of a process and its descendants have run, and have waited for a
    CPU: /proc/PID/schedstat (Documentation/scheduler/sched-stats.rst). 0 of what has ended."""
    ran = waited = 0.0
    for thread, children in family.threads(pid):
        try:
            first, second, _ = (thread / "schedstat").read_text().split()
        except (OSError, ValueError):
            continue
        ran, waited = ran + int(first) / 1e9, waited + int(second) / 1e9
        for child in children:
            more = schedule(child)
            ran, waited = ran + more[0], waited + more[1]
    return ran, waited
