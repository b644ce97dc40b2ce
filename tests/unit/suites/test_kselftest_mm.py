# SPDX-License-Identifier: GPL-2.0-only
"""The suite of the tree's own selftests: its lists, and how a program is run."""

from types import SimpleNamespace
from typing import Any

import pytest

from rig import arch
from rig.errors import GuestLost
from rig.guest.boot import Ran
from rig.suites import kselftest_mm, suite
from rig.verdict import kselftest
from rig.verdict.floors import Floor
from rig.verdict.kselftest import OUT_OF_TIME, PASSED
from rig.verdict.rules import Outcome
from rig.version import KernelVersion

SUITE = kselftest_mm.SUITE
LISTS = sorted(kselftest_mm.KNOWN.glob("*.toml"))


class FakeGuest:
    """Answers `uname -r`, and any script with `stdout`; tests/boot has the real guest."""

    def __init__(self, stdout: str, status: int, release: str = "6.12.117-rig") -> None:
        self.stdout, self.status, self.release = stdout, status, release
        self.machine = SimpleNamespace(arch="x86_64", patience=6)
        self.lost: GuestLost | None = None
        self.commands: list[str] = []

    def run(self, command: str, *, deadline: float = 60) -> Ran:
        self.commands.append(command)
        uname = command == "uname -r"
        return Ran(
            command=command,
            status=0 if uname else self.status,
            stdout=f"{self.release}\n" if uname else self.stdout,
            stderr="",
            seconds=1.234,
        )


def run(case: str, stdout: str, status: int = 0, **rest: Any) -> tuple[Any, FakeGuest]:
    guest = FakeGuest(stdout, status, **rest)
    selected = next(each for each in SUITE.cases if each.name == case)
    return suite.run_case(guest, SUITE, selected), guest  # type: ignore[arg-type]


def test_it_is_run_only_on_request() -> None:
    assert SUITE.name in suite.known()
    assert SUITE.name not in suite.standard()
    assert SUITE.name not in {selection.suite for selection in suite.select([], [])}
    assert [selection.suite for selection in suite.select([SUITE.name], [])] == [SUITE.name]
    (selection,) = suite.select([], [f"{SUITE.name}/cow"])
    assert (selection.suite, selection.cases) == (SUITE.name, ("cow",))


def test_every_case_has_a_program_a_floor_and_a_rule() -> None:
    for case in SUITE.cases:
        assert case.guards and case.command and case.deadline > 0
        assert case.floors[0] == Floor(counter=PASSED, at_least=1)
    assert len({case.name for case in SUITE.cases}) == len(SUITE.cases)
    assert SUITE.config.is_file()


def test_a_program_that_is_left_out_is_no_case_and_has_a_reason() -> None:
    programs = {kselftest_mm.program_of(case) for case in SUITE.cases}
    assert not programs & set(kselftest_mm.LEFT_OUT)
    assert all(why.strip() for why in kselftest_mm.LEFT_OUT.values())


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_the_lists_of_known_failures_can_be_read(path: Any) -> None:
    assert KernelVersion.parse(path.stem).base == path.stem, "named after a base"
    names = [case.name for case in SUITE.cases]
    assert kselftest.load(path.read_text(), path.name, names, arch.known())


def test_there_is_a_list_for_each_base_that_must_work() -> None:
    assert {"v6.12", "v7.2"} <= {path.stem for path in LISTS}


def test_a_case_is_run_as_the_tree_runs_it() -> None:
    result, guest = run("uffd-stress_anon", "done\n")
    assert result.outcome is Outcome.PASS
    assert (result.name, result.seconds) == ("uffd-stress_anon", 1.23)
    uname, script = guest.commands
    assert uname == "uname -r"
    assert "timeout -s KILL 240 uffd-stress anon 20 4 >output 2>&1\n" in script


def test_known_failures_depend_on_the_base_and_the_architecture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    text = '[[known]]\ncase = "cow"\nresult = "b"\nwhy = "w"\non = ["x86_64"]\n'
    (tmp_path / "v6.12.toml").write_text(text)
    monkeypatch.setattr(kselftest_mm, "KNOWN", tmp_path)
    stdout = "TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n"
    assert run("cow", stdout, 1)[0].outcome is Outcome.PASS
    assert run("cow", stdout, 1, release="7.2.0-rig")[0].outcome is Outcome.FAIL
    assert run("merge", stdout, 1)[0].outcome is Outcome.FAIL
    (tmp_path / "v6.12.toml").write_text(text.replace("x86_64", "arm64"))
    assert run("cow", stdout, 1)[0].outcome is Outcome.FAIL


def test_a_program_that_does_not_end_fails_and_the_guest_is_kept() -> None:
    result, guest = run("cow", "TAP version 13\n1..2\nok 1 a\n", OUT_OF_TIME)
    assert (result.outcome, guest.lost) == (Outcome.FAIL, None)
    assert result.reason == "cow: did not end in time, after 1 of 2 results"
