# SPDX-License-Identifier: GPL-2.0-only
"""What unit tests of several modules share: a store of their own, processes that must end."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig import git
from rig.base import Base
from rig.store import Store

TOP = Path(__file__).parent.parent.parent
KERNEL = TOP / "tests" / "data" / "kernel"
PATIENCE = 20.0
"""Seconds until something that must happen is taken not to happen; nothing ever waits that long."""

Eventually = Callable[[Callable[[], object]], None]
Alive = Callable[[int], bool]
Script = Callable[..., "subprocess.Popen[str]"]
Program = Callable[[str, str], Path]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    root = tmp_path / "store"
    root.mkdir()
    return Store(root)


@pytest.fixture
def eventually() -> Eventually:
    """Wait, no longer than it takes, until something holds."""

    def wait(holds: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, "it never came to hold"
            time.sleep(0.005)

    return wait


@pytest.fixture
def alive() -> Alive:
    """Whether a process runs; one that is dead and not yet waited for does not."""

    def look(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return look


@pytest.fixture
def script() -> Iterator[Script]:
    """Start a Python program that has the rig's modules; its arguments are strings.

    What is left of it when the test ends is killed, its children with it.
    """
    started: list[subprocess.Popen[str]] = []

    def start(source: str, *args: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", source, *map(str, args)],
            cwd=TOP,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put a shell script of the test's own first on the PATH, under the name of a real program."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, body: str) -> Path:
        path = directory / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


# A kernel in miniature, tests/data/kernel


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """Its source, for a test to change."""
    return Path(shutil.copytree(KERNEL, tmp_path / "kernel"))


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store that has it in linux.git, and its commit."""
    store = Store(tmp_path_factory.mktemp("imported"))
    return store.root, git.import_tree(store, KERNEL, "v6.12\n")


@pytest.fixture
def base(store: Store, imported: tuple[Path, str]) -> Base:
    """It, as a base in the test's own store."""
    root, commit = imported
    shutil.copytree(root / "linux.git", store.root / "linux.git")
    return Base(name="v6.12", commit=commit, origin="tests/data/kernel")
