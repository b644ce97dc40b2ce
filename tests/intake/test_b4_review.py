# SPDX-License-Identifier: GPL-2.0-only
"""`rig b4-check` as `b4 review` starts and reads it: b4's own code, and its own configuration."""

import email
import email.policy
import shlex
import subprocess
import sys
from pathlib import Path

import b4
import b4.command
import pytest
from b4.review import checks

from rig.campaigns import execute
from rig.store import Store
from tests.unit.conftest import case, result

COVER = b"From: a@b\nMessage-Id: <unmap-v2-0@example.org>\nSubject: [PATCH v2 0/1] x\n\nWhy.\n"
TOP = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("run", [True, False], ids=["run", "not run"])
def test_b4_shows_our_verdict(run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "linux"
    subprocess.run(["git", "init", "-q", tree], check=True)
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    words = [sys.executable, "-m", "rig", "b4-check", "--config", "--tree", tree]
    line = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    subprocess.run(shlex.split(line), check=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tree)
    if run:
        path = Store(tmp_path / "store").root / "runs" / "20260101-000000-x" / "x86_64"
        execute.store_result(result(cases=(case("anon_lost_write"),)), path)
        (path / "top.eml").write_bytes(COVER)
    b4.setup_config(b4.command.setup_parser().parse_args(["-n", "am", "x@y"]))
    _, commands = checks.load_check_cmds()
    assert len(commands) == 1
    mail = email.message_from_bytes(COVER, policy=email.policy.default)
    (shown,) = checks.run_series_checks(("unmap-v2-0@example.org", mail), commands, str(tree))
    if run:
        assert (shown["tool"], shown["status"]) == ("rig/x86_64", "pass")
        assert shown["summary"].startswith("PASS: ")
        assert "stale_tlb/anon_lost_write" in shown["details"]
    else:
        assert (shown["status"], shown["summary"]) == ("warn", "not run yet")
        assert shown["details"] == f"rig run unmap-v2-0@example.org --tree {tree}"
