# SPDX-License-Identifier: GPL-2.0-only
"""What is read when a user names it: files and pipes, with limits; no device."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig.errors import ConfigError
from rig.series import intake


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A named pipe; nobody waits long for it."""
    monkeypatch.setattr(intake, "WRITER", 0.3)
    monkeypatch.setattr(intake, "SILENCE", 0.6)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
def writer(pipe: Path) -> Iterator[Callable[..., None]]:
    """Somebody opens the pipe after a while, writes these parts with pauses, and closes it."""
    threads: list[threading.Thread] = []

    def start(*parts: bytes, before: float = 0, pause: float = 0) -> None:
        def write() -> None:
            time.sleep(before)
            with pipe.open("wb", buffering=0) as file:
                for part in parts:
                    file.write(part)
                    time.sleep(pause)

        threads.append(threading.Thread(target=write))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\0mail")
    assert intake.read(tmp_path / "x") == b"\xff\0mail"
    with pytest.raises(FileNotFoundError):
        intake.read(tmp_path / "gone")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/full", "/dev/urandom"])
def test_a_device_is_no_mbox(path: str) -> None:
    with pytest.raises(ConfigError, match=f"{path} is a device"):
        intake.read(Path(path))


def test_a_directory_is_no_mbox(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        intake.read(tmp_path)


def test_a_file_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="more than 64 MiB"):
        intake.read(tmp_path / "huge")


def test_a_pipe_is_read_to_its_end(pipe: Path, writer: Callable[..., None]) -> None:
    writer(b"a" * 100_000, b"b", before=0.1, pause=0.1)
    assert intake.read(pipe) == b"a" * 100_000 + b"b"


def test_a_pipe_may_be_empty(pipe: Path, writer: Callable[..., None]) -> None:
    writer(before=0.1, pause=0.1)
    began = time.monotonic()
    assert intake.read(pipe) == b""
    assert time.monotonic() - began < 5


def test_a_pipe_without_a_writer_ends(pipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"pipe cannot be read: nobody writes to it"):
        intake.read(pipe)


def test_a_writer_that_is_silent_ends(pipe: Path, writer: Callable[..., None]) -> None:
    writer(b"From", pause=2)
    with pytest.raises(ConfigError, match=r"had no data for 0.6 s"):
        intake.read(pipe)


def test_stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"mail")
    before = os.dup(0)
    try:
        for path, data in (("x", b"mail"), ("/dev/null", b"")):
            with (tmp_path / path).open("rb") as file:
                os.dup2(file.fileno(), 0)
            assert intake.stdin() == data
        with Path("/dev/zero").open("rb") as file:
            os.dup2(file.fileno(), 0)
        with pytest.raises(ConfigError, match="stdin has more than 64 MiB"):
            intake.stdin()
        own, other = os.openpty()
        os.dup2(other, 0)
        with pytest.raises(ConfigError, match="stdin is a terminal"):
            intake.stdin()
        os.close(own)
        os.close(other)
        os.close(0)
        with pytest.raises(ConfigError, match="stdin cannot be read"):
            intake.stdin()
    finally:
        os.dup2(before, 0)
        os.close(before)
