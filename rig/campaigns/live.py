# SPDX-License-Identifier: GPL-2.0-only
"""The guests of a live run: one for all cases, and another one after each that is lost.

So a case that crashes or hangs the kernel does not hide what the cases after it have to say.
"""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from rig import log
from rig.campaigns.results import Prepared, RunSpec
from rig.errors import GuestLost, InfraError, KernelError, RigError
from rig.guest import boot
from rig.guest.boot import Guest
from rig.guest.console import scan
from rig.guest.qemu import Machine
from rig.kernel import weave
from rig.store import host_trouble
from rig.suites.suite import Case, Suite, run_case
from rig.verdict.rules import CaseResult, Trouble, not_run

FURTHER = 8
"""Guests that are booted after the first one was lost. A hang costs a case's deadline each time."""


START = 20.0
"""Seconds on hardware in which a guest has to write a line on its console."""


def machine_of(spec: RunSpec) -> Machine:
    if not spec.request.mutant:
        return spec.machine
    return replace(
        spec.machine, cmdline=(*spec.machine.cmdline, f"rig.mutant={spec.request.mutant}")
    )


def check_mutant(console: str, spec: RunSpec) -> None:
    """Raise InfraError unless the kernel has printed that the requested mutant is on."""
    if spec.request.mutant and weave.says_it_is_on(spec.request.mutant) not in console:
        raise InfraError(f"the console does not say that mutant {spec.request.mutant} is on")


def _start_line(name: str) -> str:
    return f"rig: {name} starts"


def _says(guest: Guest, line: str) -> bool:
    """Make the guest write a line on its console; False if it has died since the last case."""
    try:
        guest.run(f"echo '{line}' >/dev/kmsg", deadline=START)
    except GuestLost:
        return False
    return True


def _died_before(guest: Guest, name: str) -> bool:
    """Whether a fatal splat is before the case's start line: the host may read the console late."""
    before, line, _ = guest.console.text().rpartition(_start_line(name))
    return bool(line) and any(splat.fatal for splat in scan(before))


class Guests:
    """Boots a guest when a case needs one. A kernel that did not boot is not tried again."""

    def __init__(self, prepared: Prepared, directory: Path) -> None:
        self.boot_seconds = 0.0
        """Of the first guest."""
        self.lost: list[tuple[str, GuestLost]] = []
        """The guests that were lost, each with where: `in`, `before` or `after` a case."""
        self.idle = ""
        """The first guest that was lost while no case ran; empty if there is none."""
        self.failure: RigError | None = None
        """Why no further guest is booted."""
        self._prepared = prepared
        self._directory = directory
        self._guest: Guest | None = None
        self._last = ""
        """The case that was run last."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, where)

    @property
    def detail(self) -> str:
        """The evidence of every lost guest."""
        if not self.lost:
            return ""
        (_, first), *others = self.lost
        parts = [first.detail]
        for number, (where, error) in enumerate(others, 2):
            parts.append(f"guest {number}, lost {where}: {error.message}\n{error.detail}".strip())
        return "\n\n".join(filter(None, parts))

    def guest(self) -> Guest:
        """A guest that is not lost. Raises RigError if there is none any more."""
        if self._guest and not self._guest.lost:
            return self._guest
        if self.failure:
            raise self.failure
        try:
            self._guest = self._boot()
        except RigError as error:
            self.failure = error
            raise
        return self._guest

    def _boot(self) -> Guest:
        # A guest that hangs keeps its CPUs busy, so it is ended first.
        self._stack.close()
        number = len(self.lost) + 1
        if number > FURTHER + 1:
            raise GuestLost(f"{len(self.lost)} guests were lost, the last one {self.lost[-1][0]}")
        # The consoles of the guests before stay as they are.
        directory = self._directory / f"guest-{number}" if self.lost else self._directory
        prepared = self._prepared
        with host_trouble("running a guest"):
            guest = self._stack.enter_context(
                boot.boot(machine_of(prepared.spec), prepared.software, directory)
            )
        if not self.lost:
            self.boot_seconds = guest.boot_seconds
        check_mutant(guest.console.text(), prepared.spec)
        return guest

    def run(self, suite: Suite, case: Case, *, seed: int) -> CaseResult:
        """Run a case once. After a loss it is not repeated: the case fails.

        A guest that died before the console says that the case starts is no fault of the case,
        which then runs in another guest (outcome rule 7).
        Raises InfraError; a kernel that is lost for good makes the case INCONCLUSIVE.
        """
        name = f"{suite.name}/{case.name}"
        while True:
            try:
                guest = self.guest()
            except KernelError as error:
                return not_run(case.name, Trouble.of(error))
            if not _says(guest, _start_line(name)):
                self._note(guest, f"before {name}")
                continue
            self._last = name
            result = run_case(guest, suite, case, seed=seed)
            if not guest.lost:
                return result
            if not _died_before(guest, name):
                self._note(guest, f"in {name}")
                return result
            self._note(guest, f"before {name}")

    def end(self) -> None:
        """After the last case: a guest that has died since then, without a splat, is lost too.

        Raises InfraError.
        """
        guest = self._guest
        if (
            guest
            and self._last
            and not guest.lost
            and not _says(guest, "rig: the cases have ended")
        ):
            self._note(guest, f"after {self._last}")

    def _note(self, guest: Guest, where: str) -> None:
        assert guest.lost
        self.lost.append((where, guest.lost))
        message = f"the guest was lost {where}: {guest.lost.message}"
        log.note(message)
        if not where.startswith("in "):
            guest.lost.detail = "\n".join(filter(None, (guest.lost.detail, *guest.lost.tasks)))
            self.idle = self.idle or message
