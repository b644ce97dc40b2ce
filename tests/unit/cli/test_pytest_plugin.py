# SPDX-License-Identifier: GPL-2.0-only
"""pytest sessions inside this one, on guests of the tests' own."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest

from rig.campaigns import execute, pipeline, request
from rig.campaigns.options import Request
from rig.campaigns.results import Prepared, RunResult, RunSpec
from rig.cli import session
from rig.context import Context
from rig.errors import BootError, BuildError, GuestLost, InfraError
from rig.guest.qemu import Machine
from rig.series import model
from rig.store import Store
from rig.suites import suite
from rig.suites.suite import Case, Suite
from rig.verdict.rules import CaseResult, Outcome, Shows
from tests.unit.conftest import TOP, case, result

pytest_plugins = ("pytester",)

SUITES = ("-p", "no:cacheprovider", "--pyargs", "rig.suites")
SOME = ("-k", "anon_lost_write[x86 or anon_roundtrip[x86")
CASES = [f"{one.name}/{case.name}" for one in suite.standard().values() for case in one.cases]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch, prepared: Prepared, tmp_path: Path) -> list[Request]:
    """What the sessions ask for; everything is prepared without work."""
    requests: list[Request] = []

    def specs(context: Context, sent: Request) -> tuple[RunSpec, ...]:
        requests.append(sent)
        machine = prepared.spec.machine
        return tuple(replace(prepared.spec, machine=replace(machine, arch=a)) for a in sent.arch)

    monkeypatch.setenv("RIG_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(request, "specs", specs)
    monkeypatch.setattr(pipeline, "prepare", lambda context, spec: replace(prepared, spec=spec))
    return requests


def test_every_case_of_every_suite_is_an_item(pytester: pytest.Pytester) -> None:
    ran = pytester.runpytest_inprocess(*SUITES, "--collect-only", "-q", "--arch", "x86_64,aarch64")
    assert ran.ret == 0
    items = [
        line.rsplit("/suites/", 1)[-1].replace("/__init__.py::", "/")
        for line in ran.outlines
        if "[" in line
    ]
    expected = [f"{case}[{arch}]" for arch in ("x86_64", "arm64") for case in CASES]
    assert sorted(items) == sorted(expected)


def test_one_suite_can_be_named(pytester: pytest.Pytester) -> None:
    ran = pytester.runpytest_inprocess("--pyargs", "rig.suites.stale_tlb", "--collect-only", "-q")
    names = [case.name for case in suite.pick("stale_tlb").cases]
    assert [line.split("::")[-1] for line in ran.outlines if "[" in line] == [
        f"{name}[x86_64]" for name in names
    ]


@pytest.mark.parametrize("directory", ["inside", "a b, (c) [d]"])
def test_the_id_of_a_failure_can_be_pasted_back(
    pytester: pytest.Pytester,
    requests: list[Request],
    boots: Callable[..., list[Machine]],
    monkeypatch: pytest.MonkeyPatch,
    directory: str,
) -> None:
    """Also from a directory below pytest's rootdir, and of a suite that runs on request only."""
    boots({"cow": "not ok", "anon_lost_write": "not ok", "true": GuestLost("gone")})
    pytester.makeini("[pytest]")
    pytester.makepyfile("def test_mine(guest): guest.run('true', deadline=5)")
    (pytester.path / directory).mkdir()
    monkeypatch.chdir(pytester.path / directory)
    words = ("-p", "no:cacheprovider", "--color=no", "--arch", "x86_64,arm64")
    mine = os.path.relpath(*pytester.path.glob("test_*.py"))
    for selected in (
        ("--pyargs", "rig.suites", "-k", "anon_lost_write[arm"),
        ("--pyargs", "rig.suites.stale_tlb", "-k", "anon_lost_write[x86"),
        ("--pyargs", "rig.suites.kselftest_mm", "-k", "cow[x86"),
        (mine, "-k", "arm64"),
    ):
        ran = pytester.runpytest_inprocess(*words, *selected)
        (line,) = [line for line in ran.outlines if re.match("(FAILED|ERROR) ", line)]
        shown = line.split(" ", 1)[1].split(" - ")[0]
        again = pytester.runpytest_inprocess(*words, "-v", shown)
        outcomes = again.parseoutcomes()
        assert "deselected" not in outcomes and sum(outcomes.values()) == 1, again.outlines
        assert f"{shown} " in again.stdout.str()


def test_a_suite_on_request_is_collected_and_run_where_it_is_named(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    named = suite.pick("kselftest_mm")
    boots({case.name: GuestLost("enough") for case in named.cases} | {"-r": GuestLost("enough")})
    ran = pytester.runpytest_inprocess("--pyargs", f"rig.suites.{named.name}", "-x")
    assert ran.parseoutcomes() == {"failed": 1}
    (sent,) = requests
    assert sent.suites == (*suite.standard(), named.name)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--series", "batch-dirty-tlb-flsh"], "did you mean batch-dirty-tlb-flush?"),
        (["--series", "batch-dirty-tlb-flush", "--revision", "v9"], "named 'v9'"),
        (["--series", "batch-dirty-tlb-flush", "--revision", "9"], "has no revision '9'"),
        (["--revision", "v2"], "--revision v2 needs a series"),
        (["--arch", "amr64"], "did you mean arm64 or riscv64?"),
        (["--base", "v6.1x"], "no series named 'v6.1x'"),
        (["--mutant", "no-remote-flash"], "did you mean no-remote-flush"),
        (["--flavour", "debgu"], "did you mean debug?"),
        (["--tree", "/gone"], "--tree /gone: there is no such directory"),
        (["--accel", "kmv"], "invalid choice: 'kmv'"),
    ],
)
def test_a_name_that_is_none_is_a_usage_error(
    pytester: pytest.Pytester, words: list[str], complaint: str
) -> None:
    ran = pytester.runpytest_inprocess(*SUITES, *words)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert complaint in "\n".join(ran.errlines)
    assert "Traceback" not in "\n".join([*ran.errlines, *ran.outlines])


def test_other_peoples_sessions_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_x(): pass")
    ran = pytester.runpytest_inprocess()
    ran.assert_outcomes(passed=1)


def outcomes(pytester: pytest.Pytester, *words: str) -> tuple[dict[str, int], str]:
    ran = pytester.runpytest_inprocess(*SUITES, *words)
    return ran.parseoutcomes(), "\n".join(ran.outlines)


def test_a_session_passes_and_is_stored(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    booted = boots()
    counts, output = outcomes(pytester, *SOME)
    assert counts == {"passed": 2, "deselected": len(CASES) - 2}, output
    assert len(booted) == 1, "one guest for the session"
    assert requests == [Request(target="v6.12")]
    (directory,) = execute.runs(Store.default())
    assert directory.name.endswith("-pytest-v6.12")
    (result,) = execute.load_all(directory)
    assert result.verdict.outcome is Outcome.PASS
    assert {one.suite for one in result.suites} == {"reclaim", "stale_tlb"}
    assert (directory / "x86_64" / "kernel.config").is_file()


def test_a_seeded_session_boots_a_guest_for_each_case(
    pytester: pytest.Pytester,
    requests: list[Request],
    boots: Callable[..., list[Machine]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    booted, ran = boots(), []

    def seeded_case(prepared: Prepared, suite: Suite, case: Case, directory: Path) -> CaseResult:
        ran.append((case.name, directory.name))
        return CaseResult(name=case.name, outcome=Outcome.PASS, reason="", digest="d")

    monkeypatch.setattr(pipeline, "seeded_case", seeded_case)
    counts, output = outcomes(pytester, "--schedule", "seeded", "--seed", "7", *SOME)
    assert counts["passed"] == len(ran), output
    assert ("anon_lost_write", "stale_tlb.anon_lost_write") in ran
    assert booted == []
    assert requests == [Request(target="v6.12", schedule="seeded", seed=7)]
    (result,) = execute.load_all(execute.find(Store.default()))
    assert {case.digest for one in result.suites for case in one.cases} == {"d"}


def test_what_is_asked_for_arrives(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    boots()
    words = ("--series", "batch-dirty-tlb-flush", "--revision", "v1", "--base", "v7.2")
    counts, output = outcomes(
        pytester, *words, "--arch", "arm64", "--accel", "tcg", "--flavour", "debug",
        "--mutant", "no-remote-flush", "-k", "anon_lost_write[",
    )  # fmt: skip
    assert requests == [
        Request(
            target="batch-dirty-tlb-flush@v1", base="v7.2", arch=("arm64",), accel="tcg",
            flavour="debug", mutant="no-remote-flush",
        )
    ], output  # fmt: skip
    assert counts["deselected"] == len(CASES) - 1


@pytest.mark.parametrize(
    ("says", "kind", "shown"),
    [
        ("not ok", "failed", "page 17: lost"),
        (GuestLost("BUG: KASAN: use-after-free"), "failed", "BUG: KASAN: use-after-free"),
        ("KTAP version 1\n1..1\nok 1 anon_lost_write # SKIP no swap\n", "skipped", "no swap"),
        ("KTAP version 1\n1..1\nBail out! no cgroup\n", "errors", "BROKEN: the program bailed"),
        ("", "errors", "BROKEN"),
        (InfraError("QEMU was killed by signal 9"), "errors", "QEMU was killed by signal 9"),
    ],
    ids=["fail", "lost", "skip", "bail-out", "nothing", "rig"],
)
def test_outcomes_are_pytests(
    pytester: pytest.Pytester,
    requests: list[Request],
    boots: Callable[..., list[Machine]],
    says: Any,
    kind: str,
    shown: str,
) -> None:
    boots({"anon_lost_write": says})
    counts, output = outcomes(pytester, "-k", "anon_lost_write[", "-rA")
    assert counts == {kind: 1, "deselected": len(CASES) - 1}, output
    assert shown in output
    assert "def setup" not in output, "what was seen, not where in the plugin it was raised"


def test_too_little_is_neither_a_pass_nor_silently_skipped(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    case = suite.pick("stale_tlb").cases[0]
    lines = [f"# counter {floor.counter} {floor.at_least - 1}" for floor in case.floors]
    output = "\n".join(["KTAP version 1", "1..1", *lines, f"ok 1 {case.name}", ""])
    boots({case.name: output})
    counts, shown = outcomes(pytester, "-k", f"{case.name}[")
    assert counts == {"errors": 1, "deselected": len(CASES) - 1}
    assert "INCONCLUSIVE: " in shown
    assert " needed" in shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (BuildError("it does not compile: x.c:1", detail="x.c:1: error: y"), "x.c:1: error: y"),
        (InfraError("gcc is not installed", hint="rig doctor --fix"), "rig doctor --fix"),
    ],
)
def test_what_cannot_be_prepared_is_an_error_with_its_evidence(
    pytester: pytest.Pytester,
    requests: list[Request],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    shown: str,
) -> None:
    def fails(context: Context, spec: RunSpec) -> Prepared:
        raise error

    monkeypatch.setattr(pipeline, "prepare", fails)
    counts, output = outcomes(pytester, "-k", "anon_lost_write[")
    assert counts == {"errors": 1, "deselected": len(CASES) - 1}
    assert str(error) in output
    assert shown in output


@pytest.mark.parametrize("mutant", ["", "no-remote-flush"])
def test_a_guest_that_does_not_come_up_is_tried_once(
    pytester: pytest.Pytester,
    requests: list[Request],
    boots: Callable[..., list[Machine]],
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    mutant: str,
) -> None:
    """Nor is one used whose kernel does not say that the mutant is on."""
    mutated = replace(prepared, spec=prepared.spec.but(mutant=mutant))
    monkeypatch.setattr(pipeline, "prepare", lambda context, spec: mutated)
    booted = boots(error=None if mutant else BootError("the kernel hangs at boot"))
    counts, output = outcomes(pytester, *SOME)
    assert counts == {"errors": 2, "deselected": len(CASES) - 2}
    assert len(booted) == 1
    assert output.count("hangs at boot" if not mutant else "does not say that mutant") >= 2
    (result,) = execute.load_all(execute.find(Store.default()))
    assert result.verdict.outcome is (Outcome.BROKEN if mutant else Outcome.FAIL)


def test_counters_are_in_junit(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    boots()
    outcomes(pytester, "-k", "anon_lost_write[", "--junitxml", "out.xml")
    root = xml.parse(pytester.path / "out.xml").getroot()
    (case,) = root.iter("testcase")
    assert case.get("name") == "anon_lost_write[x86_64]"
    names = {one.get("name"): one.get("value") for one in case.iter("property")}
    counted = suite.pick("stale_tlb").cases[0].floors[0].counter
    assert names[counted] == "1000000000"


def test_trouble_of_the_rig_is_never_stored_as_a_pass(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    boots({"anon_lost_write": InfraError("QEMU was killed by signal 9")})
    counts, output = outcomes(pytester, *SOME)
    assert counts == {"passed": 1, "errors": 1, "deselected": len(CASES) - 2}, output
    (result,) = execute.load_all(execute.find(Store.default()))
    assert result.verdict.outcome is Outcome.BROKEN
    assert result.verdict.reason == "QEMU was killed by signal 9"


def test_after_a_loss_the_other_cases_run_in_another_guest(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    gone = "guest exited; no panic or oops on the console"
    booted = boots({"anon_roundtrip": GuestLost(gone, detail="last words")})
    counts, output = outcomes(pytester, *SOME)
    assert (counts["failed"], counts["passed"], len(booted)) == (1, 1, 2), output
    (result,) = execute.load_all(execute.find(Store.default()))
    assert result.verdict.outcome is Outcome.FAIL
    assert result.verdict.reason == f"reclaim/anon_roundtrip: {gone}"
    assert result.detail == "last words"


def test_after_a_guest_that_does_not_boot_again_cases_carry_the_cause(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    boots({"anon_roundtrip": GuestLost("panic")}, again=BootError("the kernel hangs at boot"))
    counts, output = outcomes(pytester, *SOME)
    assert (counts["failed"], counts["errors"]) == (1, 1)
    assert "not run: the kernel hangs at boot" in output
    (result,) = execute.load_all(execute.find(Store.default()))
    assert result.verdict.reason == (
        "reclaim/anon_roundtrip: panic; the run stopped early: the kernel hangs at boot"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), pytest.exit.Exception("enough")])
def test_a_session_that_is_interrupted_stores_nothing(
    pytester: pytest.Pytester,
    requests: list[Request],
    boots: Callable[..., list[Machine]],
    error: BaseException,
) -> None:
    """Half of the cases would be a PASS, and hide the verdict before."""
    boots({"anon_lost_write": error, "end": AssertionError("the guest is not waited for")})
    ran = pytester.runpytest_inprocess(*SUITES, *SOME, no_reraise_ctrlc=True)
    assert ran.ret == pytest.ExitCode.INTERRUPTED
    assert execute.runs(Store.default()) == ()


@pytest.mark.parametrize(
    ("end", "outcome", "reason"),
    [
        (
            GuestLost("gone"),
            Outcome.FAIL,
            "the guest was lost after stale_tlb/anon_lost_write: gone",
        ),
        (InfraError("the host is too busy"), Outcome.BROKEN, "the host is too busy"),
    ],
)
def test_what_happens_after_the_last_case_is_in_the_verdict(
    pytester: pytest.Pytester,
    requests: list[Request],
    boots: Callable[..., list[Machine]],
    end: Exception,
    outcome: Outcome,
    reason: str,
) -> None:
    boots({"end": end})
    assert pytester.runpytest_inprocess(*SUITES, *SOME).parseoutcomes()["passed"] == 2
    (stored,) = execute.load_all(execute.find(Store.default()))
    assert (stored.verdict.outcome, stored.verdict.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("without", "words", "said", "outcome"),
    [
        (Outcome.PASS, (), "introduced by the series: fails in 3 of 3 runs", Outcome.FAIL),
        (Outcome.FAIL, (), "already there: fails in 1 of 1 runs", Outcome.INCONCLUSIVE),
        (Outcome.FAIL, ("--no-blame",), "", Outcome.FAIL),
    ],
)
def test_a_failure_of_a_series_is_compared_with_its_base_at_the_end(
    pytester: pytest.Pytester,
    requests: list[Request],
    boots: Callable[..., list[Machine]],
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    without: Outcome,
    words: tuple[str, ...],
    said: str,
    outcome: Outcome,
) -> None:
    boots({"anon_lost_write": "not ok"})
    series = model.load(TOP / "patches", "lazyfree-batched-unmap", 4, "")
    (spec,) = (replace(prepared.spec, tree=replace(prepared.spec.tree, series=series)),)
    monkeypatch.setattr(request, "specs", lambda context, asked: (replace(spec, request=asked),))

    def run(
        context: Context, specs: list[RunSpec], directory: Path, **rest: Any
    ) -> tuple[RunResult, ...]:
        return tuple(
            result(cases=(case("anon_lost_write", one, shows=Shows.WRONG_DATA),))
            for one in (Outcome.FAIL if each.tree.series else without for each in specs)
        )

    monkeypatch.setattr(execute, "execute", run)
    monkeypatch.setattr(execute, "side_by_side", len)
    counts, output = outcomes(pytester, *SOME, *words)
    assert counts == {"passed": 1, "failed": 1, "deselected": len(CASES) - 2}, output
    line = f"rig: x86_64: stale_tlb/anon_lost_write: {said}"
    assert (line in output) == bool(said), output
    (directory,) = execute.runs(Store.default())
    assert execute.load_all(directory)[0].verdict.outcome is outcome


def test_tests_of_ones_own_are_no_verdict_on_the_series(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    boots({"true": ""})
    pytester.makepyfile("def test_guest(guest): guest.run('true x', deadline=5)")
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(passed=1)
    assert execute.runs(Store.default()) == ()


def test_a_worker_of_xdist_stores_no_part_of_a_run(
    pytester: pytest.Pytester,
    requests: list[Request],
    boots: Callable[..., list[Machine]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boots()
    monkeypatch.setattr(session, "has_xdist", lambda config: True)
    counts, output = outcomes(pytester, *SOME)
    assert counts["passed"] == 2
    assert execute.runs(Store.default()) == ()
    assert "rig: with -n no verdict is stored; run without -n for one" in output


def test_xdist_alone_is_not_the_rigs_business(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "has_xdist", lambda config: True)
    pytester.makepyfile("def test_x(): pass")
    assert "rig:" not in pytester.runpytest_inprocess().stdout.str()


def test_an_architecture_that_k_leaves_out_is_not_missing(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    boots()
    outcomes(pytester, "--arch", "x86_64,arm64", *SOME)
    (result,) = execute.load_all(execute.find(Store.default()))
    assert result.verdict.outcome is Outcome.PASS


@pytest.mark.parametrize("case", ["fail", "skip", "lost", "rig", "mine", "mine lost"])
def test_what_a_guest_says_is_shown_and_not_obeyed(
    pytester: pytest.Pytester,
    requests: list[Request],
    boots: Callable[..., list[Machine]],
    evil: str,
    harmless: Callable[..., None],
    case: str,
) -> None:
    evil = evil.encode(errors="replace").decode()  # as all that comes from a guest
    flat = evil.replace("\r", "").replace("\n", "")
    ktap = (
        f"KTAP version 1\n1..1\n# counter {flat} 3\n# evidence {flat}\nnot ok 1 anon_lost_write\n"
    )
    boots({
        "anon_lost_write": {
            "fail": ktap,
            "skip": f"KTAP version 1\n1..1\nok 1 anon_lost_write # SKIP {flat}\n",
            "lost": GuestLost(evil, detail=evil),
            "rig": InfraError(evil, detail=evil, hint=evil),
        }.get(case, ""),
        "uname -r": GuestLost(evil) if case == "mine lost" else evil,
    })  # fmt: skip
    words = ["-rA", "--junitxml", "out.xml", "--color=no"]
    if case.startswith("mine"):
        pytester.makepyfile(
            """
            def test_guest(guest):
                said = guest.run("uname -r", deadline=5).stdout
                print(said)
                raise ValueError(said)
            """
        )
        ran = pytester.runpytest_inprocess("-p", "no:cacheprovider", *words)
    else:
        ran = pytester.runpytest_inprocess(*SUITES, "-k", "anon_lost_write[", *words)
    assert ran.ret == (0 if case == "skip" else 1)
    harmless(ran.stdout.str(), lines=False)
    every = [
        output
        for one in xml.parse(pytester.path / "out.xml").iter()
        for output in (one.text, *one.attrib.values())
    ]
    harmless("\n".join(filter(None, every)), lines=False)


def test_colours_of_other_peoples_tests_stay(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_x(): print('\\x1b[31mred'); assert 0, '\\x1b[32mgreen'")
    output = pytester.runpytest_inprocess("--color=no").stdout.str()
    assert "\x1b[31mred" in output
    assert "\x1b[32mgreen" in output


# Tests of one's own


def test_fixtures_for_each_architecture(
    pytester: pytest.Pytester, requests: list[Request], boots: Callable[..., list[Machine]]
) -> None:
    booted = boots({"uname -r": "6.12.0-rig\n"})
    pytester.makepyfile(
        """
        def test_guest(guest):
            assert guest.run("uname -r", deadline=5).stdout == "6.12.0-rig\\n"

        def test_kernel(kernel):
            assert kernel.release == "6.12.0-rig"

        def test_both(kernel, guest):
            assert kernel and guest

        def test_neither():
            pass
        """
    )
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--arch", "x86_64,arm64")
    ran.assert_outcomes(passed=7)
    assert sorted(machine.arch for machine in booted) == ["arm64", "x86_64"]
