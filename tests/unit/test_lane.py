# SPDX-License-Identifier: GPL-2.0-only
"""The sandbox; checking out and building in a lane are in test_kbuild.py."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rig import lane, proc

BOXED = proc.which("bwrap") is not None and not proc.run(
    ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], check=False
).status  # fmt: skip


@pytest.mark.skipif(not BOXED, reason="bubblewrap does not work here")
def test_a_build_has_no_network_and_sees_no_other_process(tmp_path: Path) -> None:
    for name in lane.WRITABLE:
        (tmp_path / name).mkdir()
    box = lane.sandbox(tmp_path)
    devices = proc.run([*box, "cat", "/proc/net/dev"]).stdout
    assert [line.split(":")[0].strip() for line in devices.splitlines()[2:]] == ["lo"]
    assert int(proc.run([*box, "sh", "-c", "ls -d /proc/[0-9]* | wc -l"]).stdout) < 6
    proc.run([*box, "touch", tmp_path / "out" / "mine"])
    assert (tmp_path / "out" / "mine").is_file()


def test_a_bubblewrap_that_does_not_work_is_no_sandbox(
    tmp_path: Path, program: Callable[[str, str], Path]
) -> None:
    for name in lane.WRITABLE:
        (tmp_path / name).mkdir()
    program("bwrap", "echo 'bwrap: Creating new namespace failed' >&2; exit 1")
    assert lane.sandbox(tmp_path) == []
