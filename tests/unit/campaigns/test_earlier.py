# SPDX-License-Identifier: GPL-2.0-only
"""What became of the failures of the revision before."""

from dataclasses import replace
from pathlib import Path

import pytest

from rig.campaigns import earlier, execute
from rig.campaigns.blame import with_blame
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec
from rig.guest.qemu import Accel, Machine
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.series import model
from rig.store import Store
from rig.verdict.blame import Earlier, Since, Tally
from rig.verdict.rules import CaseResult, Outcome, Owner, Trouble
from tests.unit import conftest
from tests.unit.conftest import TOP, of_revision, result

CASE = "stale_tlb/anon_lost_write"
SERIES = replace(
    model.load(TOP / "patches", "lazyfree-batched-unmap", 4, ""), name="unmap-batch", revision=3
)


def case(outcome: Outcome, name: str = "anon_lost_write", **rest: object) -> CaseResult:
    return conftest.case(name, outcome, "" if outcome is Outcome.PASS else "lost", **rest)


def ran(
    store: Store, number: int, *cases: CaseResult, arch: str = "x86_64", **rest: object
) -> Path:
    """A stored run of that revision."""
    directory = execute.new_directory(store, f"unmap-batch@v{number} on v6.12")
    stored = result(arch, cases, provenance=of_revision(number), **rest)
    execute.store_result(stored, directory / arch)
    return directory


def looked(store: Store, *cases: CaseResult, arch: str = "x86_64") -> tuple[Earlier, ...]:
    """The run of v3 says."""
    spec = RunSpec(
        request=Request(target="unmap-batch@v3"),
        tree=TreeSpec(base=Base(name="v6.12", commit="c0ffee", origin="a test"), series=SERIES),
        machine=Machine(arch=arch, accel=Accel.TCG),
    )
    directory = execute.new_directory(store, "unmap-batch@v3 on v6.12")
    now = result(arch, cases, provenance=of_revision(3))
    execute.store_result(now, directory / arch)
    (found,) = earlier.look(store, [spec], [now], directory)
    assert execute.load(directory / arch / execute.RESULT) == found
    return found.earlier


@pytest.mark.parametrize(
    ("now", "since"),
    [
        ((case(Outcome.PASS),), Since.GONE),
        ((case(Outcome.FAIL),), Since.STILL),
        ((case(Outcome.INCONCLUSIVE),), Since.UNKNOWN),
        ((case(Outcome.PASS, "other"),), Since.UNKNOWN),
        ((), Since.UNKNOWN),
    ],
)
def test_a_failure_is_looked_for_again(
    store: Store, now: tuple[CaseResult, ...], since: Since
) -> None:
    ran(store, 2, case(Outcome.FAIL), case(Outcome.PASS, "other"))
    (found,) = looked(store, *now)
    assert (found.revision, found.failure, found.since) == ("v2", CASE, since)


def test_without_a_failure_there_is_nothing_to_say(store: Store) -> None:
    assert looked(store, case(Outcome.PASS)) == ()
    ran(store, 2, case(Outcome.PASS))
    assert looked(store, case(Outcome.FAIL)) == ()


def test_the_newest_earlier_revision_counts(store: Store) -> None:
    """v1's failure was gone in v2 already; v4 comes later."""
    ran(store, 1, case(Outcome.FAIL))
    ran(store, 4, case(Outcome.FAIL))
    assert [found.revision for found in looked(store, case(Outcome.PASS))] == ["v1"]
    ran(store, 2, case(Outcome.PASS))
    assert looked(store, case(Outcome.PASS)) == ()


def test_the_newest_run_of_a_case_counts(store: Store) -> None:
    """A later run of another case does not make it pass."""
    ran(store, 2, case(Outcome.FAIL))
    ran(store, 2, case(Outcome.PASS, "other"))
    assert [found.failure for found in looked(store, case(Outcome.PASS))] == [CASE]
    ran(store, 2, case(Outcome.PASS))
    assert looked(store, case(Outcome.PASS)) == ()


def test_another_architecture_says_nothing(store: Store) -> None:
    ran(store, 2, case(Outcome.FAIL), arch="arm64")
    assert looked(store, case(Outcome.PASS)) == ()
    assert len(looked(store, case(Outcome.PASS), arch="arm64")) == 1


def test_what_the_base_has_too_was_not_its_failure(store: Store) -> None:
    directory = ran(store, 2, case(Outcome.FAIL))
    path = directory / "x86_64"
    execute.store_result(with_blame(execute.load(path / execute.RESULT), (THERE,)), path)
    assert looked(store, case(Outcome.PASS)) == ()


THERE = replace(conftest.THERE, shows=("not ok",))


def test_a_race_says_how_often_it_failed(store: Store) -> None:
    """One run that passes proves little."""
    directory = ran(store, 2, case(Outcome.FAIL))
    path = directory / "x86_64"
    rare = replace(conftest.INTRODUCED, shows=("not ok",), series=Tally(failed=3, runs=20))
    execute.store_result(with_blame(execute.load(path / execute.RESULT), (rare,)), path)
    (found,) = looked(store, case(Outcome.PASS))
    assert (found.since, found.counts) == (Since.GONE, "failed in 3 of 20 runs then, in 0 of 1 now")


def test_a_build_that_failed_builds_now(store: Store) -> None:
    no = Trouble(owner=Owner.SERIES, reason="it does not compile")
    directory = execute.new_directory(store, "unmap-batch@v2 on v6.12")
    origin = replace(of_revision(2), build="")
    failed = result(trouble=no, provenance=origin, boot_seconds=0.0)
    execute.store_result(failed, directory / "x86_64")
    (found,) = looked(store, case(Outcome.PASS))
    assert (found.failure, found.since) == ("the build", Since.GONE)


def test_a_damaged_run_does_not_end_this_one(store: Store) -> None:
    ran(store, 2, case(Outcome.FAIL))
    (ran(store, 2, case(Outcome.FAIL)) / "x86_64" / execute.RESULT).write_text("{")
    assert [found.failure for found in looked(store, case(Outcome.PASS))] == [CASE]


def test_results_without_these_fields_are_read(store: Store) -> None:
    """Runs that were stored before."""
    directory = ran(store, 2, case(Outcome.FAIL))
    path = directory / "x86_64" / execute.RESULT
    old = path.read_text().replace(',\n "blame": [],\n "earlier": []', "")
    assert "blame" not in old.replace('"blame": true', "")
    path.write_text(old.replace(',\n   "blame": true', ""))
    loaded: RunResult = execute.load(path)
    assert (loaded.blame, loaded.earlier) == ((), ())
