# SPDX-License-Identifier: GPL-2.0-only
"""What is asked of a run, and what comes back."""

from dataclasses import dataclass

from rig.campaigns import each_patch
from rig.guest.console import Splat
from rig.guest.qemu import Machine
from rig.guest.software import Software
from rig.kernel import sandbox
from rig.kernel.kbuild import KernelBuild
from rig.kernel.tree import TreeSpec
from rig.suites import suite
from rig.suites.suite import Selection
from rig.verdict.rules import SuiteResult, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    tree: TreeSpec
    machine: Machine
    flavour: str = "base"
    image: str = "test"
    suites: tuple[Selection, ...] = ()
    mutant: str = ""
    seed: int = suite.SEED
    iterations: int = 0
    """Of every case; 0 is each one's own."""
    pages: int = 0
    """The same, of those cases that can do with less memory."""
    promises: tuple[str, ...] = ()
    """Cases the kernel is held to, whatever its version."""
    boot: bool = True
    """Or it is only built."""
    step: each_patch.Step | None = None
    """Where a patch is looked at by itself."""
    unconfined: bool = False
    """A series may be run where the sandbox does not work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Of what, exactly, something was found out: digests of everything."""

    label: str
    origin: str
    commit: str = ""
    tree: str = ""
    build: str = ""
    release: str = ""
    image: str = ""
    programs: tuple[tuple[str, str], ...] = ()
    qemu: str = ""
    flavour: str
    mutant: str
    seed: int
    iterations: int = 0
    pages: int = 0
    promises: tuple[str, ...] = ()
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
        label=spec.tree.label,
        origin=spec.tree.base.origin,
        flavour=spec.flavour,
        mutant=spec.mutant,
        seed=spec.seed,
        iterations=spec.iterations,
        pages=spec.pages,
        promises=spec.promises,
        unconfined=sandbox.broken(),
    )
