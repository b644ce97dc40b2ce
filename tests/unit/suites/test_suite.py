# SPDX-License-Identifier: GPL-2.0-only
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rig.errors import ConfigError, GuestLost, InfraError
from rig.guest.boot import Ran
from rig.suites import suite
from rig.suites.suite import Case, Selection, Suite
from rig.verdict.floors import Floor
from rig.verdict.rules import Outcome

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
    """Answers every command with `answer`, or raises it; tests/boot has the real guest."""

    def __init__(self, answer: str | Exception, status: int = 0) -> None:
        self.answer, self.status = answer, status
        self.machine = SimpleNamespace(cpus=4)
        self.lost: GuestLost | None = None
        self.commands: list[tuple[str, float]] = []

    def run(self, command: str, *, deadline: float) -> Ran:
        self.commands.append((command, deadline))
        if isinstance(self.answer, Exception):
            raise self.answer
        return Ran(
            command=command, status=self.status, stdout=self.answer, stderr="", seconds=1.234
        )


def run(guest: FakeGuest, **rest: Any) -> Any:
    return suite.run_case(guest, SUITE, CASE, **rest)  # type: ignore[arg-type]


def ktap(result: str, *diagnostics: str) -> str:
    return "".join(f"{line}\n" for line in ("KTAP version 1", "1..1", *diagnostics, result))


def test_a_case_is_run_and_judged() -> None:
    guest = FakeGuest(ktap("ok 1 anon_lost_write", "# counter writes 1400"))
    result = run(guest, seed=7)
    assert guest.commands == [("stale_tlb anon_lost_write --iterations 40 --seed 7 --cpus 4", 7)]
    assert (result.outcome, result.counters) == (Outcome.PASS, (("writes", 1400),))
    assert result.seconds == 1.23


def test_the_floors_are_the_cases_own() -> None:
    result = run(FakeGuest(ktap("ok 1 anon_lost_write", "# counter writes 12")))
    assert (result.outcome, result.reason) == (
        Outcome.INCONCLUSIVE,
        "writes 12, at least 100 needed",
    )


def test_a_failure_has_its_evidence() -> None:
    output = ktap("not ok 1 anon_lost_write", "# counter writes 1400", "# evidence page 17: lost")
    result = run(FakeGuest(output, 1))
    assert (result.outcome, result.evidence) == (Outcome.FAIL, ("page 17: lost",))


def test_the_exit_status_counts() -> None:
    output = ktap("ok 1 anon_lost_write", "# counter writes 1400")
    assert run(FakeGuest(output, 1)).outcome is Outcome.BROKEN


def test_a_guest_lost_during_a_case_fails_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((100.0, 102.5))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    result = run(FakeGuest(GuestLost("BUG: KASAN: use-after-free")))
    assert result.seconds == 2.5, "the time until the loss is kept"
    assert (result.outcome, result.reason) == (Outcome.FAIL, "BUG: KASAN: use-after-free")


def test_a_case_after_the_loss_is_not_run_and_has_the_first_cause() -> None:
    guest = FakeGuest("")
    guest.lost = GuestLost("BUG: KASAN: use-after-free")
    result = run(guest)
    assert guest.commands == []
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.reason == "not run: BUG: KASAN: use-after-free"


def test_an_error_of_the_rig_is_no_result() -> None:
    with pytest.raises(InfraError):
        run(FakeGuest(InfraError("QEMU was killed by signal 9")))


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
    selections = suite.select(suites, cases)
    assert selections == tuple(Selection(suite=name, cases=chosen) for name, chosen in selected)


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
def test_unknown_names(suites: list[str], cases: list[str], complaint: str, near: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as bad:
        suite.select(suites, cases)
    assert near in bad.value.hint


def test_the_cases_of_a_selection() -> None:
    assert suite.cases_of(Selection(suite="stale_tlb")) == STALE.cases
    (case,) = suite.cases_of(Selection(suite="stale_tlb", cases=("anon_lost_write",)))
    assert case.name == "anon_lost_write"


# What the suites declare


@pytest.mark.parametrize("declared", suite.standard().values(), ids=suite.standard())
def test_a_suite_declares_its_rules_and_floors(declared: Suite) -> None:
    assert declared.summary
    assert declared.cases
    assert len({case.name for case in declared.cases}) == len(declared.cases)
    assert declared.directory.is_dir()
    assert list(declared.directory.glob("*.c")), "its program"
    for case in declared.cases:
        assert case.guards
        assert case.floors, f"{case.name}: without a floor nothing is ever PASS (outcome rule 3)"
        assert case.iterations > 0
        assert case.deadline > 0


def test_promises_are_passed_to_the_program() -> None:
    promised = replace(CASE, promised=("a_suite/one", "another/two"))
    words = suite.command(SUITE, promised, seed=1, cpus=4)
    assert words[-2:] == ("--promised", "one+two")
    assert "--promised" not in suite.command(SUITE, CASE, seed=1, cpus=4)


FIXED = re.compile(
    r"\bPAGE_S(?:IZE|HIFT)\b|>> 1[23]\b|<< 1[2346]\b|\(?\d+(?:UL|U)? << [12]0\)?|hugepages-\d+kB"
    r"|\b(?:4096|65536)\b|_kb\[\] = \{[^}(]*\b[1-9]"
)
"""What takes a page to have 4 KiB, or memory to have so many pages: C for it is page_size()."""
NO_PAGES = (
    *("clock.c", "ktap.c", "disk.c", "rng.h", "undo.c", "guest.c", "dirty.c"),
    *("static char text[65536]", "char text[4096]", "page_size() == 4096"),
    *(
        "STACK_BYTES",
        "BALLAST_BYTES_MAX",
        "set_file(MIN_FREE",
        "pages = 4096",
        "REGION_PAGES	4096",
    ),
    "pfn << 12 | BIT(0) | BIT(1) | BIT(2) | BIT(11)",  # x86_64's PTE
)
"""Files and lines in which a number of this kind is not of pages of a region."""


def fixed(name: str, text: str) -> list[str]:
    """The lines of a C file that assume pages of 4 KiB."""
    code = re.sub(r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)
    return [
        f"{name}:{number}: {line.strip()}"
        for number, line in enumerate(code.splitlines(), 1)
        if FIXED.search(line) and not any(part == name or part in line for part in NO_PAGES)
    ]


@pytest.mark.parametrize(
    "line",
    [
        "#define REGION_BYTES	(4UL << 20)",
        "static void *address[REGION_BYTES >> 12];",
        "static const unsigned int sizes_kb[] = { 0, 64, 2048 };",
        '#define SWITCH "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled"',
        "for (offset = 0; offset < bytes; offset += 4096)",
    ],
)
def test_an_assumption_of_4_kib_pages_is_seen(line: str) -> None:
    assert fixed("x.c", f"/* {line} */\n{line}\n") == [f"x.c:2: {line.strip()}"]


def test_no_program_assumes_pages_of_4_kib() -> None:
    files = Path(suite.__file__).parent.glob("*/*.[ch]")
    assert [line for path in sorted(files) for line in fixed(path.name, path.read_text())] == []
