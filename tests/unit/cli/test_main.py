# SPDX-License-Identifier: GPL-2.0-only
"""`rig` as a program: exit statuses, and what is said where."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rig import __main__ as rig
from rig.cli import run as cli_run
from rig.errors import (
    ApplyError,
    BootError,
    BuildError,
    ConfigError,
    DiskFull,
    GuestLost,
    InfraError,
    RigError,
    unknown,
)

TOP = Path(__file__).parents[3]
Status = tuple[int, str, str]


@pytest.fixture
def ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[BaseException], Status]]:
    """main(), with a command that ends so: status, stdout, stderr."""
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)

    def run(error: BaseException) -> Status:
        def fails() -> None:
            raise error

        monkeypatch.setattr(cli_run, "program", fails)
        monkeypatch.setattr(sys, "argv", ["rig"])
        with pytest.raises(SystemExit) as ended:
            rig.main()
        output = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else -1), output.out, output.err

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_option_given_twice_is_refused() -> None:
    rig.check_given_once(
        ["run", "v6.12", "--arch=arm64", "--mutant", "a,b", "--", "--arch", "--arch"]
    )
    for words in (["--mutant", "a", "--mutant", "b"], ["--mutant=a", "run", "--mutant", "b"]):
        with pytest.raises(ConfigError, match="--mutant is given twice") as error:
            rig.check_given_once(words)
        assert "--mutant A,B" in error.value.hint


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ApplyError("patch 2/3 does not apply"), 1),
        (BuildError("it does not compile"), 1),
        (BootError("the kernel does not boot"), 1),
        (GuestLost("guest exited; no panic or oops on the console"), 1),
        (ConfigError("there is no series"), 2),
        (unknown("series", "x", ["y"]), 2),
        (InfraError("gcc is not installed"), 3),
        (DiskFull("building"), 3),
        (RigError("whatever"), 3),
    ],
)
def test_an_error_is_a_message_and_a_status(
    ends: Callable[[BaseException], Status], error: RigError, status: int
) -> None:
    code, out, err = ends(error)
    assert (code, out) == (status, "")
    assert err.startswith(f"rig: {error.message}\n")
    assert "Traceback" not in err


def test_evidence_and_what_to_do_next_follow(ends: Callable[[BaseException], Status]) -> None:
    error = BuildError("it does not compile", detail="x.c:1: error: y\n  1 | z", hint="mend it")
    assert ends(error)[2] == (
        "rig: it does not compile\n  | x.c:1: error: y\n  |   1 | z\n  hint: mend it\n"
    )


def test_the_systems_refusals_are_the_hosts(ends: Callable[[BaseException], Status]) -> None:
    code, out, err = ends(PermissionError(13, "Permission denied", "/store"))
    assert (code, out) == (3, "")
    assert err == "rig: the rig: Permission denied (/store)\n"
    code, _, err = ends(OSError(28, "No space left on device"))
    assert code == 3
    assert "the disk is full" in err


def test_an_interrupt_is_said(ends: Callable[[BaseException], Status]) -> None:
    code, out, err = ends(SystemExit(130))
    assert (code, out, err) == (130, "", "rig: interrupted; nothing is left running\n")


def test_a_strangers_words_are_shown_and_not_obeyed(
    ends: Callable[[BaseException], Status], evil: str, harmless: Callable[..., None]
) -> None:
    harmless(ends(ApplyError(evil))[2])
    for error in (BuildError("no", detail=evil), BuildError("no", hint=evil)):
        code, out, err = ends(error)
        assert (code, out) == (1, "")
        harmless(err)
        assert [line[:4] for line in err.splitlines()[1:]] in (["  | "] * 4, ["  hi"])


# As a program


def start(*words: str, code: str = "", **rest: Any) -> "subprocess.Popen[str]":
    """`rig WORDS`, after some lines of Python."""
    how = ["-c", f"{code}\nfrom rig.__main__ import main\nmain()"] if code else ["-m", "rig"]
    return subprocess.Popen(
        [sys.executable, *how, *words], cwd=TOP, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **rest,
    )  # fmt: skip


def test_a_result_goes_to_stdout() -> None:
    process = start("list")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "batch-dirty-tlb-flush" in out


def test_an_error_goes_to_stderr() -> None:
    process = start("run", "batch-dirty-tlb-flsh")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err == (
        "rig: there is no series named 'batch-dirty-tlb-flsh'\n"
        "  hint: did you mean batch-dirty-tlb-flush?\n"
    )


def test_a_reader_that_has_enough_is_no_failure() -> None:
    """`rig list | head -1`: neither FAIL nor PASS nor a traceback."""
    process = start("list")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=120) == 128 + signal.SIGPIPE


WAITS = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, which may run the tests, ignores it
from rig.report import shelves
from rig import proc
def waits(*args):
    command = ["sh", "-c", "echo $$; exec sleep 1000"]
    proc.run(command, on_line=lambda line: print(line, flush=True))
shelves.render = waits
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_an_interrupted_rig_cleans_up_and_says_so(
    number: signal.Signals,
    alive: Callable[[int], bool],
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    process = start("list", code=WAITS)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.endswith("rig: interrupted; nothing is left running\n")
    assert "Traceback" not in err
    eventually(lambda: not alive(child))


def test_a_rig_under_nohup_does_not_end_with_its_terminal() -> None:
    waits = WAITS.replace("SIG_DFL", "SIG_IGN").replace("exec sleep 1000", "sleep 1")
    waits = waits.replace("\nshelves.", "\n    return ''\nshelves.")
    process = start("list", code=waits)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0
