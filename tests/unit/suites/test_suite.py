# SPDX-License-Identifier: GPL-2.0-only
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rig.errors import ConfigError, GuestLost, InfraError
from rig.guest.boot import Ran
from rig.suites import suite
from rig.suites.suite import Case, Selection, Suite
from rig.verdict.rules import Floor, Outcome

STALE = suite.pick("stale_tlb")
CASE = Case(
    name="anon_lost_write",
    guards="a rule",
    iterations=40,
    floors=(Floor(counter="writes", at_least=100),),
    deadline=7,
)
SUITE = Suite(name="stale_tlb", summary="", cases=(CASE,))


class FakeGuest:
    """What a case sees of a guest; what a real one does is in tests/boot."""

    def __init__(self, said: str | Exception, status: int = 0) -> None:
        self.said, self.status = said, status
        self.machine = SimpleNamespace(cpus=4)
        self.lost: GuestLost | None = None
        self.asked: list[tuple[str, float]] = []

    def run(self, command: str, *, deadline: float) -> Ran:
        self.asked.append((command, deadline))
        if isinstance(self.said, Exception):
            raise self.said
        return Ran(command=command, status=self.status, stdout=self.said, stderr="", seconds=1.234)


def ran(guest: FakeGuest, **rest: Any) -> Any:
    return suite.run_case(guest, SUITE, CASE, **rest)  # type: ignore[arg-type]


def ktap(result: str, *diagnostics: str) -> str:
    return "".join(f"{line}\n" for line in ("KTAP version 1", "1..1", *diagnostics, result))


def test_a_case_is_run_and_judged() -> None:
    guest = FakeGuest(ktap("ok 1 anon_lost_write", "# counter writes 1400"))
    result = ran(guest, seed=7)
    assert guest.asked == [("stale_tlb anon_lost_write --iterations 40 --seed 7 --cpus 4", 7)]
    assert (result.outcome, result.counters) == (Outcome.PASS, (("writes", 1400),))
    assert result.seconds == 1.23


def test_the_floors_are_the_cases_own() -> None:
    result = ran(FakeGuest(ktap("ok 1 anon_lost_write", "# counter writes 12")))
    assert (result.outcome, result.reason) == (
        Outcome.INCONCLUSIVE,
        "writes 12, at least 100 needed",
    )


def test_a_failure_has_its_evidence() -> None:
    said = ktap("not ok 1 anon_lost_write", "# counter writes 1400", "# evidence page 17: lost")
    result = ran(FakeGuest(said, 1))
    assert (result.outcome, result.evidence) == (Outcome.FAIL, ("page 17: lost",))


def test_the_exit_status_counts() -> None:
    said = ktap("ok 1 anon_lost_write", "# counter writes 1400")
    assert ran(FakeGuest(said, 1)).outcome is Outcome.BROKEN


def test_a_guest_lost_meanwhile_is_the_cases_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((100.0, 102.5))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    result = ran(FakeGuest(GuestLost("BUG: KASAN: use-after-free")))
    assert result.seconds == 2.5, "how long it took is known"
    assert (result.outcome, result.reason) == (Outcome.FAIL, "BUG: KASAN: use-after-free")


def test_a_guest_lost_before_is_the_first_causes() -> None:
    guest = FakeGuest("")
    guest.lost = GuestLost("BUG: KASAN: use-after-free")
    result = ran(guest)
    assert guest.asked == []
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.reason == "not run: BUG: KASAN: use-after-free"


def test_trouble_of_the_rig_is_no_result() -> None:
    with pytest.raises(InfraError):
        ran(FakeGuest(InfraError("QEMU was killed by signal 9")))


# Selections


ALL = tuple(suite.standard())


@pytest.mark.parametrize(
    ("suites", "cases", "selected"),
    [
        ([], [], [(name, ()) for name in ALL]),
        (["stale_tlb"], [], [("stale_tlb", ())]),
        (["reclaim", "stale_tlb"], [], [("reclaim", ()), ("stale_tlb", ())]),
        (["stale_tlb", "stale_tlb"], [], [("stale_tlb", ())]),
        ([], ["anon_lost_write"], [("stale_tlb", ("anon_lost_write",))]),
        ([], ["stale_tlb/anon_lost_write"], [("stale_tlb", ("anon_lost_write",))]),
        (
            [],
            ["reclaim/anon_roundtrip", "anon_lost_write"],
            [("reclaim", ("anon_roundtrip",)), ("stale_tlb", ("anon_lost_write",))],
        ),
        (["stale_tlb", "reclaim"], ["anon_lost_write"], [("stale_tlb", ("anon_lost_write",))]),
    ],
)
def test_selections(
    suites: list[str], cases: list[str], selected: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = suite.select(suites, cases)
    assert found == tuple(Selection(suite=name, cases=chosen) for name, chosen in selected)


@pytest.mark.parametrize(
    ("suites", "cases", "complaint", "near"),
    [
        (["stale_tbl"], [], "no suite named 'stale_tbl'", "stale_tlb"),
        ([], ["anon_lost_wirte"], "no case named 'anon_lost_wirte'", "anon_lost_write"),
        ([], ["stale_tlb/anon_roundtrip"], "no case named", "reclaim/anon_roundtrip"),
        (["stale_tlb"], ["anon_roundtrip"], "no case named 'anon_roundtrip'", "anon_lost_write"),
        (["stale_tlb/anon_lost_write"], [], "no suite named", "stale_tlb"),
    ],
)
def test_names_that_are_none(
    suites: list[str], cases: list[str], complaint: str, near: str
) -> None:
    with pytest.raises(ConfigError, match=complaint) as bad:
        suite.select(suites, cases)
    assert near in bad.value.hint


def test_the_cases_of_a_selection() -> None:
    assert suite.cases_of(Selection(suite="stale_tlb")) == STALE.cases
    (one,) = suite.cases_of(Selection(suite="stale_tlb", cases=("anon_lost_write",)))
    assert one.name == "anon_lost_write"


# What the suites declare


@pytest.mark.parametrize("one", suite.standard().values(), ids=suite.standard())
def test_a_suite_says_what_it_guards_and_what_is_enough(one: Suite) -> None:
    assert one.summary
    assert one.cases
    assert len({case.name for case in one.cases}) == len(one.cases)
    assert one.directory.is_dir()
    assert list(one.directory.glob("*.c")), "its program"
    for case in one.cases:
        assert case.guards
        assert case.floors, f"{case.name}: without a floor nothing is ever PASS (outcome rule 3)"
        assert case.iterations > 0
        assert case.deadline > 0


def test_what_is_promised_is_said_to_the_program() -> None:
    promised = replace(CASE, promised=("a_suite/one", "another/two"))
    words = suite.command(SUITE, promised, seed=1, cpus=4)
    assert words[-2:] == ("--promised", "one+two")
    assert "--promised" not in suite.command(SUITE, CASE, seed=1, cpus=4)
