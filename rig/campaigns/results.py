# SPDX-License-Identifier: GPL-2.0-only
"""What is asked of a run, and what comes back."""

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
from rig.verdict.rules import SuiteResult, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    request: Request
    """What was asked for, of one revision; of several architectures it may be."""
    tree: TreeSpec
    machine: Machine
    image: str = "test"
    suites: tuple[Selection, ...] = ()
    promises: tuple[str, ...] = ()
    """Cases that the kernel must pass, whatever its version: the request's and the series'."""
    boot: bool = True
    """Or it is only built."""
    step: each_patch.Step | None = None
    """Where a patch is looked at by itself."""

    def but(self, **options: Any) -> "RunSpec":
        """The spec with other options of its request: mutant, seed, iterations, pages, ..."""
        return replace(self, request=replace(self.request, **options))


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where a result comes from: what was asked for, and the digests of what it was made of."""

    request: Request
    subject: Subject
    label: str
    """The subject, for people."""
    origin: str
    """Where the base comes from, for people."""
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
    """Why it was built and run without the sandbox; empty where it was not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    machine: Machine
    provenance: Provenance
    suites: tuple[SuiteResult, ...] = ()
    splats: tuple[Splat, ...] = ()
    warnings: tuple[str, ...] = ()
    """The compiler's."""
    boot_seconds: float = 0
    seconds: float = 0
    ended: str = ""
    verdict: Verdict
    detail: str = ""
    """Evidence of a verdict that is not a case's: the compiler's words, the hunk, the console."""
    checkpatch: tuple[str, ...] = ()
    """Of the last patch, where it was looked at by itself: the count, and the complaints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A spec with all it needs made."""

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
