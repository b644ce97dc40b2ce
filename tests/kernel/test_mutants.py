# SPDX-License-Identifier: GPL-2.0-only
"""The suites can fail: every mutant, on both architectures, from one instrumented build each."""

import sys
from pathlib import Path

import pydantic

from rig import arch, proc
from rig.campaigns.mutation import Fate, Mutation
from rig.kernel import mutant
from rig.shelves import Shelves


def campaign(out: Path, *words: str) -> Mutation:
    """A whole campaign, which must find nobody who survives, and nothing wrong without a mutant."""
    argv = ("mutate", "v6.12", "--arch", ",".join(arch.standard()), "--json", str(out), *words)
    done = proc.run([sys.executable, "-m", "rig", *argv], check=False, deadline=3600)
    assert done.status == 0, done.stdout + done.stderr[-3000:]
    found = pydantic.TypeAdapter(Mutation).validate_json(out.read_bytes())
    assert found.clean_failures == ()
    assert {row.fate for row in found.rows} <= {Fate.KILLED, Fate.EQUIVALENT, Fate.NOT_APPLICABLE}
    shelf = {one.name for one in mutant.load_all(Shelves.default().patches)}
    assert {(row.mutant, row.arch) for row in found.rows} == {
        (name, one) for name in shelf for one in arch.standard()
    }
    return found


def test_every_mutant_is_killed_by_a_case_that_names_it(tmp_path: Path) -> None:
    campaign(tmp_path / "out.json")


def test_every_mutant_is_killed_by_a_seed_that_the_clean_kernel_passes(tmp_path: Path) -> None:
    found = campaign(tmp_path / "out.json", "--seeds", "1..16")
    killed = {
        (row.arch, row.seed, kill.case)
        for row in found.rows
        if row.fate is Fate.KILLED
        for kill in row.kills
    }
    passed = {
        (result.machine.arch, result.provenance.request.seed, f"{one.suite}/{case.name}")
        for result in found.clean
        for one in result.suites
        for case in one.cases
    }
    assert killed == passed and killed
