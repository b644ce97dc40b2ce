# SPDX-License-Identifier: GPL-2.0-only
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rig.campaigns import execute, replay
from rig.campaigns.options import Request
from rig.campaigns.results import Prepared, RunResult, RunSpec
from rig.cli.run import app
from rig.context import Context
from rig.errors import ConfigError
from rig.guest import accel, seeded
from rig.guest.boot import Software
from rig.guest.qemu import Machine, Seeded
from rig.report import seeds as report
from rig.shelves import Shelves
from rig.store import Store
from rig.verdict.rules import CaseResult, Outcome, SuiteResult

COMMAND = ("stale_tlb", "anon_lost_write", "--seed", "3")


@pytest.fixture
def stored(
    store: Store, results: dict[str, tuple[RunResult, ...]], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A seeded run whose kernel, image and program are in the store."""
    for kind, name, file, facts in (
        ("builds", "b01d", "bzImage", {"image": "bzImage"}),
        ("images", "1ma9e", "rootfs.cpio", {}),
        ("programs", "9709", "stale_tlb", {}),
    ):
        store.make(
            kind, name, {}, lambda out, file=file, facts=facts: (out / file).write_text("") or facts
        )
    whole = results["pass"][0]
    directory = store.root / "runs" / "20261120-100000-v6.12"
    case = CaseResult(
        name="anon_lost_write", outcome=Outcome.PASS, reason="", command=COMMAND,
        digest=write(directory / "x86_64" / "stale_tlb.anon_lost_write", "one\ntwo\n"),
    )  # fmt: skip
    changed = replace(
        whole.provenance, build="b01d", image="1ma9e", programs=(("stale_tlb", "9709"),), qemu="7.2"
    )
    result = replace(
        whole,
        machine=replace(whole.machine, arch="x86_64", schedule=Seeded(seed=3)),
        provenance=changed,
        suites=(SuiteResult(suite="stale_tlb", cases=(case,)),),
    )
    execute.store_result(result, directory / "x86_64")
    monkeypatch.setattr(accel, "qemu_version", lambda arch: "7.2")
    return directory


def write(directory: Path, answer: str) -> str:
    directory.mkdir(parents=True)
    (directory / seeded.CONSOLE).write_text("booting\n")
    (directory / seeded.ANSWER).write_text(answer)
    return seeded.digest(directory)


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[tuple[str, ...]]]:
    """The next run says this; the commands are listed."""
    commands: list[tuple[str, ...]] = []

    def say(answer: str) -> list[tuple[str, ...]]:
        def run(
            machine: Machine, software: Software, command: tuple[str, ...], directory: Path
        ) -> seeded.Finished:
            assert machine.schedule == Seeded(seed=3)
            assert software.kernel.name == "bzImage"
            commands.append(command)
            whole = write(directory, answer)
            return seeded.Finished(status=0, stdout=answer, seconds=1.5, digest=whole)

        monkeypatch.setattr(seeded, "run", run)
        return commands

    return say


def test_the_same_bytes_are_identical(
    store: Store, stored: Path, again: Callable[..., list[tuple[str, ...]]], tmp_path: Path
) -> None:
    commands = again("one\ntwo\n")
    (record,) = replay.recorded(stored)
    ran = replay.replay(store, record, tmp_path / "again")
    assert (ran.identical, ran.before, ran.note, commands) == (True, "", "", [COMMAND])
    assert report.replayed([ran]).startswith("x86_64   stale_tlb/anon_lost_write ")


@pytest.mark.parametrize(
    ("answer", "before", "after"),
    [
        ("one\n2\n", "answer.log:2: two", "answer.log:2: 2"),
        ("one\n", "answer.log:2: two", "answer.log:2: "),
        ("one\ntwo\nthree\n", "answer.log:3: ", "answer.log:3: three"),
        ("one\ntwo", "answer.log:3: ", "answer.log:3: (nothing)"),
    ],
)
def test_the_first_line_that_differs(
    answer: str, before: str, after: str, store: Store, stored: Path,
    again: Callable[..., object], tmp_path: Path,
) -> None:  # fmt: skip
    again(answer)
    (record,) = replay.recorded(stored)
    ran = replay.replay(store, record, tmp_path / "again")
    assert (ran.identical, ran.before, ran.after) == (False, before, after)
    assert "NOT identical" in report.replayed([ran])


@pytest.mark.parametrize(
    ("qemu", "answer", "outcome", "word"),
    [
        ("7.2", "one\ntwo\n", Outcome.PASS, " identical"),
        ("7.2", "one\n2\n", Outcome.FAIL, "NOT identical"),
        ("9.0", "one\ntwo\n", Outcome.PASS, " identical"),
        ("9.0", "one\n2\n", Outcome.INCONCLUSIVE, "another QEMU"),
    ],
)
def test_other_bytes_of_another_qemu_prove_nothing(
    store: Store, stored: Path, again: Callable[..., object], monkeypatch: pytest.MonkeyPatch,
    qemu: str, answer: str, outcome: Outcome, word: str,
) -> None:  # fmt: skip
    """docs/seeded.md: the digest holds for the QEMU that made it."""
    again(answer)
    monkeypatch.setenv("RIG_STORE", str(store.root))
    monkeypatch.setattr(accel, "qemu_version", lambda arch: qemu)
    ran = CliRunner().invoke(app, ["replay", stored.name])
    assert ran.exit_code == outcome.exit_status, ran.output
    assert word in ran.output
    assert ("NOT" in ran.output) is (word == "NOT identical")
    assert ("QEMU is 9.0; the stored run had 7.2" in ran.output) is (qemu == "9.0")


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.SKIP])
def test_gdb_does_not_stop_where_nothing_failed(
    store: Store, stored: Path, outcome: Outcome, tmp_path: Path
) -> None:
    """It would stop at the case's result, and say that this is the failing check."""
    (record,) = replay.recorded(stored)
    record = replace(record, case=replace(record.case, outcome=outcome))
    with pytest.raises(ConfigError, match=f"is {outcome}: there is no failure"):
        with replay.stopped(store, record, tmp_path):
            pass


def test_a_case_is_chosen_by_either_name(stored: Path) -> None:
    for name in ("anon_lost_write", "stale_tlb/anon_lost_write"):
        assert [record.name for record in replay.recorded(stored, name)] == [
            "stale_tlb/anon_lost_write"
        ]
    with pytest.raises(ConfigError, match="has no case 'other'") as bad:
        replay.recorded(stored, "other")
    assert "stale_tlb/anon_lost_write" in bad.value.hint


def test_a_live_run_is_never_the_same_twice(
    store: Store, results: dict[str, tuple[RunResult, ...]]
) -> None:
    directory = store.root / "runs" / "live"
    execute.store_result(results["pass"][0], directory / "x86_64")
    with pytest.raises(ConfigError, match="has no seeded case"):
        replay.recorded(directory)


@pytest.fixture
def remade(
    store: Store, stored: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[Request]]:
    """The image is lost; made again it has this digest. What is asked for is listed."""
    asked: list[Request] = []

    def be(image: str) -> list[Request]:
        (store.root / "images" / "1ma9e" / "manifest.json").unlink()
        (record,) = replay.recorded(stored)
        again = replace(prepared, provenance=replace(record.result.provenance, image=image))

        def specs(context: Context, request: Request) -> tuple[RunSpec, ...]:
            asked.append(request)
            return (prepared.spec,)

        monkeypatch.setattr(replay.request, "specs", specs)
        monkeypatch.setattr(replay.pipeline, "prepare", lambda context, spec: again)
        return asked

    return be


def test_what_the_store_has_lost_is_made_again(
    store: Store, stored: Path, remade: Callable[[str], list[Request]]
) -> None:
    asked = remade("1ma9e")
    (record,) = replay.recorded(stored)
    replay.restore(Context(store, Shelves.default()), record)
    assert [(request.target, request.base, request.suites) for request in asked] == [
        ("unmap-batch@v2", "v6.12", ("stale_tlb",))
    ]


def test_where_it_comes_out_another_one_that_is_said(
    store: Store, stored: Path, remade: Callable[[str], list[Request]]
) -> None:
    remade("07e4")
    (record,) = replay.recorded(stored)
    with pytest.raises(
        ConfigError, match=r"no longer has the image .*, and the image made today has another"
    ):
        replay.restore(Context(store, Shelves.default()), record)


def test_nothing_is_made_where_nothing_is_lost(store: Store, stored: Path) -> None:
    (record,) = replay.recorded(stored)
    replay.restore(Context(store, Shelves(kconfigs=Path(), patches=Path(), images=Path())), record)
