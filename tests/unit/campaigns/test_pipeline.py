# SPDX-License-Identifier: GPL-2.0-only
"""The pipeline with a guest of the test's own; real ones are in tests/boot and tests/kernel."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig.campaigns import live, pipeline
from rig.campaigns.results import Prepared, RunResult, RunSpec
from rig.context import Context
from rig.errors import ApplyError, BootError, ConfigError, GuestLost, InfraError
from rig.guest import accel, image, programs, seeded
from rig.guest.boot import Software
from rig.guest.qemu import Machine, Seeded
from rig.guest.session import Streams
from rig.kernel import kbuild, mutant, weave
from rig.series import model
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite
from rig.suites.suite import Selection
from rig.verdict.rules import Outcome
from tests.unit.conftest import enough

TOP = Path(__file__).parents[3]
UNMAP = TOP / "tests" / "data" / "mbx" / "shelf" / "unmap-batch"


def outcomes(result: RunResult) -> dict[str, Outcome]:
    return {
        case.name: case.outcome for suite_result in result.suites for case in suite_result.cases
    }


# What is asked of the kernel


def test_a_mutant_is_chosen_on_the_command_line(spec: RunSpec) -> None:
    assert live.machine_of(spec) == spec.machine
    mutated = replace(
        spec.but(mutant="no-flush"), machine=replace(spec.machine, cmdline=("quiet",))
    )
    assert live.machine_of(mutated).cmdline == ("quiet", "rig.mutant=no-flush")


def test_a_kernel_has_what_every_suite_needs(store: Store, spec: RunSpec) -> None:
    """One build serves them all, whichever are run."""
    built = pipeline.build_spec(
        Context(store, Shelves.default()), replace(spec, suites=spec.suites[:1])
    )
    assert built == pipeline.build_spec(Context(store, Shelves.default()), spec)
    assert built.config.requested
    assert built.config.flavour == "base"
    assert built.tree.commit == spec.tree.base.commit


@pytest.fixture
def shelves(tmp_path: Path) -> Shelves:
    """With the one mutant whose file the miniature kernel has."""
    name = "mutants/no-remote-flush.cocci"
    (tmp_path / "patches" / "mutants").mkdir(parents=True)
    (tmp_path / "patches" / name).write_text((TOP / "patches" / name).read_text())
    return replace(Shelves.default(), patches=tmp_path / "patches")


def test_only_a_mutants_kernel_is_instrumented(
    store: Store, spec: RunSpec, shelves: Shelves
) -> None:
    mutated = spec.but(mutant="no-remote-flush")
    mutated_spec = pipeline.build_spec(Context(store, shelves), mutated)
    assert mutated_spec.tree.commit != spec.tree.base.commit
    assert mutated_spec.tree.label == "v6.12, instrumented"


def test_the_instrumented_kernel_with_nothing_broken(
    store: Store, spec: RunSpec, shelves: Shelves
) -> None:
    none = pipeline.build_spec(Context(store, shelves), spec.but(mutant=mutant.NONE))
    other = pipeline.build_spec(Context(store, shelves), spec.but(mutant="no-remote-flush"))
    assert none == other


def test_a_mutant_that_is_not_for_the_tree_is_said_before_the_build(
    store: Store, spec: RunSpec, shelves: Shelves
) -> None:
    path = shelves.patches / "mutants" / "no-remote-flush.cocci"
    path.write_text(
        path.read_text().replace(
            "// Files:", "// Not-On: <v7.0: there is no such function\n// Files:"
        )
    )
    with pytest.raises(ConfigError) as bad:
        pipeline.build_spec(Context(store, shelves), spec.but(mutant="no-remote-flush"))
    assert bad.value.message == (
        "mutant no-remote-flush does not apply to v6.12: there is no such function"
    )


def test_everything_that_is_prepared_is_named_by_its_digest(
    store: Store, spec: RunSpec, prepared: Prepared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    places = {name: tmp_path / name for name in ("1mage", "pr06")}
    for place in places.values():
        place.mkdir()
        for name in ("rootfs.cpio", "stale_tlb", "reclaim"):
            (place / name).write_bytes(b"x")
    monkeypatch.setattr(kbuild, "build", lambda store, spec: prepared.build)
    monkeypatch.setattr(image, "build", lambda *args: places["1mage"] / "rootfs.cpio")
    monkeypatch.setattr(programs, "build", lambda s, a, name, p: places["pr06"] / name)
    monkeypatch.setattr(accel, "qemu_version", lambda arch: "QEMU emulator version 7.2.22")
    prepared_run = pipeline.prepare(Context(store, Shelves.default()), spec.but(seed=7))
    origin = prepared_run.provenance
    assert (origin.label, origin.origin) == ("v6.12", "tests/data/kernel")
    assert (origin.commit, origin.build, origin.release) == (
        spec.tree.base.commit,
        "b01d",
        "6.12.0-rig",
    )
    assert origin.tree
    assert (origin.image, origin.programs) == (
        "1mage",
        (("stale_tlb", "pr06"), ("reclaim", "pr06")),
    )
    assert (origin.qemu, origin.request.flavour, origin.request.seed) == (
        "QEMU emulator version 7.2.22",
        "base",
        7,
    )
    assert prepared_run.software.initrd[0] == places["1mage"] / "rootfs.cpio"


def test_a_kernel_that_is_only_built_needs_no_image(
    store: Store, spec: RunSpec, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("nothing is booted")

    for module, name in ((image, "build"), (image, "data_disk"), (programs, "build")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(kbuild, "build", lambda store, spec: prepared.build)
    monkeypatch.setattr(accel, "qemu_version", lambda arch: "QEMU emulator version 7.2.22")
    only = replace(spec, suites=(), boot=False)
    origin = pipeline.prepare(Context(store, Shelves.default()), only).provenance
    assert (origin.build, origin.image, origin.programs) == ("b01d", "", ())


# Runs


def test_a_run_that_passes(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    booted = boots()
    result = pipeline.execute(prepared, tmp_path / "run")
    assert booted == [prepared.spec.machine]
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    assert outcomes(result) == {"anon_lost_write": Outcome.PASS, "anon_roundtrip": Outcome.PASS}
    assert [suite_result.suite for suite_result in result.suites] == ["stale_tlb", "reclaim"]
    assert (result.boot_seconds, result.detail) == (1.23, "")
    assert result.warnings == ("x.c:1: warning: y",)
    assert result.provenance == prepared.provenance
    assert result.ended.endswith("+00:00")


def test_a_case_that_fails(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    boots({"anon_lost_write": "not ok"})
    result = pipeline.execute(prepared, tmp_path / "run")
    assert result.verdict.outcome is Outcome.FAIL
    assert result.verdict.reason == "stale_tlb/anon_lost_write: page 17: lost"
    assert outcomes(result)["anon_roundtrip"] is Outcome.PASS, "the others are run all the same"


GONE = GuestLost("guest exited; no panic or oops on the console", detail="the console")


def test_a_guest_that_is_lost_keeps_what_was_found_out(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    boots({"anon_roundtrip": GONE})
    result = pipeline.execute(prepared, tmp_path / "run")
    assert result.verdict.outcome is Outcome.FAIL
    assert result.verdict.reason == f"reclaim/anon_roundtrip: {GONE}"
    assert outcomes(result) == {"anon_lost_write": Outcome.PASS, "anon_roundtrip": Outcome.FAIL}
    assert result.detail == "the console"


def test_after_a_loss_the_other_cases_run_in_another_guest(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    booted = boots({"anon_lost_write": GuestLost("BUG: KASAN")}, console="booting\n")
    result = pipeline.execute(prepared, tmp_path / "run")
    assert outcomes(result) == {"anon_lost_write": Outcome.FAIL, "anon_roundtrip": Outcome.PASS}
    assert result.verdict.reason == "stale_tlb/anon_lost_write: BUG: KASAN"
    assert len(booted) == 2, "the case that lost the guest is not run again"
    assert (tmp_path / "run" / "console.log").is_file(), "the first guest's evidence stays"
    assert (tmp_path / "run" / "guest-2" / "console.log").is_file()


def test_the_splats_of_all_guests_are_kept(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    warning = "[    1.000000] WARNING: CPU: 0 PID: 1 at mm/rmap.c:7 f+0x1/0x2\n"
    boots({"anon_lost_write": GONE}, console=warning)
    result = pipeline.execute(prepared, tmp_path / "run")
    assert len(result.splats) == 2


BUG = "[    9.000000] kernel BUG at mm/rmap.c:7!"


def test_a_guest_that_dies_between_two_cases_is_the_fault_of_none(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    """Outcome rule 7. The next case runs in another guest."""
    hang = GuestLost("no answer within the deadline", detail="the console")
    hang.tasks = ("blocked: kswapd0[7] (state D) in folio_wait",)
    for number, error in enumerate((GONE, hang)):
        booted = boots({"before anon_roundtrip": [error]})
        result = pipeline.execute(prepared, tmp_path / f"run{number}")
        assert set(outcomes(result).values()) == {Outcome.PASS}
        assert len(outcomes(result)) == len(booted) == 2
        assert result.verdict.outcome is Outcome.FAIL
        reason = f"the guest was lost before reclaim/anon_roundtrip: {error}"
        assert result.verdict.reason == reason
        assert result.detail == "\n".join(("the console", *error.tasks))


def test_so_is_one_that_dies_silently_after_the_last_case(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    booted = boots({"end": GONE})
    result = pipeline.execute(prepared, tmp_path / "run")
    assert list(outcomes(result).values()) == [Outcome.PASS, Outcome.PASS]
    assert len(booted) == 1
    assert result.verdict.outcome is Outcome.FAIL
    assert result.verdict.reason == f"the guest was lost after reclaim/anon_roundtrip: {GONE}"
    assert result.detail == "the console"


def test_a_host_that_fails_after_the_last_case_is_no_fault_of_the_kernel(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    boots({"end": InfraError("the host is too busy")})
    result = pipeline.execute(prepared, tmp_path / "run")
    assert list(outcomes(result).values()) == [Outcome.PASS, Outcome.PASS]
    assert (result.verdict.outcome, result.verdict.reason) == (
        Outcome.BROKEN,
        "the host is too busy",
    )


def test_a_splat_before_a_cases_start_line_is_not_the_cases(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    """The host may read the console late: the case has started, and is lost at once."""
    lost = GuestLost("kernel BUG at mm/rmap.c:7!")
    booted = boots({"before anon_roundtrip": [f"{BUG}\n"], "anon_roundtrip": [lost]})
    result = pipeline.execute(prepared, tmp_path / "run")
    assert set(outcomes(result).values()) == {Outcome.PASS}
    assert len(booted) == 2
    assert result.verdict.outcome is Outcome.FAIL


def test_a_splat_after_it_is_the_cases(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    booted = boots({"anon_roundtrip": GuestLost(BUG)})
    result = pipeline.execute(prepared, tmp_path / "run")
    assert outcomes(result) == {"anon_lost_write": Outcome.PASS, "anon_roundtrip": Outcome.FAIL}
    assert len(booted) == 1


def test_a_kernel_that_always_dies_between_cases_is_not_booted_for_ever(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    booted = boots({"before anon_roundtrip": GONE})
    result = pipeline.execute(prepared, tmp_path / "run")
    assert len(booted) == live.FURTHER + 1
    assert outcomes(result)["anon_roundtrip"] is Outcome.INCONCLUSIVE
    assert result.verdict.outcome is Outcome.FAIL
    assert result.verdict.reason.startswith("the guest was lost before reclaim/anon_roundtrip: ")


def test_no_guest_is_booted_after_the_last_case(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    booted = boots({"anon_roundtrip": GONE})
    pipeline.execute(prepared, tmp_path / "run")
    assert len(booted) == 1


def many(prepared: Prepared, monkeypatch: pytest.MonkeyPatch, cases: int) -> Prepared:
    """The same with so many cases in one suite: case0, case1, ..."""
    first = suite.pick("reclaim").cases[0]
    numbered = tuple(replace(first, name=f"case{number}") for number in range(cases))
    monkeypatch.setattr(suite, "cases_of", lambda selection: numbered)
    picked = (Selection(suite="reclaim"),)
    return replace(prepared, spec=replace(prepared.spec, suites=picked))


def test_the_evidence_of_every_lost_guest_is_in_the_result(
    prepared: Prepared,
    boots: Callable[..., list[Machine]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hang = GuestLost("no answer within 120 s", detail="blocked tasks")
    boots({"case1": GONE, "case2": hang})
    result = pipeline.execute(many(prepared, monkeypatch, 4), tmp_path / "run")
    assert list(outcomes(result).values()) == [
        Outcome.PASS, Outcome.FAIL, Outcome.FAIL, Outcome.PASS,
    ]  # fmt: skip
    assert result.verdict.reason == f"reclaim/case1: {GONE} (and 1 more FAIL)"
    assert result.detail == (
        "the console\n\nguest 2, lost in reclaim/case2: no answer within 120 s\nblocked tasks"
    )


def test_a_kernel_that_every_case_kills_is_not_booted_for_ever(
    prepared: Prepared,
    boots: Callable[..., list[Machine]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cases = live.FURTHER + 5
    booted = boots({f"case{number}": GuestLost("panic") for number in range(cases)})
    result = pipeline.execute(many(prepared, monkeypatch, cases), tmp_path / "run")
    assert len(booted) == live.FURTHER + 1
    counts = list(outcomes(result).values())
    assert counts.count(Outcome.FAIL) == live.FURTHER + 1
    assert counts[-4:] == [Outcome.INCONCLUSIVE] * 4
    assert result.suites[0].cases[-1].reason == (
        "not run: 9 guests were lost, the last one in reclaim/case8"
    )
    assert result.verdict.reason == (
        "reclaim/case0: panic (and 8 more FAIL); the run stopped early: 9 guests were lost, the "
        "last one in reclaim/case8"
    )


@pytest.mark.parametrize(
    ("again", "others"),
    [
        (BootError("the kernel hangs at boot", detail="at boot"), [Outcome.INCONCLUSIVE] * 2),
        (InfraError("QEMU does not start", detail="at boot"), []),
    ],
)
def test_a_kernel_that_does_not_boot_again_is_not_tried_a_third_time(
    prepared: Prepared,
    boots: Callable[..., list[Machine]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    again: Exception,
    others: list[Outcome],
) -> None:
    booted = boots({"case0": GONE}, again=again)
    result = pipeline.execute(many(prepared, monkeypatch, 3), tmp_path / "run")
    assert len(booted) == 2
    assert list(outcomes(result).values()) == [Outcome.FAIL, *others]
    assert result.verdict.outcome is Outcome.FAIL
    assert result.verdict.reason == f"reclaim/case0: {GONE}; the run stopped early: {again}"
    assert result.detail == "the console\n\nat boot"


def test_trouble_of_the_rig_is_broken_and_keeps_the_cases(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    boots({"anon_roundtrip": InfraError("QEMU was killed by signal 9")})
    result = pipeline.execute(prepared, tmp_path / "run")
    assert result.verdict.outcome is Outcome.BROKEN
    assert result.verdict.reason == "QEMU was killed by signal 9"
    assert outcomes(result) == {"anon_lost_write": Outcome.PASS}


def test_trouble_in_the_middle_of_a_suite_keeps_its_first_cases(
    prepared: Prepared,
    boots: Callable[..., list[Machine]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stale = pipeline.suite.pick("stale_tlb")
    second = replace(stale.cases[0], name="second")
    monkeypatch.setattr(pipeline.suite, "cases_of", lambda selection: (stale.cases[0], second))
    boots({"second": InfraError("QEMU was killed by signal 9")})
    result = pipeline.execute(prepared, tmp_path / "run")
    assert outcomes(result) == {"anon_lost_write": Outcome.PASS}
    assert result.verdict.outcome is Outcome.BROKEN


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (BootError("the kernel hangs at boot", detail="last words"), Outcome.FAIL),
        (InfraError("QEMU does not start", detail="last words"), Outcome.BROKEN),
    ],
)
def test_a_guest_that_does_not_come_up(
    prepared: Prepared,
    boots: Callable[..., list[Machine]],
    tmp_path: Path,
    error: Exception,
    outcome: Outcome,
) -> None:
    boots(error=error)
    result = pipeline.execute(prepared, tmp_path / "run")
    assert (result.verdict.outcome, result.verdict.reason) == (outcome, str(error))
    assert (result.suites, result.boot_seconds, result.detail) == ((), 0, "last words")


def test_the_hosts_refusals_are_broken(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    boots(error=PermissionError(13, "Permission denied", "/tmp/x"))
    result = pipeline.execute(prepared, tmp_path / "run")
    assert result.verdict.outcome is Outcome.BROKEN
    assert result.verdict.reason == "running a guest: Permission denied (/tmp/x)"


def test_a_splat_on_the_console_outranks_what_the_cases_say(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    log = TOP / "tests" / "data" / "console" / "from-source" / "kasan.log"
    boots(console=log.read_text(errors="replace"))
    result = pipeline.execute(prepared, tmp_path / "run")
    assert result.verdict.outcome is Outcome.FAIL
    assert "KASAN" in result.verdict.reason
    assert outcomes(result)["anon_lost_write"] is Outcome.PASS
    assert result.splats


def test_a_mutant_the_kernel_does_not_own_up_to_is_broken(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    """Else the clean kernel was tested, and the mutant would have survived."""
    mutated = replace(prepared, spec=prepared.spec.but(mutant="no-flush"))
    boots(console="[    0.1] rig: mutant no-other is on\n")
    result = pipeline.execute(mutated, tmp_path / "run")
    assert result.verdict.outcome is Outcome.BROKEN
    assert "does not say that mutant no-flush is on" in result.verdict.reason
    booted = boots(console=f"[    0.1] {weave.says_it_is_on('no-flush')}\n")
    result = pipeline.execute(mutated, tmp_path / "again")
    assert result.verdict.outcome is Outcome.PASS
    assert booted[0].cmdline == ("rig.mutant=no-flush",)


# In the seeded schedule


@pytest.fixture
def seeds(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Prepared]:
    """Cases that pass in guests of their own, whose console says this."""

    def prepare(console: str, *cases: str, mutant: str = "", status: int | None = 0) -> Prepared:
        def answer(
            machine: Machine,
            software: Software,
            command: Sequence[str],
            directory: Path,
            deadline: float,
        ) -> seeded.Finished:
            assert deadline == seeded.DEADLINE
            directory.mkdir(parents=True)
            (directory / seeded.CONSOLE).write_text(console)
            case = next(entry for entry in suite.pick("reclaim").cases if entry.name == command[1])
            lines = enough(case.floors)
            answer = "\n".join(["KTAP version 1", "1..1", *lines, f"ok 1 {case.name}", ""])
            return seeded.Finished(
                status=status, stdout=answer, seconds=1.0, digest=f"d-{case.name}"
            )

        monkeypatch.setattr(seeded, "run", answer)
        machine = replace(prepared.spec.machine, schedule=Seeded(seed=7))
        picked = (Selection(suite="reclaim", cases=cases),)
        seeded_spec = prepared.spec.but(mutant=mutant, seed=7)
        spec = replace(seeded_spec, machine=machine, suites=picked)
        return replace(prepared, spec=spec)

    return prepare


def test_a_case_that_cannot_be_seeded_is_skipped_and_the_others_are_run(
    seeds: Callable[..., Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = seeds("booting\n", "file_dirty", "fork_cow", "mlock_stays")
    first, *others = suite.cases_of(ready.spec.suites[0])
    cases = (replace(first, live_only="it needs a network"), *others)
    monkeypatch.setattr(suite, "cases_of", lambda selection: cases)
    result = pipeline.execute(ready, tmp_path / "run")
    assert outcomes(result)["file_dirty"] is Outcome.SKIP
    assert [case.digest for suite_result in result.suites for case in suite_result.cases] == [
        "", "d-fork_cow", "d-mlock_stays",
    ]  # fmt: skip
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason


def test_a_mutant_a_seeded_kernel_does_not_own_up_to_is_broken_whoever_runs_the_case(
    seeds: Callable[..., Prepared], tmp_path: Path
) -> None:
    reclaim = suite.pick("reclaim")
    case = next(entry for entry in reclaim.cases if entry.name == "fork_cow")
    ready = seeds(f"{weave.says_it_is_on('no-flush')}\n", "fork_cow", mutant="no-flush")
    assert pipeline.seeded_case(ready, reclaim, case, tmp_path / "on").digest == "d-fork_cow"
    silent = seeds("booting\n", "fork_cow", mutant="no-flush")
    with pytest.raises(InfraError, match="does not say that mutant no-flush is on"):
        pipeline.seeded_case(silent, reclaim, case, tmp_path / "off")


@pytest.mark.parametrize(
    ("console", "reason"),
    [
        ((TOP / "tests/data/console/arm64-bug.log").read_text(), "kernel BUG at mm/page_alloc.c"),
        ("booting\n", "guest exited before the program ended"),
    ],
)
def test_a_guest_that_ended_early_is_a_fail_that_says_what_it_died_of(
    seeds: Callable[..., Prepared], tmp_path: Path, console: str, reason: str
) -> None:
    result = pipeline.execute(seeds(console, "fork_cow", status=None), tmp_path / "run")
    (case,) = (case for suite_result in result.suites for case in suite_result.cases)
    assert case.outcome is Outcome.FAIL and case.reason.startswith(reason)
    assert result.verdict.outcome is Outcome.FAIL


def test_a_seeded_guest_that_hangs_fails_its_case_and_the_others_are_run(
    seeds: Callable[..., Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = seeds("booting\n", "file_dirty", "fork_cow", "mlock_stays")
    run = seeded.run

    def hangs(*args: Any, **rest: Any) -> seeded.Finished:
        finished = run(*args, **rest)
        if args[2][1] != "fork_cow":
            return finished
        (args[3] / seeded.ANSWER).write_text("KTAP version 1\n1..1\n# child has forked\n")
        raise GuestLost("the guest does not exit within 300 s")

    monkeypatch.setattr(seeded, "run", hangs)
    result = pipeline.execute(ready, tmp_path / "run")
    assert outcomes(result) == {
        "file_dirty": Outcome.PASS, "fork_cow": Outcome.FAIL, "mlock_stays": Outcome.PASS,
    }  # fmt: skip
    hung = "the guest does not exit within 300 s; the program's last line: # child has forked"
    assert result.verdict.reason == f"reclaim/fork_cow: {hung}"


def test_a_seeded_kernel_that_always_hangs_does_not_take_all_night(
    seeds: Callable[..., Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, tried = many(seeds("booting\n"), monkeypatch, 7), []

    def hangs(*args: Any, **rest: Any) -> seeded.Finished:
        tried.append(args[2][1])
        raise GuestLost("the guest does not exit within 300 s")

    monkeypatch.setattr(seeded, "run", hangs)
    result = pipeline.execute(ready, tmp_path / "run")
    assert len(tried) == pipeline.HANGS
    assert list(outcomes(result).values()) == [Outcome.FAIL] * 4 + [Outcome.INCONCLUSIVE] * 3
    assert "not run: 4 guests hung" in result.suites[0].cases[-1].reason


def test_what_it_takes_to_explain_it_later_is_left_beside_it(
    prepared: Prepared, boots: Callable[..., list[Machine]], tmp_path: Path
) -> None:
    boots(error=BootError("no"))
    v2 = model.read(UNMAP / "v2.mbx", "unmap-batch")
    tree = replace(prepared.spec.tree, series=v2)
    pipeline.execute(replace(prepared, spec=replace(prepared.spec, tree=tree)), tmp_path / "run")
    assert (tmp_path / "run" / "kernel.config").read_text() == "CONFIG_SMP=y\n"
    again = model.read(tmp_path / "run" / "series.mbx")
    assert again.patches == v2.patches
    assert (tmp_path / "run" / pipeline.TOP).read_bytes() == v2.top


# A guest for a person


def test_one_command_in_a_guest(prepared: Prepared, boots: Callable[..., list[Machine]]) -> None:
    boots({"echo 'a b'": b"a b\n", "": b"# "})
    for command, said in ((["echo", "a b"], b"a b\n"), ([], b"# ")):
        streams = Streams(stdin=0, out=io.BytesIO(), err=io.BytesIO())
        assert pipeline.interact(prepared, command, streams) == 3
        assert streams.out.getvalue() == said  # type: ignore[attr-defined]


def test_a_guest_that_cannot_be_had_is_raised(
    prepared: Prepared, boots: Callable[..., list[Machine]]
) -> None:
    boots(error=BootError("no"))
    with pytest.raises(BootError):
        pipeline.interact(prepared, ["true"], Streams(stdin=0, out=io.BytesIO(), err=io.BytesIO()))


def test_the_shelves_are_the_checkouts() -> None:
    here = Shelves.default()
    assert here.kconfigs == TOP / "kconfigs"
    assert (here.images / "test" / "image.toml").is_file()


def test_a_series_that_does_not_apply_is_not_run(store: Store, spec: RunSpec) -> None:
    broken = model.read(TOP / "tests" / "data" / "mbx" / "kernel" / "does-not-apply.mbx")
    with pytest.raises(ApplyError):
        pipeline.build_spec(
            Context(store, Shelves.default()), replace(spec, tree=replace(spec.tree, series=broken))
        )
