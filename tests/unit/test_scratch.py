# SPDX-License-Identifier: GPL-2.0-only
"""Temporary directories of rigs that are alive, and of rigs that were killed."""

import fcntl
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rig import proc, scratch
from rig.errors import InfraError
from rig.kernel import sandbox
from rig.store import Store

HOLDS = """
import sys, time
from pathlib import Path
from rig import scratch
with scratch.made(Path(sys.argv[1])) as path:
    (path / "file").write_text("x")
    print(path, flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("remover", [scratch.made, sandbox.scratch], ids=["plain", "sandbox"])
def test_what_a_killed_rig_left_is_removed_by_a_later_one(
    tmp_path: Path, script: Callable[..., Any], remover: Any
) -> None:
    killed, alive = script(HOLDS, tmp_path), script(HOLDS, tmp_path)
    left, used = (Path(process.stdout.readline().strip()) for process in (killed, alive))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert (left / "file").is_file(), "nobody has removed it"
    with remover(tmp_path) as mine:
        assert not left.exists()
        assert (used / "file").is_file(), "its rig lives"
        assert {mine, used} == set(tmp_path.iterdir())
    assert set(tmp_path.iterdir()) == {used}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a pid namespace here")
def test_a_rig_in_another_container_is_alive(
    tmp_path: Path, script: Callable[..., Any], store: Store
) -> None:
    """Its pid means nothing here: here another process has that pid, or none."""
    body = HOLDS.replace("scratch.made(Path(sys.argv[1]))", "Store(Path(sys.argv[1])).scratch()")
    inside = body.replace("from rig import scratch", "from rig.store import Store")
    words = ["unshare", "--pid", "--fork", "--kill-child", "python", "-c", inside, str(store.root)]
    starter = (
        f"import os, sys\nwords = {words!r}\nwords[4] = sys.executable\nos.execvp(words[0], words)"
    )
    other = script(starter)
    used = Path(other.stdout.readline().strip())
    assert used.parent == store.root / "tmp", other.stderr
    with store.scratch() as mine:
        assert (used / "file").is_file()
        assert mine != used
    assert (used / "file").is_file()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """Also those of a person who calls them rig-something, and links to elsewhere."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "notes").touch()
    names = ("rig-notes", "rig-scratch-", "rig-scratch-my-notes", "rig-abcd1234", "27468-lcs3d774")
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "rig-scratch-abcd1234").symlink_to(home)
    (tmp_path / "rig-scratch-abcd1235").touch()
    before = set(tmp_path.iterdir())
    with scratch.made(tmp_path):
        pass
    assert set(tmp_path.iterdir()) == before
    assert (home / "notes").is_file()


def test_another_users_are_left_alone(tmp_path: Path) -> None:
    left = tmp_path / "rig-scratch-abcd1234"
    left.mkdir()
    scratch.sweep(tmp_path, scratch.remove, {os.geteuid() + 1})
    assert left.is_dir()
    scratch.sweep(tmp_path, scratch.remove, {os.geteuid()})
    assert not left.exists()


def test_a_directory_that_another_rig_has_just_swept_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other rig comes between mkdtemp() and the lock."""
    real, calls = fcntl.flock, []

    def flock(number: int, how: int) -> None:
        calls.append(number)
        if len(calls) == 1:
            raise BlockingIOError
        if len(calls) == 2:
            for path in tmp_path.iterdir():
                shutil.rmtree(path)
        real(number, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with scratch.made(tmp_path) as mine:
        assert mine.is_dir()
    assert len(calls) == 3


# Sockets


def test_a_long_tmpdir_is_not_used_for_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with sandbox.scratch() as path:
        assert len(os.fsencode(path / "qemu" / "events")) < 108
        (path / "qemu").mkdir()
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path / "qemu" / "events"))
    monkeypatch.setattr(sandbox, "OTHERS", (str(tmp_path / "gone"),))
    with pytest.raises(InfraError, match="too long for a socket") as raised, sandbox.scratch():
        pass
    assert raised.value.hint == "set TMPDIR to a directory whose path has at most 70 bytes"


def test_a_short_tmpdir_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox.scratch() as short:
        monkeypatch.setattr("tempfile.tempdir", str(short))
        with sandbox.scratch() as path:
            assert path.parent == short


# Commands


def test_a_daemon_that_keeps_the_pipe_does_not_outlast_the_deadline() -> None:
    """It is in a session of its own, and so is not killed with the command."""
    words = ["sh", "-c", "setsid sleep 100 & exec sleep 100"]
    for on_line in (None, lambda line: None):
        with pytest.raises(proc.DeadlineExceeded):
            proc.run(words, deadline=1, on_line=on_line)
