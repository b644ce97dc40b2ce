# SPDX-License-Identifier: GPL-2.0-only
"""What is refused at once: before a base is fetched, a kernel built or a guest booted."""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig import __main__ as main
from rig.campaigns import request
from rig.cli import run
from rig.errors import RigError
from rig.guest import accel
from rig.kernel import base
from rig.report import review
from rig.series import intake
from rig.shelves import Shelves
from rig.store import Store

TOP = Path(__file__).parents[3]
MBX = TOP / "tests" / "data" / "mbx"
Said = tuple[int, str]
Rig = Callable[..., Said]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    """`rig WORDS`: status and stderr. Whatever takes long is a failure of the test."""

    def long(*args: Any, **rest: Any) -> None:
        raise AssertionError("this takes long")

    monkeypatch.setattr(base, "resolve", long)
    monkeypatch.setattr(accel, "choose", long)
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "store"))
    (tmp_path / "store").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)

    def call(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["rig", *words])
        status = main.run(words)
        output = capsys.readouterr()
        assert "Traceback" not in output.err + output.out
        return status, output.err

    return call


NUMBERS = [
    ("mutate v6.12 --repeat 0", "1 to 1000"),
    ("mutate v6.12 --repeat -3", "1 to 1000"),
    ("mutate v6.12 --repeat 1001", "1 to 1000"),
    ("mutate v6.12 --seeds 5..1", "at most 1,000,000 seeds"),
    ("mutate v6.12 --seeds ,", "like 1..500"),
    ("bisect a b --runs 0", "1 to 1000000"),
    ("bisect a b --confidence 1", "0.5 to 0.99999"),
    ("bisect a b --confidence nan", "0.5 to 0.99999"),
    ("bisect a b --metric shared_dirty_reclaim:pgscan_anon --above 0.5", "1 to 1000"),
    ("explore v6.12 --case anon_lost_write --failures -3", "0 to 1000000"),
    ("explore v6.12 --case anon_lost_write --minutes -1", "0 to 100000"),
    ("explore v6.12 --case anon_lost_write --minutes nan", "0 to 100000"),
    ("explore v6.12 --case anon_lost_write --minutes inf", "0 to 100000"),
    ("explore v6.12 --case anon_lost_write --seeds ²", "like 1..500"),
    ("explore v6.12 --case anon_lost_write --seeds 1..1000000,1..2000000", "1,000,000"),
    (f"explore v6.12 --case anon_lost_write --seeds {'9' * 5000}", "like 1..500"),
    ("bench v6.12 --against v6.12 --rounds 0", "1 to 10,000"),
    ("bench v6.12 --against v6.12 --rounds -2", "1 to 10,000"),
    ("bench v6.12 --against v6.12 --rounds ²", "1 to 10,000"),
    (f"bench v6.12 --against v6.12 --rounds {'9' * 5000}", "1 to 10,000"),
    ("run v6.12 --repeat 0", "1 to 1000"),
    ("run v6.12 --iterations -1", "0 to 1000000000"),
    (f"run v6.12 --seed {'9' * 30}", "0 to 9223372036854775807"),
    ("run v6.12 --seed 99999999999999999999999999999999 --quiet", "0 to 9223"),
    ("build v6.12 --arch ,", "a comma-separated list"),
    ("shell v6.12 --cpus 1", "2 to 8"),
]


@pytest.mark.parametrize(("line", "says"), NUMBERS)
def test_a_count_out_of_range_is_refused_with_the_range(rig: Rig, line: str, says: str) -> None:
    """Nothing would run, and nothing run must not read as PASS."""
    status, err = rig(*line.split(" "))
    assert status == 2
    assert says in " ".join(err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "mutate v6.12 --mutant lazyfree-extra-ref-swapbacked",
            "there is nothing to run: lazyfree-extra-ref-swapbacked on v6.12",
        ),
        ("mutate v6.12 --mutant none", "there is nothing to run: none is the clean kernel"),
        ("mutate v6.12 --mutant ,", "',' names nothing"),
        ("run v6.12 --case ,", "',' names nothing"),
        ("bench v6.12 --bench ,,", "',,' names nothing"),
        ("bench v6.12 --bench gone", "there is no benchmark named 'gone'"),
        ("run v6.12 --suite stale_tlb --case anon_roundtrip", "there is no case named"),
        ("run batch-dirty-tlb-flush@v99", "there is no revision of batch-dirty-tlb-flush"),
        ("run batch-dirty-tlb-flush@v1:0", "has patches 1 to"),
        ("report", "there is no stored run yet"),
        ("replay", "there is no stored run yet"),
        ("bisect log", "there is no bisection yet"),
        ("bisect log gone", "there is no bisection named 'gone'"),
        ("bisect log a b", "rig bisect log takes one name"),
        ("bisect v6.12", "v6.12 is not a series"),
        ("bisect v6.12 v7.2", "no tree is named"),
        ("bisect v6.12 v7.2 --build --boot", "--build and --boot are two questions"),
        ("bisect v6.12 v7.2 --above 1.1", "--metric and --above belong together"),
        ("bisect v6.12 v7.2 --tree .", "is not a git tree"),
        ("reply", "there is no stored run yet"),
        ("series gone", "there is no series named 'gone'"),
        ("diff gone", "there is no series named 'gone'"),
        ("fetch .", "there is no *.patch and no *.eml"),
        ("doctor --arch ,", "',' names nothing"),
    ],
)
def test_a_selection_of_nothing_is_said(rig: Rig, line: str, says: str) -> None:
    status, err = rig(*line.split(" "))
    assert status == 2
    assert says in err


# A series from a pipe


def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[list[Any], bytes]:
    """What a verb is asked for, and an mbox."""
    asked: list[Any] = []

    def specs(context: Any, sent: Any) -> None:
        asked.append(sent)
        raise RigError("that is all")

    monkeypatch.setattr(request, "specs", specs)
    monkeypatch.setattr(request, "fetched", lambda shelves, sent: sent)
    return asked, (MBX / "shelf" / "unmap-batch" / "v2.mbx").read_bytes()


@pytest.mark.parametrize("target", ["-", "-:2"])
def test_stdin_is_a_target(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str
) -> None:
    """It is read once, into a file of the store; so the command that runs it again works."""
    asked, mbox = given(monkeypatch, tmp_path)
    monkeypatch.setattr(intake, "stdin", lambda: mbox)
    for verb in ("run", "mutate", "shell"):
        assert rig(verb, "--", target)[0] == 3
    path, colon, upto = asked[0].target.partition(":")
    assert Path(path).read_bytes() == mbox
    assert Path(path).name == "stdin.mbx"
    assert f"-{colon}{upto}" == target
    assert {one.target for one in asked} == {asked[0].target}, "the same mails are the same file"
    check = replace(asked[0], unconfined=True)
    request.check(Shelves.default(), check)
    request.check(Shelves.default(), check)


def test_a_pipe_is_read_once(rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked, mbox = given(monkeypatch, tmp_path)
    own, other = os.pipe()
    thread = threading.Thread(target=lambda: (os.write(other, mbox), os.close(other)))
    thread.start()
    try:
        assert rig("run", f"/dev/fd/{own}")[0] == 3
    finally:
        thread.join()
        os.close(own)
    assert Path(asked[0].target).read_bytes() == mbox
    assert Path(asked[0].target).is_relative_to(Store.default().root)


@pytest.mark.parametrize("line", ["run {}", "mutate ./{}", "fetch {}", "build {}:1"])
def test_a_pipe_that_nobody_writes_to_does_not_hang(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
) -> None:
    monkeypatch.setattr(intake, "WRITER", 0.2)
    os.mkfifo(tmp_path / "series.mbx")
    status, err = rig(*line.format("series.mbx").split())
    assert status == 2
    assert "nobody writes to it" in err


@pytest.mark.parametrize("verb", ["run", "build", "mutate", "shell", "bench", "fetch", "explore"])
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_series(rig: Rig, verb: str, path: str) -> None:
    status, err = rig(verb, path)
    assert status == 2
    assert f"{path} is a device" in err


def test_nothing_on_stdin_is_no_series(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "stdin", lambda: b"\n")
    for verb, says in (("run", "there is no mail in it"), ("fetch", "stdin is empty")):
        status, err = rig(verb, "-")
        assert status == 2
        assert says in err


def test_b4_check_does_not_read_for_ever(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[RigError] = []
    monkeypatch.setattr(review, "trouble", lambda error: said.append(error) or [])
    before = os.dup(0)
    try:
        with Path("/dev/zero").open("rb") as file:
            os.dup2(file.fileno(), 0)
        assert rig("b4-check")[0] == 0
    finally:
        os.dup2(before, 0)
        os.close(before)
    assert "more than 64 MiB" in said[0].message


def test_every_verb_that_has_a_target_takes_stdin(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No verb goes round it."""
    monkeypatch.setattr(intake, "stdin", lambda: b"")
    for verb in ("run", "mutate", "explore", "bench", "build", "shell"):
        status, err = rig(verb, "-")
        assert (status, err.partition(":")[0]) == (2, "rig")
        assert "stdin: there is no mail in it" in err
    assert run.app is not None
