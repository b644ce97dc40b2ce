# SPDX-License-Identifier: GPL-2.0-only
"""The suites can fail: every mutant, on both architectures, from one instrumented build each."""

import sys
from pathlib import Path

import pydantic

from rig import arch, mutant, proc
from rig.mutation import Fate, Mutation
from rig.run import Shelves


def test_every_mutant_is_killed_by_a_case_that_names_it(tmp_path: Path) -> None:
    words = ("--arch", ",".join(arch.known()), "--json", str(tmp_path / "out.json"))
    argv = [sys.executable, "-m", "rig", "mutate", "v6.12", *words]
    done = proc.run(argv, check=False, deadline=3600)
    assert done.status == 0, done.stdout + done.stderr[-3000:]
    found = pydantic.TypeAdapter(Mutation).validate_json((tmp_path / "out.json").read_bytes())
    assert found.clean_failures == ()
    assert {row.fate for row in found.rows} <= {Fate.KILLED, Fate.EQUIVALENT, Fate.NOT_APPLICABLE}
    shelf = {one.name for one in mutant.load_all(Shelves.default().patches)}
    assert {(row.mutant, row.arch) for row in found.rows} == {
        (name, one) for name in shelf for one in arch.known()
    }
