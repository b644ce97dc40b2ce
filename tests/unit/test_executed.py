# SPDX-License-Identifier: GPL-2.0-only
"""The check of the programs that the tests execute, in tests/executed/."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import program_log
import programs
import pytest

EXECUTED = Path(programs.__file__).parent

CONFTEST = f"""
import sys
sys.path.insert(0, {str(EXECUTED)!r})
import programs

def pytest_configure(config):
    programs.own_places = lambda: ()
    config.pluginmanager.register(programs.Watch())
"""
TESTS = """
import subprocess, sys

def test_by_itself():
    subprocess.run([{tool!r}, "itself"], check=True)

def test_by_a_child():
    code = "import subprocess; subprocess.run(['env', 'A=b', {tool!r}], check=True)"
    subprocess.run([sys.executable, "-c", code], check=True)

def test_nothing():
    subprocess.run(["true"], check=True)
"""


@pytest.mark.parametrize(
    ("line", "programs_started"),
    [
        ("make -j 2", "make"),
        ("setpriv --pdeathsig KILL -- /usr/bin/make -- x", "setpriv /usr/bin/make"),
        ("/usr/bin/env -i A=b C=-d bwrap --ro-bind / / -- make", "/usr/bin/env bwrap make"),
        ("bwrap --dev /dev -- prlimit --nproc=9 -- sh -c true", "bwrap prlimit sh"),
        ("sudo -n true", "sudo"),
        ("env", "env"),
    ],
)
def test_wrappers_and_the_programs_in_them_are_listed(line: str, programs_started: str) -> None:
    assert program_log.unwrapped(line.split()) == programs_started.split()


def test_a_program_that_is_neither_listed_nor_essential_is_reported(tmp_path: Path) -> None:
    tool, mine = tmp_path / "tool", tmp_path / "mine" / "tool"
    seen = [
        *((tool, "rig/a.py:1 in b"), (tool, "c"), (mine, "d"), (Path("/usr/bin/python3.11"), "e")),
        *((Path(str(shutil.which(name))), "f") for name in ("sed", "sh", "env")),
    ]
    own = (tmp_path / "mine",)
    assert programs.complaints(seen, frozenset({"tool"}), own) == []
    (complaint,) = programs.complaints(seen, frozenset(), own)
    assert complaint.startswith(f"{tool} is executed, but no Need in rig/cli/requirements.py")
    assert "add a Need with programs=('tool',)" in complaint
    assert complaint.endswith("    by c\n    by rig/a.py:1 in b\n")


@pytest.mark.parametrize("words", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_a_session_fails_if_it_or_a_child_executes_such_a_program(
    words: list[str], tmp_path: Path
) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS.format(tool=str(tool)))

    def session(*more: str) -> tuple[int, str]:
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words, *more],
            cwd=tmp_path,
            env={key: os.environ[key] for key in os.environ if not key.startswith("PYTEST_")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr

    status, output = session()
    assert status == 1, output
    assert f"{tool} is executed, but no Need" in output
    assert re.search(r"by \S*test_it\.py:5 in test_it\.py::test_by_itself\n", output)
    assert "by <string>:1 in test_it.py::test_by_a_child\n" in output
    assert "3 passed, 1 error" in output
    status, output = session("-k", "nothing")
    assert status == 0, output
