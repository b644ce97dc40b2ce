#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes a store with thousands of runs, from one stored run: no kernels, no guests.

python tests/simulated/stored_runs.py RUN/x86_64 STORE --runs 10000

Two trees on two architectures, 50 runs a night. One case of one line fails in 1 of 20 runs, and
another fails for good in the last 20 nights. `rig history` and `rig site` are measured with it
(docs/history.md).
"""

import argparse
import random
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from rig.campaigns import execute
from rig.campaigns.results import RunResult
from rig.kernel.tree import Subject
from rig.store import write_whole
from rig.verdict.rules import CaseResult, Outcome, conclude

A_NIGHT = 50
ARCHES = ("x86_64", "arm64")
BASES = ("v6.12", "v7.2")
LOST = "page 1408: CPU 3 wrote 1432, read back 1430 (after reclaim)"
BESIDE = ("console.log", "qemu.cmd", "kernel.config")


def varied(case: CaseResult, chosen: random.Random, *, fails: bool) -> CaseResult:
    counters = tuple(
        (name, int(value * chosen.uniform(0.8, 1.25))) for name, value in case.counters
    )
    outcome, reason = (Outcome.FAIL, LOST) if fails else (case.outcome, case.reason)
    return replace(case, counters=counters, outcome=outcome, reason=reason,
                   evidence=(LOST,) * fails)  # fmt: skip


def of_night(
    one: RunResult, number: int, night: int, nights: int, chosen: random.Random
) -> RunResult:
    base, arch = BASES[number // 2 % 2], ARCHES[number % 2]
    comes_and_goes, broken = (base, arch) == ("v7.2", "arm64"), base == "v7.2"
    suites = tuple(
        replace(suite, cases=tuple(
            varied(case, chosen, fails=(
                (case.name == "anon_lost_write" and comes_and_goes and chosen.random() < 0.05)
                or (case.name == "gup_redirty" and broken and night >= nights - 20)
            ))
            for case in suite.cases
        ))
        for suite in one.suites
    )  # fmt: skip
    subject = Subject(base=base)
    request = replace(one.provenance.request, target=base, base="", arch=(arch,))
    provenance = replace(
        one.provenance, subject=subject, label=subject.label, request=request,
        commit=f"{night:08x}" * 5, build=f"{night:08x}" * 4,
    )  # fmt: skip
    return replace(one, machine=replace(one.machine, arch=arch), provenance=provenance,
                   suites=suites, verdict=conclude(suites, (), None))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="directory with a result.json")
    parser.add_argument("store", type=Path)
    parser.add_argument("--runs", type=int, default=10000)
    given = parser.parse_args()
    one, chosen = execute.load(given.run / execute.RESULT), random.Random(1)
    nights = max(1, given.runs // A_NIGHT)
    first = datetime(2026, 11, 27, 2, tzinfo=UTC) - timedelta(days=nights - 1)
    for number in range(given.runs):
        night = number // A_NIGHT
        time = first + timedelta(days=night, minutes=number % A_NIGHT)
        result = of_night(one, number, night, nights, chosen)
        result = replace(result, ended=time.isoformat(timespec="seconds"))
        label = result.provenance.label
        directory = given.store / "runs" / f"{time:%Y%m%d-%H%M%S}-{label}" / result.machine.arch
        directory.mkdir(parents=True)
        write_whole(directory / execute.RESULT, execute._RESULT.dump_json(result, indent=1))
        for name in BESIDE:
            (directory / name).hardlink_to(given.run / name)


if __name__ == "__main__":
    main()
