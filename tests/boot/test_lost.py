# SPDX-License-Identifier: GPL-2.0-only
"""Guests that die, hang or do not boot: found at once, reported correctly, and nothing is left."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from rig import arch, proc
from rig.campaigns import execute, live, pipeline
from rig.campaigns.results import Prepared
from rig.errors import BootError, GuestLost, InfraError
from rig.guest import accel, cpio
from rig.guest import boot as guests
from rig.guest.boot import Guest
from rig.guest.qemu import Accel
from rig.store import Store
from rig.suites import suite
from rig.suites.suite import Selection
from rig.verdict.rules import Outcome

Boot = Callable[..., AbstractContextManager[Guest]]
CRASH = "echo c > /proc/sysrq-trigger"


def until(happened: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something that must happen."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"{happened} did not happen in {seconds} s"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_panic_ends_the_command_and_stays(boot: Boot) -> None:
    with boot() as guest:
        with pytest.raises(GuestLost, match=r"sysrq triggered crash|NULL pointer") as first:
            guest.run(f"{CRASH}; sleep 1000", deadline=30)
        assert "panic" in first.value.detail
        with pytest.raises(GuestLost) as again:
            guest.run("true")
        assert again.value is first.value


def test_guest_that_resets_without_a_splat_is_lost(boot: Boot) -> None:
    with boot() as guest:
        with pytest.raises(GuestLost, match="no panic or oops"):
            guest.run("reboot -f; sleep 1000", deadline=30)


def test_command_past_its_deadline_loses_the_guest(boot: Boot) -> None:
    with boot() as guest:
        with pytest.raises(GuestLost, match="deadline"):
            guest.run("sleep 1000", deadline=0.2)
        registers = guest.console.path.with_name("registers.txt").read_text()
        assert "RIP" in registers or "PC=" in registers


def test_killed_qemu_is_not_the_kernels_fault(boot: Boot) -> None:
    with boot() as guest:
        os.kill(guest.pid, signal.SIGKILL)
        with pytest.raises(InfraError, match="killed by signal 9"):
            guest.run("true")


def test_panic_at_boot(boot: Boot) -> None:
    with pytest.raises(BootError, match="panic"):
        with boot("rdinit=/no-such-init", "root=/dev/no-such-disk"):
            pass


def test_hang_at_boot(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "BOOT_DEADLINE", 1.5)
    with pytest.raises(BootError, match="hangs at boot"):
        with boot("rdinit=/bin/sh"):  # waits for input
            pass


def test_ssh_refused(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "BOOT_DEADLINE", 2)
    nobody = cpio.archive([cpio.file("usr/sbin/dropbear", b"#!/bin/sh\nexit 0\n", 0o755)])
    with pytest.raises(BootError, match="SSH is refused"):
        with boot(initrd=(nobody,)):
            pass


def test_setup_that_fails_is_the_rigs_fault(boot: Boot) -> None:
    with pytest.raises(InfraError, match="no zram swap"):
        with boot("rig.zram=nonsense"):
            pass


def test_case_during_which_the_kernel_dies(prepared: Prepared, tmp_path: Path) -> None:
    """The case fails, the others run in another guest, and the result has all of it."""
    spec = replace(prepared.spec, suites=(Selection(suite="madv_free"),))
    original = suite.run_case
    crashed: list[str] = []

    def crashing(guest, chosen, case, **options):  # type: ignore[no-untyped-def]
        if not crashed:
            crashed.append(case.name)
            guest.run(f"(sleep 0.3; {CRASH}) >/dev/null 2>&1 </dev/null &")
        return original(guest, chosen, case, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "run_case", crashing)
        result = pipeline.execute(replace(prepared, spec=spec), tmp_path / "run")
    assert result.verdict.outcome is Outcome.FAIL
    first, *others = [case for ran in result.suites for case in ran.cases]
    assert [first.name] == crashed
    assert first.outcome is Outcome.FAIL and "crash" in first.reason
    assert others and {case.outcome for case in others} <= {Outcome.PASS, Outcome.SKIP}
    splat = next(splat for splat in result.splats if splat.fatal)
    assert any("drivers/tty/sysrq.c:" in line for line in splat.text), "stacks are decoded"
    execute.store_result(result, tmp_path / "run")
    assert execute.load(tmp_path / "run" / execute.RESULT) == result


def test_guests_live_side_by_side(prepared: Prepared, tmp_path: Path) -> None:
    with guests.boot(prepared.spec.machine, prepared.software, tmp_path / "a") as first:
        with guests.boot(prepared.spec.machine, prepared.software, tmp_path / "b") as second:
            assert (
                first.run("echo $((6 * 7))").stdout
                == second.run("echo $((6 * 7))").stdout
                == "42\n"
            )


def test_qemu_goes_with_its_context(boot: Boot) -> None:
    with boot() as guest:
        pid = guest.pid
        assert not gone(pid)
    assert gone(pid)


BOOT_AND_WAIT = """
import sys, time
from pathlib import Path
from rig.guest import boot
from rig.guest.software import Software
from rig.guest.qemu import Accel, Machine
machine = Machine(arch=sys.argv[1], accel=Accel.TCG)
with boot.boot(machine, Software(kernel=Path(sys.argv[2]), initrd=(Path(sys.argv[3]),)),
                Path(sys.argv[4])) as guest:
    print(guest.pid, flush=True)
    time.sleep(1000)
"""


def test_killed_rig_leaves_no_qemu(prepared: Prepared, tmp_path: Path) -> None:
    kernel, initrd = prepared.software.kernel, tmp_path / "initrd"
    initrd.write_bytes(b"".join(
        part if isinstance(part, bytes) else part.read_bytes() for part in prepared.software.initrd
    ))  # fmt: skip
    argv = [
        sys.executable,
        "-c",
        BOOT_AND_WAIT,
        prepared.spec.machine.arch,
        kernel,
        initrd,
        tmp_path / "guest",
    ]
    with proc.spawn(argv) as rig:
        assert rig.stdout is not None
        pid = int(rig.stdout.readline())
        assert not gone(pid)
        os.kill(rig.pid, signal.SIGKILL)
        until(lambda: gone(pid))


def test_missing_qemu_says_what_to_do(
    boot: Boot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfraError, match="not installed") as error:
        with boot():
            pass
    assert "rig doctor --fix" in error.value.hint


def test_accelerator_is_what_the_probe_booted(store: Store) -> None:
    """The chosen accelerator has booted the probe, and TCG works on every host."""
    for target in arch.known().values():
        assert accel.probe(store, target, Accel.TCG).works
        chosen = accel.choose(store, target)
        assert accel.probe(store, target, chosen).works
