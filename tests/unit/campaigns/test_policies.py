# SPDX-License-Identifier: GPL-2.0-only
"""tests/simulated/: the other tools, coded again, and the tables."""

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "simulated"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"simulated_{name}", SCRIPTS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def policies() -> ModuleType:
    return script("policies")


@pytest.fixture(scope="module")
def blame() -> ModuleType:
    return script("blame")


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


def test_a_prior_by_files_needs_fewer_guests_if_it_is_right(policies: ModuleType) -> None:
    both = {
        "plain": lambda size, fails: policies.rig(size, fails, 10.0),
        "files": lambda size, fails: policies.rig_files(size, fails, 10.0, 0.1),
    }
    rows = policies.compare(
        both, size=127, bad=0.3, good=0.0, trials=range(10), touched=0.1, among=1.0
    )
    assert rows["files"].right == 10
    assert sum(rows["files"].guests) < sum(rows["plain"].guests)


# Blame


@pytest.mark.parametrize("patches", [3, 8])
def test_each_patch_is_blamed_for_what_it_did(blame: ModuleType, patches: int) -> None:
    for culprit in range(1, patches + 1):
        world = blame.World(patches=patches, culprit=culprit, bad=1.0)
        found, guests, kernels = blame.blamed(world, random.Random(culprit))
        assert blame.judged(found, world) == "named"
        assert guests < 30 and kernels <= 6


def test_the_base_is_not_taken_for_the_series(blame: ModuleType) -> None:
    world = blame.World(patches=4, culprit=0, bad=0.5)
    said = [blame.judged(blame.blamed(world, random.Random(n))[0], world) for n in range(10)]
    assert {*said} <= {"named", "undecided"}


def test_few_runs_do_not_name_one_patch(blame: ModuleType) -> None:
    """A long case in a race: the runs are used up before it is one patch."""
    said = list[str]()
    for number in range(30):
        chance = random.Random(number)
        world = blame.World(patches=8, culprit=chance.randint(1, 8), bad=0.25, guest=50.0)
        said.append(blame.judged(blame.blamed(world, chance)[0], world))
    assert said.count("wrong") <= 1
    assert said.count("several") >= 3
