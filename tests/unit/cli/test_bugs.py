# SPDX-License-Identifier: GPL-2.0-only
"""What the rig did not expect of itself is BROKEN (3): a few lines, and a file with the traceback.

Each fault is injected into `rig list` or `rig report`, in a process of its own.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
Said = tuple[int, str, str]
Rig = Callable[..., Said]

FAULT = """
import errno, sys
from rig.report import shelves
def fails(*args):
    {}
shelves.render = fails
from rig.__main__ import main
main()
"""


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """`rig list WORDS` after this fault: status, stdout, stderr."""
    (tmp_path / "store").mkdir()

    def call(fault: str = "", *words: str, program: str = "", **variables: str) -> Said:
        code = program or FAULT.format(fault)
        env = {**os.environ, "RIG_STORE": str(tmp_path / "store"), "TMPDIR": str(tmp_path)}
        env |= {"PYTHONPATH": str(TOP), **variables}
        done = subprocess.run(
            [sys.executable, "-c", code, *(words or ("list",))], env=env, text=True, timeout=120,
            stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return call


def reported(err: str) -> str:
    """What is in the file that the message names."""
    match = re.search(r"^  details: (.*)$", err, re.MULTILINE)
    assert match, err
    return Path(match[1]).read_text()


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("raise ValueError('max() arg')", "ValueError"),
        ("raise AssertionError", "AssertionError"),
        ("return fails(*args)", "RecursionError"),
        ("raise MemoryError", "MemoryError"),
        ("bytes(1 << 62)", "MemoryError"),
        ("b'\\xff'.decode()", "UnicodeDecodeError"),
        ("'\\udcff'.encode()", "UnicodeEncodeError"),
        ("int('1' * 5000)", "ValueError"),
        ("raise BaseException('x')", "BaseException"),
        ("raise StopIteration", "StopIteration"),
        ("import no_such_library", "ModuleNotFoundError"),
    ],
)
def test_a_bug_is_broken_and_short(rig: Rig, tmp_path: Path, fault: str, name: str) -> None:
    status, out, err = rig(fault)
    assert (status, out) == (3, "")
    assert err.startswith(f"rig: BROKEN: unexpected {name}")
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 5
    assert "report it with this file" in err
    said = reported(err)
    assert "Traceback" in said and name in said and said.startswith("rig list\n")
    assert [path.parent.name for path in tmp_path.rglob("*.txt")] == ["bugs"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("ENOSPC", "the disk is full"),
        ("EDQUOT", "the disk is full"),
        ("EACCES", "Permission denied"),
        ("EROFS", "Read-only file system"),
        ("EMFILE", "Too many open files"),
        ("EIO", "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_the_hosts_fault(rig: Rig, number: str, words: str) -> None:
    status, out, err = rig(f"import os; raise OSError(errno.{number}, os.strerror(errno.{number}))")
    assert (status, out) == (3, "")
    assert words in err.splitlines()[0]
    assert "Traceback" not in err


def test_the_traceback_is_shown_to_those_who_ask(rig: Rig) -> None:
    status, _, err = rig("1 / 0", RIG_DEBUG="1")
    assert status == 3
    assert "Traceback (most recent call last)" in err
    assert "ZeroDivisionError" in err
    program = FAULT.format("").replace("shelves.render", "shelves.other")
    verbose = program.replace(
        "import shelves", "import shelves, revisions\nfrom rig.series import fetch"
    )
    verbose = verbose.replace("shelves.other", "fetch.fetch").replace(
        "fails(*args):", "fails(*a, **b):\n    1 / 0"
    )
    assert "Traceback" in rig("", "fetch", "x", "-v", program=verbose)[2]
    assert "Traceback" not in rig("", "fetch", "x", program=verbose)[2]


def test_a_bug_while_the_store_is_broken(rig: Rig, tmp_path: Path) -> None:
    """The details are then in TMPDIR; without a TMPDIR they are on the terminal when asked for."""
    (tmp_path / "file").write_text("")
    for store in (tmp_path / "gone", tmp_path / "file", Path("/proc/none"), Path("x" * 5000)):
        status, _, err = rig("1 / 0", RIG_STORE=str(store))
        assert status == 3
        assert f"details: {tmp_path}/rig-bug-" in err
        assert "ZeroDivisionError" in reported(err)
    assert not (tmp_path / "gone").exists()
    nowhere = "import tempfile; tempfile.mkstemp = lambda **_: open('/proc/none', 'w'); 1 / 0"
    status, _, err = rig(nowhere)
    assert status == 3
    assert "no file could be written" in err and "RIG_DEBUG=1" in err
    assert "Traceback" not in err


def test_an_import_that_fails_is_broken(rig: Rig) -> None:
    """A library is missing or has another version: the first thing a new user may see."""
    program = "import sys; sys.modules['typer'] = None\nfrom rig.__main__ import main\nmain()"
    status, out, err = rig(program=program)
    assert (status, out) == (3, "")
    assert "ModuleNotFoundError" in err.splitlines()[0] and "./bootstrap" in err
    assert "Traceback" not in err


THREAD = """
import threading
from rig.report import shelves
def renders(*args):
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    return "all is well\\n"
shelves.render = renders
from rig.__main__ import main
main()
"""


def test_a_thread_that_dies_takes_a_pass_with_it(rig: Rig) -> None:
    status, out, err = rig(program=THREAD)
    assert (status, out) == (3, "all is well\n")
    assert err.startswith("rig: BROKEN: unexpected ZeroDivisionError")
    assert "Traceback" not in err
    assert "ZeroDivisionError" in reported(err)


POOL = """
from rig.campaigns import execute
from rig.report import shelves
def renders(*args):
    with execute.guests(2) as submit:
        futures = [submit(lambda: 1), submit(lambda: 1 / 0)]
        return str([future.result() for future in futures])
shelves.render = renders
from rig.__main__ import main
main()
"""


def test_so_does_a_worker_of_a_campaign(rig: Rig) -> None:
    status, out, err = rig(program=POOL)
    assert (status, out) == (3, "")
    assert err.startswith("rig: BROKEN: unexpected ZeroDivisionError")


def test_a_message_of_a_bug_is_shown_and_not_obeyed(
    rig: Rig, evil: str, harmless: Callable[..., None]
) -> None:
    for words in ((), ("RIG_DEBUG",)):
        status, out, err = rig(f"raise ValueError({evil!r})", **dict.fromkeys(words, "1"))
        assert (status, out) == (3, "")
        harmless(err, lines=not words)
        harmless(reported(err), lines=False)


# Streams that are not as usual


def shell(tmp_path: Path, line: str, **variables: str) -> tuple[list[int], str]:
    """`sh -c` with $RIG as the rig; each status that the line prints, and all other output."""
    env = {**os.environ, "RIG_STORE": str(tmp_path), "PYTHONPATH": str(TOP), **variables}
    env["RIG"] = f"{sys.executable} -m rig"
    done = subprocess.run(
        ["bash", "-c", line], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        errors="replace", check=False,
    )  # fmt: skip
    lines = (done.stdout + done.stderr).splitlines()
    statuses = [int(word) for text in lines if text.startswith("= ") for word in text.split()[1:]]
    return statuses, "\n".join(text for text in lines if not text.startswith("= "))


@pytest.mark.parametrize(
    ("line", "statuses", "words"),
    [
        ("$RIG man | head -0; echo = ${PIPESTATUS[0]}", [141], ""),
        ("$RIG run x 2>&1 | head -0; echo = ${PIPESTATUS[0]}", [2], ""),
        ("$RIG --help | head -0; echo = ${PIPESTATUS[0]}", [141], ""),
        ("$RIG list >/dev/full; echo = $?", [3], "stdout cannot be written: No space left"),
        ("$RIG run x 2>/dev/full; echo = $?", [2], ""),
        ("$RIG run x 2>&-; echo = $?", [2], ""),
        ("$RIG list >&-; echo = $?", [0], ""),
        ("$RIG run x >&- 2>&- <&-; echo = $?", [2], ""),
    ],
)
def test_streams_that_are_closed_or_full(
    tmp_path: Path, line: str, statuses: list[int], words: str
) -> None:
    found, said = shell(tmp_path, line)
    assert found == statuses
    assert words in said and "Traceback" not in said and "Exception ignored" not in said
    assert said if words else not said


def test_a_terminal_without_unicode(tmp_path: Path) -> None:
    for verb in ("list --cases", "man", "--help", "run '…'"):
        statuses, said = shell(tmp_path, f"$RIG {verb}; echo = $?", PYTHONIOENCODING="ascii")
        assert statuses == [2 if verb.startswith("run") else 0]
        assert "Traceback" not in said
