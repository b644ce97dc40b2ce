# SPDX-License-Identifier: GPL-2.0-only
"""What no other test boots: an architecture that is on request, by one case of its own kernel."""

import json
import sys
from pathlib import Path

import pytest

from rig import arch, proc
from rig.cli import requirements


@pytest.mark.parametrize("name", [name for name, one in arch.known().items() if one.on_request])
def test_a_guest_boots_and_runs_a_case(name: str, tmp_path: Path) -> None:
    wanted = requirements.missing(requirements.needs([arch.pick(name)]))
    if lacks := [need.package for need in wanted if not need.optional]:
        pytest.skip(f"no {', '.join(lacks)}: `rig doctor --fix --arch {name}` installs what lacks")
    words = ("run", "v6.12", "--arch", name, "--case", "reclaim/mlock_stays")
    argv = [sys.executable, "-m", "rig", *words, "--json", tmp_path / "out.json"]
    done = proc.run(argv, check=False, deadline=3600)
    assert done.status == 0, done.stdout + done.stderr[-3000:]
    (result,) = json.loads((tmp_path / "out.json").read_text())
    assert result["machine"]["arch"] == name
    ((case,),) = (suite["cases"] for suite in result["suites"])
    assert dict(case["counters"])["unlocked_gone"] > 0
