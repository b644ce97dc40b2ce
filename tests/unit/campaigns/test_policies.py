# SPDX-License-Identifier: GPL-2.0-only
"""tests/simulated/policies.py: the other tools, coded again, and the table."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "simulated" / "policies.py"


@pytest.fixture(scope="module")
def policies() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulated_policies", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["git", "kci", "syzkaller"])
def test_each_tool_finds_a_deterministic_culprit(policies: ModuleType, name: str) -> None:
    for culprit in range(31):
        found, _, builds = getattr(policies, name)(31, lambda commit, at=culprit: commit >= at)
        assert found == culprit
        assert builds <= 6


def test_a_race_misleads_git_and_not_the_rig(policies: ModuleType) -> None:
    both = {"git": policies.git, "rig": lambda size, fails: policies.rig(size, fails, 10.0)}
    rows = policies.compare(both, size=127, bad=0.3, good=0.0, trials=range(15))
    assert rows["git"].right <= 5
    assert rows["rig"].right >= 14
    assert "right" in str(rows["rig"])


def test_syzkaller_gives_up_where_a_failure_is_rare(policies: ModuleType) -> None:
    rows = policies.compare(
        {"syzkaller": policies.syzkaller}, size=127, bad=0.05, good=0.0, trials=range(30)
    )
    assert rows["syzkaller"].given_up >= 15
