# SPDX-License-Identifier: GPL-2.0-only
"""The rig killed, doubled, and out of room: nothing half-made is ever used, nothing is lost."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rig import arch, proc
from rig.store import Store

RIG = [sys.executable, "-m", "rig"]
DATA = Path(__file__).parents[1] / "data" / "mbx" / "kernel"
LANE = "lanes/x86_64-base-v6.12"


def until(happened: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"it did not happen in {seconds} s"
        time.sleep(0.02)


def working_in(place: Path) -> list[str]:
    """Command lines of the processes that name a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(place) in line:
            found.append(line)
    return found


def never_built(directory: Path) -> Path:
    """A series no store has a kernel of: a comment in mm/vmscan.c that was never written before."""
    mail = (DATA / "does-not-compile.mbx").read_text()
    series = directory / "never-built.mbx"
    series.write_text(mail.replace("rig_no_such_function();", f"/* {time.time_ns()} */"))
    return series


def test_killed_in_the_middle_of_a_build_then_two_at_once(tmp_path: Path) -> None:
    store = Store.default()
    lane = store.root / LANE
    command = [*RIG, "build", never_built(tmp_path)]
    # Of other rigs' builds that were killed, in this store that everybody shares.
    before = set((store.root / "builds").glob(".*"))
    with proc.spawn(command) as rig:
        until(lambda: any("vmscan" in line for line in working_in(lane)), 600)
        os.kill(rig.pid, signal.SIGKILL)
        until(lambda: not working_in(lane), 20)
    with proc.spawn(command) as first, proc.spawn(command) as second:
        outputs = [side.communicate(timeout=1200)[0].decode() for side in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0), outputs
    assert sorted("objects compiled in" in text for text in outputs) == [False, True], outputs
    assert sorted(": reused" in text for text in outputs) == [False, True], outputs
    left = set((store.root / "builds").glob(".*")) - before
    assert not left, "a killed build's scratch is gone"


def test_disk_full_while_fetching_is_the_hosts_fault(tmp_path: Path) -> None:
    """A store of 64 MiB, where a kernel's source does not fit."""
    script = 'mount -t tmpfs -o size=64m none "$1" && shift && exec "$@"'
    place = tmp_path / "small"
    place.mkdir()
    argv = ["unshare", "-rm", "sh", "-c", script, "sh", place, *RIG, "build", "v6.12"]
    result = proc.run(argv, env={"RIG_STORE": str(place)}, check=False, deadline=300)
    assert result.status == 3, result.stderr
    assert "rig: the disk is full" in result.stderr
    assert "RIG_STORE" in result.stderr


def test_interrupted_while_guests_run_leaves_nothing_running() -> None:
    store = Store.default()
    with proc.spawn([*RIG, "run", "v6.12", "--arch", ",".join(arch.standard())]) as rig:
        assert rig.stdout is not None
        for line in rig.stdout:
            if b" on " in line and b"PASS" in line:  # a guest is up, and has more to do
                break
        builds = store.root / "builds"
        guests = working_in(builds)
        assert any("qemu-system" in line for line in guests), guests
        rig.send_signal(signal.SIGINT)
        assert rig.wait(timeout=30) == 130
        assert not [line for line in working_in(builds) if "qemu-system" in line]
        assert b"interrupted" in rig.stdout.read()
