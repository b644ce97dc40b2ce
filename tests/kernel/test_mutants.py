# SPDX-License-Identifier: GPL-2.0-only
"""The suites can fail: every mutant, on both architectures, from one instrumented build each."""

import sys
from pathlib import Path

import pydantic

from rig import arch, proc
from rig.campaigns.mutation import Fate, Mutation
from rig.kernel import mutant
from rig.shelves import Shelves

FINE = {Fate.KILLED, Fate.EQUIVALENT, Fate.NOT_APPLICABLE}
CHANCES = 5


def mutate(out: Path, *words: str) -> Mutation:
    """A campaign in which nothing is wrong without a mutant."""
    argv = ("mutate", "v6.12", "--json", str(out), *words)
    result = proc.run([sys.executable, "-m", "rig", *argv], check=False, deadline=3600)
    assert out.is_file(), result.stdout + result.stderr[-3000:]
    mutation = pydantic.TypeAdapter(Mutation).validate_json(out.read_bytes())
    assert mutation.clean_failures == ()
    return mutation


def campaign(out: Path, *words: str) -> Mutation:
    """All mutants on both architectures."""
    mutation = mutate(out, "--arch", ",".join(arch.standard()), *words)
    shelf = {entry.name for entry in mutant.load_all(Shelves.default().patches)}
    assert {(row.mutant, row.arch) for row in mutation.rows} == {
        (name, name_of_arch) for name in shelf for name_of_arch in arch.standard()
    }
    return mutation


def test_every_mutant_is_killed_by_a_case_that_names_it(tmp_path: Path) -> None:
    """Live, a race is not lost in every guest. A mutant that survives one gets a few more guests;
    the test below has the proof that does not depend on luck."""
    for row in campaign(tmp_path / "out.json").rows:
        if row.fate not in FINE:
            out = tmp_path / f"{row.mutant}-{row.arch}.json"
            words = ("--arch", row.arch, "--mutant", row.mutant, "--repeat", f"{CHANCES}")
            (again,) = mutate(out, *words).rows
            assert again.kills, f"{row} and {again}"


def test_every_mutant_is_killed_by_a_seed_that_the_clean_kernel_passes(tmp_path: Path) -> None:
    mutation = campaign(tmp_path / "out.json", "--seeds", "1..16")
    assert [row for row in mutation.rows if row.fate not in FINE] == []
    killed = {
        (row.arch, row.seed, kill.case)
        for row in mutation.rows
        if row.fate is Fate.KILLED
        for kill in row.kills
    }
    passed = {
        (result.machine.arch, result.provenance.request.seed, f"{suite_result.suite}/{case.name}")
        for result in mutation.clean
        for suite_result in result.suites
        for case in suite_result.cases
    }
    assert killed == passed and killed
