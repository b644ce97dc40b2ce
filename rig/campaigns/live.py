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
from rig.guest.qemu import Machine
from rig.kernel import weave
from rig.store import host_trouble
from rig.suites.suite import Case, Suite, run_case
from rig.verdict.rules import CaseResult, Trouble, not_run

FURTHER = 8
"""Guests that are booted after the first one was lost. A hang costs a case's deadline each time."""


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


class Guests:
    """Boots a guest when a case needs one. A kernel that did not boot is not tried again."""

    def __init__(self, prepared: Prepared, directory: Path) -> None:
        self.boot_seconds = 0.0
        """Of the first guest."""
        self.lost: list[tuple[str, GuestLost]] = []
        """The guests that were lost, each with the case that ran."""
        self.failure: RigError | None = None
        """Why no further guest is booted."""
        self._prepared = prepared
        self._directory = directory
        self._guest: Guest | None = None
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
        for number, (case, error) in enumerate(others, 2):
            parts.append(f"guest {number}, lost in {case}: {error.message}\n{error.detail}".strip())
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
            raise GuestLost(
                f"{len(self.lost)} guests were lost, the last one in {self.lost[-1][0]}"
            )
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

        Raises InfraError; a kernel that is lost for good makes the case INCONCLUSIVE.
        """
        try:
            guest = self.guest()
        except KernelError as error:
            return not_run(case.name, Trouble.of(error))
        result = run_case(guest, suite, case, seed=seed)
        if guest.lost:
            self.lost.append((f"{suite.name}/{case.name}", guest.lost))
            log.note(f"the guest was lost in {suite.name}/{case.name}: {guest.lost.message}")
        return result
