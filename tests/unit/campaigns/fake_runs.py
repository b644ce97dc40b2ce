# SPDX-License-Identifier: GPL-2.0-only
"""Runs that take no time, for nights: also for those in another process, which is killed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rig.campaigns import execute as executing
from rig.campaigns import pipeline
from rig.campaigns import request as requests
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec, provenance
from rig.context import Context
from rig.errors import BuildError, ConfigError
from rig.guest.qemu import Accel, Live, Machine, Seeded
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.suites import suite
from rig.verdict.rules import CaseResult, Outcome, Owner, SuiteResult, Trouble, conclude


@dataclass
class Ready:
    spec: RunSpec


@dataclass
class Fakes:
    """What the kernels of a test are like, and what was done with them."""

    commits: dict[str, str] = field(default_factory=dict)
    """Target -> commit."""
    unknown: tuple[str, ...] = ()
    """Targets that cannot be resolved."""
    broken: tuple[str, ...] = ()
    """Targets that do not compile."""
    dead: tuple[str, ...] = ()
    """Targets that do not boot."""
    fails: Callable[[str, RunSpec], bool] = lambda case, spec: False
    log: Path | None = None
    """Each run is a line of it: its directory and its seed."""
    delay: float = 0.0
    ran: list[tuple[str, RunSpec]] = field(default_factory=list)
    built: list[str] = field(default_factory=list)

    def install(self, set_attribute: Callable[[Any, str, Any], None]) -> None:
        set_attribute(requests, "specs", self.specs)
        set_attribute(requests, "tree_spec", self.tree_spec)
        set_attribute(executing, "Prepared", Ready)
        set_attribute(pipeline, "prepare", self.prepare)
        set_attribute(pipeline, "execute", self.execute)

    def tree_spec(self, context: Context, request: Request) -> TreeSpec:
        if request.target in self.unknown:
            raise ConfigError(f"there is no base named {request.target}")
        commit = self.commits.get(request.target, "c0ffee")
        return TreeSpec(base=Base(name=request.target, commit=commit, origin="a test"))

    def specs(self, context: Context, request: Request) -> tuple[RunSpec, ...]:
        schedule = Seeded(seed=request.seed) if request.schedule == "seeded" else Live()
        (arch,) = request.arch
        machine = Machine(arch=arch, accel=Accel.TCG, lru_gen=request.lru_gen, schedule=schedule)
        return (
            RunSpec(
                request=request,
                tree=self.tree_spec(context, request),
                machine=machine,
                suites=suite.select(request.suites, request.cases),
            ),
        )

    def prepare(self, context: Context, spec: RunSpec) -> Ready:
        if spec.request.target in self.broken:
            self.built.append(spec.request.target)
            raise BuildError("mm/rmap.c:7: error: no")
        return Ready(spec)

    def execute(self, ready: Ready, directory: Path) -> RunResult:
        spec = ready.spec
        self.ran.append((directory.name, spec))
        time.sleep(self.delay)
        if self.log:
            with self.log.open("a") as file:
                file.write(f"{directory.parent.name}/{directory.name} {spec.request.seed}\n")
        dies = spec.request.target in self.dead
        suites = (
            ()
            if dies
            else tuple(
                SuiteResult(
                    suite=each.suite,
                    cases=tuple(
                        self._case(each.suite, case.name, spec) for case in suite.cases_of(each)
                    ),
                )
                for each in spec.suites
            )
        )
        trouble = Trouble(owner=Owner.KERNEL, reason="not up within 60 s") if dies else None
        origin = replace(
            provenance(spec), commit=spec.tree.base.commit, build=f"b-{spec.tree.base.commit}"
        )
        return RunResult(
            machine=spec.machine, provenance=origin, suites=suites, seconds=10.0,
            boot_seconds=0.0 if dies else 2.0, ended=pipeline.now(),
            verdict=conclude(suites, (), trouble),
        )  # fmt: skip

    def _case(self, name: str, case: str, spec: RunSpec) -> CaseResult:
        failed = self.fails(f"{name}/{case}", spec)
        return CaseResult(
            name=case, outcome=Outcome.FAIL if failed else Outcome.PASS,
            reason="page 17: CPU 2 wrote 42, read back 41" * failed, seconds=1.0,
        )  # fmt: skip
