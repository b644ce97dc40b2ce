# SPDX-License-Identifier: GPL-2.0-only
"""What b4 says, made into errors. b4 here is a script; the real one is in tests/intake."""

import os
import sys
from pathlib import Path

import pytest

from rig.errors import ConfigError, InfraError
from rig.series import b4


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Says":
    return Says(tmp_path, monkeypatch)


class Says:
    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = tmp_path / "bin"
        self.home.mkdir()
        self.words = tmp_path / "words"
        # b4 is looked for beside the Python that runs the rig, then on the PATH.
        monkeypatch.setattr(sys, "executable", str(self.home / "python"))
        monkeypatch.setenv("PATH", f"{tmp_path}/path{os.pathsep}{os.environ['PATH']}")

    def __call__(self, body: str) -> None:
        path = self.home / "b4"
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{self.words}\n{body}\n')
        path.chmod(0o755)


def test_a_thread(says: Says, tmp_path: Path) -> None:
    says(f"touch {tmp_path}/thread")
    assert b4.thread("a@b", tmp_path) == tmp_path / "thread"
    words = says.words.read_text().split("\n")
    assert "b4.attestation-policy=off" in words
    assert "--offline-mode" not in words
    assert words[-2] == "a@b"


def test_a_mailbox_needs_no_network(says: Says, tmp_path: Path) -> None:
    says(f"touch {tmp_path}/thread")
    b4.thread("x", tmp_path, local=tmp_path / "x.mbox")
    words = says.words.read_text().split("\n")
    assert "--offline-mode" in words
    assert words[words.index("-m") + 1] == f"{tmp_path}/x.mbox"


@pytest.mark.parametrize(
    ("said", "kind", "complaint"),
    [
        (
            "Could not retrieve thread: Server returned an error: 404",
            ConfigError,
            "there is no message a@b on the server",
        ),
        (
            "Looking up a@b\nCould not retrieve thread: Server returned an error: 503",
            InfraError,
            "did not deliver the thread: Could not .* 503",
        ),
        ("Traceback (most recent call last):\nOSError: cut", InfraError, "OSError: cut"),
        ("", ConfigError, "no mail in it"),
    ],
)
def test_no_thread(
    says: Says, tmp_path: Path, said: str, kind: type[Exception], complaint: str
) -> None:
    says(f"echo '{said}' >&2; exit 1")
    with pytest.raises(kind, match=complaint):
        b4.thread("a@b", tmp_path)


def test_an_end_without_a_thread(says: Says, tmp_path: Path) -> None:
    says("echo No messages found for that query >&2")
    with pytest.raises(ConfigError, match="there is no message a@b on the server"):
        b4.thread("a@b", tmp_path)


def test_a_thread_that_does_not_come(
    says: Says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(b4, "DEADLINE", 0.2)
    says("sleep 60")
    with pytest.raises(InfraError, match=r"did not deliver the thread within 0\.2 s"):
        b4.thread("a@b", tmp_path)


@pytest.mark.parametrize(("with_trailers", "there"), [(False, True), (True, False)])
def test_am(says: Says, tmp_path: Path, with_trailers: bool, there: bool) -> None:
    says("echo Total patches >&2")
    output = b4.am(tmp_path / "x", 3, tmp_path, with_trailers=with_trailers)
    assert output == "Total patches\n"
    words = says.words.read_text().split("\n")
    assert "--offline-mode" in words
    assert ("-T" in words) == there
    assert words[words.index("-v") + 1] == "3"
    assert words[-3:] == ["-n", "v3.mbx", ""]


def test_am_that_refuses(says: Says, tmp_path: Path) -> None:
    says("printf 'hm\\n---\\nWARNING: suspicious\\n  Line: x\\n' >&2; exit 1")
    with pytest.raises(ConfigError, match="`b4 am` failed for v3: WARNING: suspicious") as bad:
        b4.am(tmp_path / "x", 3, tmp_path, with_trailers=False)
    assert "Line: x" in bad.value.detail
