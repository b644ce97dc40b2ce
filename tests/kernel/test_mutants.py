# SPDX-License-Identifier: GPL-2.0-only
"""The suites can fail: every mutant, on both architectures, from one instrumented build each."""

import sys
from pathlib import Path

import pydantic

from rig import arch, proc
from rig.campaigns.fates import Fate
from rig.campaigns.mutation import Mutation
from rig.kernel import mutant
from rig.shelves import Shelves

FINE = {Fate.KILLED, Fate.EQUIVALENT, Fate.NOT_APPLICABLE}


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


def test_every_mutant_is_killed_by_each_case_that_names_it(tmp_path: Path) -> None:
    """Live, a race is not lost in every guest, and the campaign gives such a case a few more; the
    test below has the proof that does not depend on luck."""
    check(campaign(tmp_path / "out.json"))


def test_every_mutant_is_killed_by_seeds_that_the_clean_kernel_passes(tmp_path: Path) -> None:
    mutation = campaign(tmp_path / "out.json", "--seeds", "1..16")
    check(mutation)
    killed = {
        (row.arch, kill.seed, case.case)
        for row in mutation.rows
        for case in row.cases
        for kill in case.kills
    }
    passed = {
        (result.machine.arch, result.provenance.request.seed, f"{suite_result.suite}/{case.name}")
        for result in mutation.clean
        for suite_result in result.suites
        for case in suite_result.cases
    }
    assert killed == passed and killed


def check(mutation: Mutation) -> None:
    """Every case that is named kills, one by one."""
    shelf = {entry.name: entry for entry in mutant.load_all(Shelves.default().patches)}
    assert [row for row in mutation.rows if row.fate not in FINE] == []
    for row in mutation.rows:
        killing = {case.case for case in row.cases if case.fate is Fate.KILLED and case.kills}
        assert killing == (set(shelf[row.mutant].killed_by) if row.cases else set()), row
