# SPDX-License-Identifier: GPL-2.0-only
"""Mutants, and guests' results on them, without a guest."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rig.campaigns.fates import Guest
from rig.campaigns.results import RunResult, RunSpec
from rig.guest.console import Splat
from rig.guest.qemu import Seeded
from rig.kernel import mutant
from rig.kernel.mutant import Mutant
from rig.suites.suite import Selection
from rig.verdict.rules import CaseResult, Outcome, SuiteResult, conclude
from tests.unit.conftest import about

LOST = "page 17: CPU 2 wrote 42, read back 41"


def make(name: str, *killed_by: str, more: str = "") -> Mutant:
    symbol = name.upper().replace("-", "_")
    text = f"// Rule: one\n// Files: mm/rmap.c\n// Killed-By: {' '.join(killed_by)}\n{more}"
    return mutant.parse(name, f"{text}\nrig_mutant({symbol})\n")


FLUSH = make("flush", "stale_tlb/anon_lost_write")
BOTH = make("both", "stale_tlb/anon_lost_write", "reclaim/anon_roundtrip")
DIES = make("dies", "splat/oops")
NEW = make("new", "reclaim/anon_roundtrip", more="// Not-On: <v7.0: nothing is batched there\n")
BROADCAST = make("broadcast", "stale_tlb/anon_lost_write", more="// Equivalent-On: arm64: DVM\n")
ALL = (FLUSH, BOTH, DIES, NEW, BROADCAST)

Ran = Callable[..., RunResult]
Guests = Callable[..., Guest]


@pytest.fixture
def ran(results: dict[str, tuple[RunResult, ...]]) -> Ran:
    """A guest's result: cases as (name, outcome)."""

    def make_result(
        name: str, *cases: tuple[str, Outcome], arch: str = "x86_64", splats: tuple[Splat, ...] = ()
    ) -> RunResult:
        suites = tuple(
            SuiteResult(
                suite=full.split("/")[0],
                cases=(
                    CaseResult(
                        name=full.split("/")[1],
                        outcome=outcome,
                        reason="" if outcome is Outcome.PASS else LOST,
                        counters=(("writes", 1234),),
                        seconds=0.9,
                    ),
                ),
            )
            for full, outcome in cases
        )
        whole = results["pass"][0]
        return replace(
            whole,
            machine=replace(whole.machine, arch=arch),
            provenance=about(whole.provenance, mutant=name),
            suites=suites,
            splats=splats,
            verdict=conclude(suites, splats, None),
        )

    return make_result


@pytest.fixture
def guest(spec: RunSpec, ran: Ran) -> Guests:
    """A guest: what was to be run in it (suite/case), and what it shows."""

    def make_guest(
        name: str,
        *cases: tuple[str, Outcome],
        arch: str = "x86_64",
        splats: tuple[Splat, ...] = (),
        seed: int = 0,
        lost: tuple[str, ...] = (),
    ) -> Guest:
        """`lost`: cases that were to be run and have no result."""
        result = ran(name, *cases, arch=arch, splats=splats)
        names = (*(case for case, _ in cases), *lost)
        picked = tuple(
            Selection(suite=full.split("/")[0], cases=(full.split("/")[1],)) for full in names
        )
        machine = replace(spec.machine, arch=arch)
        if seed:
            machine = replace(machine, schedule=Seeded(seed=seed))
        asked = replace(spec.but(mutant=name, seed=seed or 1), machine=machine, suites=picked)
        return asked, result

    return make_guest
