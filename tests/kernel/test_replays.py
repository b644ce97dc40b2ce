# SPDX-License-Identifier: GPL-2.0-only
"""The seeded schedule on real kernels: the same bytes again, and a failure one can look at."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rig import arch, proc
from rig.campaigns import execute, replay, trace
from rig.guest import gdbstub, seeded
from rig.store import Store

CASE = ("--suite", "stale_tlb", "--case", "anon_lost_write")
Ran = Callable[..., proc.Done]


def rig(*words: str, status: int) -> str:
    result = proc.run([sys.executable, "-m", "rig", *words], check=False, deadline=3600)
    assert result.status == status, result.stdout + result.stderr
    return result.stdout


def run(name: str, seed: int, *words: str, status: int) -> tuple[str, Path]:
    """A seeded run: what it printed, and where it is stored."""
    schedule = ("--schedule", "seeded", "--seed", str(seed))
    output = rig("run", "v6.12", "--arch", name, *schedule, *CASE, *words, status=status)
    match = re.search(r"^rig report (\S+)$", output, re.MULTILINE)
    assert match, output
    return output, execute.find(Store.default(), match[1])


@pytest.mark.parametrize("name", list(arch.standard()))
@pytest.mark.parametrize("mutant", ["", "no-remote-flush"])
def test_a_seed_is_a_run(name: str, mutant: str) -> None:
    words = ("--mutant", mutant) if mutant else ()
    output, directory = run(name, 1, *words, status=1 if mutant else 0)
    assert bool(mutant) == ("read back" in output)
    again = rig("replay", directory.name, status=0)
    assert re.search(r"stale_tlb/anon_lost_write +identical", again)
    _, other = run(name, 2, *words, "--quiet", status=1 if mutant else 0)
    digests = {replay.recorded(path)[0].case.digest for path in (directory, other)}
    assert len(digests) == 2, "another seed is another run"


@pytest.mark.parametrize("name", list(arch.standard()))
def test_a_failing_run_is_stopped_at_the_instant_it_failed(name: str, tmp_path: Path) -> None:
    store = Store.default()
    _, directory = run(name, 1, "--mutant", "no-remote-flush", status=1)
    (record,) = replay.recorded(directory)
    with replay.stopped(store, record, tmp_path / "again") as stopped:
        before = (record.directory / seeded.ANSWER).read_bytes()
        so_far = (tmp_path / "again" / seeded.ANSWER).read_bytes()
        assert before.startswith(so_far), "the same run"
        assert b"evidence" in before and b"evidence" not in so_far, "it has not yet said so"
        stub = gdbstub.Stub(stopped.gdb.parent / "qemu" / "gdb", 60)
        assert stub.ask(b"?").startswith(b"T05"), "it stands, as often as it is looked at"
        stub.close()
        typed = b"set pagination off\ninfo threads\nkill\nquit\n"
        seen = proc.run([stopped.gdb], stdin=typed, check=False).stdout.replace("\r", "")
        assert len(re.findall(r"^[* ] +\d+ +Thread ", seen, re.MULTILINE)) == 4, seen


@pytest.mark.parametrize("name", list(arch.standard()))
def test_a_trace_leaves_the_run_as_it_was(name: str) -> None:
    _, directory = run(name, 1, "--mutant", "no-remote-flush", status=1)
    output = rig("replay", directory.name, "--trace", "try_to_unmap_one,swap_writepage", status=0)
    assert re.search(r"stale_tlb/anon_lost_write +identical", output)
    (record,) = replay.recorded(directory)
    lines = (record.directory / trace.FILE).read_text().splitlines()
    counted = re.findall(r"^ +([\d,]+)  \w+$", output, re.MULTILINE)
    unmapped, written = (int(number.replace(",", "")) for number in counted)
    assert len(lines) == unmapped + written
    # The kernel counts its writes itself: no call is missing.
    assert written == dict(record.case.counters)["pswpout"] > 1000
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times) and len(set(times)) > 20
