# SPDX-License-Identifier: GPL-2.0-only
"""`RunSpec`, the input of a run, and `RunResult`, what it returns and stores."""

from dataclasses import dataclass, replace
from typing import Any

from rig.campaigns import each_patch
from rig.campaigns.options import Request
from rig.guest.console import Splat
from rig.guest.qemu import Machine
from rig.guest.software import Software
from rig.kernel import sandbox
from rig.kernel.kbuild import KernelBuild
from rig.kernel.tree import Subject, TreeSpec
from rig.suites.suite import Selection
from rig.verdict.blame import Blame, Earlier
from rig.verdict.rules import CaseResult, SuiteResult, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    request: Request
    """The user's request, with one revision. It may name several architectures."""
    tree: TreeSpec
    machine: Machine
    image: str = "test"
    suites: tuple[Selection, ...] = ()
    promises: tuple[str, ...] = ()
    """Cases that the kernel must pass, whatever its version: the request's and the series'."""
    boot: bool = True
    """False: it is only built."""
    step: each_patch.Step | None = None
    """With --each-patch: the patch that is checked."""

    def but(self, **options: Any) -> "RunSpec":
        """A copy with these options of its request replaced: mutant, seed, iterations, pages, …"""
        return replace(self, request=replace(self.request, **options))


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """The origin of a result: the request, and the digests of everything that was used."""

    request: Request
    subject: Subject
    label: str
    """The subject as text for people."""
    origin: str
    """The source of the base, as text for people."""
    commit: str = ""
    tree: str = ""
    build: str = ""
    release: str = ""
    image: str = ""
    programs: tuple[tuple[str, str], ...] = ()
    qemu: str = ""
    promises: tuple[str, ...] = ()
    """The request's and the series'."""
    unconfined: str = ""
    """Why it was built and run without the sandbox; empty if it ran in the sandbox."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    machine: Machine
    provenance: Provenance
    suites: tuple[SuiteResult, ...] = ()
    splats: tuple[Splat, ...] = ()
    warnings: tuple[str, ...] = ()
    """Compiler warnings."""
    boot_seconds: float = 0
    seconds: float = 0
    ended: str = ""
    verdict: Verdict
    detail: str = ""
    """Evidence of a verdict outside a case: the compiler's output, the hunk, the console."""
    idle: str = ""
    """The first loss of a guest while no case ran."""
    checkpatch: tuple[str, ...] = ()
    """With --each-patch: checkpatch's counts for this patch, then its complaints."""
    blame: tuple[Blame, ...] = ()
    """For each failure: whether the base has it too, and which patch it came with."""
    earlier: tuple[Earlier, ...] = ()
    """The failures of the revision before, and what became of them."""

    @property
    def cases(self) -> dict[str, CaseResult]:
        """suite/case -> its result."""
        return {f"{suite.suite}/{case.name}": case for suite in self.suites for case in suite.cases}


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A spec, and what it needs to run: kernel, image and programs, all built."""

    spec: RunSpec
    build: KernelBuild
    software: Software
    provenance: Provenance
    checkpatch: tuple[str, ...] = ()


def provenance(spec: RunSpec) -> Provenance:
    return Provenance(
        request=spec.request,
        subject=spec.tree.subject,
        label=spec.tree.label,
        origin=spec.tree.base.origin,
        promises=spec.promises,
        unconfined=sandbox.broken(),
    )
