# SPDX-License-Identifier: GPL-2.0-only
"""The linters, as tests (DESIGN, style 15)."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent.parent

SHELL = re.compile(rb"#!\s*/(usr/)?bin/(env )?(?P<busybox>busybox )?(?P<kind>ba|da)?sh\b")

FORMAT = ("-m", "ruff", "format", "--check", "--diff")
CHECK = ("-m", "ruff", "check")
TYPES = ("-m", "mypy", "--strict", "--cache-dir", str(TOP / ".mypy_cache"))


def lint(*command: str | Path, cwd: Path = TOP) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command", [(*FORMAT, "."), (*CHECK, "."), (*TYPES, "rig")], ids=["format", "ruff", "mypy"]
)
def test_python(command: tuple[str, ...]) -> None:
    status, output = lint(*command)
    assert status == 0, output


@pytest.mark.parametrize(
    ("command", "source"),
    [
        (FORMAT, "x = [1,2]\n"),
        (CHECK, "import os\n"),
        (CHECK, "print('to nobody')\n"),
        (TYPES, "def f(x):\n    return x\n"),
    ],
    ids=["format", "unused", "print", "untyped"],
)
def test_bad_python_is_complained_of(command: tuple[str, ...], source: str, tmp_path: Path) -> None:
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    (tmp_path / "bad.py").write_text(source)
    status, output = lint(*command, "bad.py", cwd=tmp_path)
    assert status == 1, output


def same_name(directory: Path) -> list[str]:
    """Test modules with one name: pytest collects only the first where both are in one run."""
    names = [path.name for path in sorted(directory.rglob("test_*.py"))]
    return sorted({name for name in names if names.count(name) > 1})


def test_every_test_module_has_a_name_of_its_own(tmp_path: Path) -> None:
    assert same_name(TOP / "tests") == []
    for name in ("unit/test_a.py", "kernel/test_a.py", "kernel/test_b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert same_name(tmp_path) == ["test_a.py"]


def shell_files() -> Iterator[Path]:
    yield TOP / "bootstrap"
    for top in (".ci", "images", "rig", "tests"):
        for path in sorted((TOP / top).rglob("*")):
            if path.is_file() and not path.is_symlink() and dialect(path):
                yield path


def dialect(path: Path) -> str:
    """The shell a file is written for; empty if it is no shell script."""
    with path.open("rb") as file:
        match = SHELL.match(file.readline())
    if not match:
        return ""
    # shellcheck knows busybox since 0.10, and Debian 12 has 0.9: dash is what its sh is made after.
    return "dash" if match["busybox"] else f"{(match['kind'] or b'').decode()}sh"


def shellcheck(path: Path) -> tuple[int, str]:
    program = shutil.which("shellcheck")
    assert program, "shellcheck is not installed: `rig doctor --fix` installs it"
    done = subprocess.run(
        [program, f"--shell={dialect(path)}", path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("path", tuple(shell_files()), ids=lambda path: str(path.relative_to(TOP)))
def test_shell(path: Path) -> None:
    status, output = shellcheck(path)
    assert status == 0, output


@pytest.mark.parametrize(
    ("shebang", "shell"),
    [
        ("#!/bin/sh", "sh"),
        ("#!/bin/bash", "bash"),
        ("#!/usr/bin/env bash", "bash"),
        ("#!/bin/busybox sh", "dash"),
        ("#!/usr/bin/python3", ""),
        ("", ""),
    ],
)
def test_shell_is_known_and_bad_shell_complained_of(
    shebang: str, shell: str, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text(f"{shebang}\nrm -r $1\n")
    assert dialect(script) == shell
    if shell:
        status, output = shellcheck(script)
        assert status == 1
        assert "SC2086" in output
