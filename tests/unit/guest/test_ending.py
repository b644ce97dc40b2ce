# SPDX-License-Identifier: GPL-2.0-only
"""Whose fault it is that QEMU ends: fake QEMUs, live and seeded."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig import log, proc
from rig.errors import (
    BootError,
    DiskFull,
    GuestLost,
    InfraError,
    KernelError,
    QemuCrashed,
    RigError,
)
from rig.guest import boot as boots
from rig.guest import ending, seeded
from rig.guest.qemu import Accel, Machine, Seeded, Swap
from rig.guest.software import Software

Program = Callable[[str, str], Path]
Run = Callable[..., None]
ANSWERS = "echo 'rig: this accelerator works'"
PANIC = "echo '[    0.500000] Kernel panic - not syncing: no init'"
TERM = "echo 'qemu-system-x86_64: terminating on signal 15 from pid 1 (init)' >&2"


@pytest.fixture
def live(tmp_path: Path, program: Program, unboxed: None) -> Run:
    """Boot a guest whose QEMU does this; another QEMU boots the minimal guest, or fails to."""

    def run(does: str, minimal: str = ANSWERS) -> None:
        program("qemu-system-x86_64", f'case "$*" in *-append*) {does} ;; *) {minimal} ;; esac')
        (tmp_path / "bzImage").touch()
        software = Software(kernel=tmp_path / "bzImage", initrd=(b"archive",), unconfined=True)
        machine = Machine(arch="x86_64", accel=Accel.TCG, swap=Swap(disk=0))
        with boots.boot(machine, software, tmp_path / "run"):
            raise AssertionError("it is not up")

    return run


@pytest.fixture
def seed(tmp_path: Path, program: Program, unboxed: None) -> Run:
    """The same in the seeded schedule: what the fake prints is the kernel's console."""

    def run(does: str, minimal: str = ANSWERS, deadline: float = 3) -> None:
        find = "for word; do case $word in file:*) console=${word#file:} ;; esac; done"
        answer = 'for word; do case $word in *id=answer,path=*) : >"${word#*path=}" ;; esac; done'
        words = f'case "$*" in *-append*) {find}; {answer}; exec >"$console"; {does} ;;'
        program("qemu-system-x86_64", f"{words} *) {minimal} ;; esac")
        (tmp_path / "vmlinux").touch()
        software = Software(kernel=tmp_path / "bzImage", initrd=(b"archive",), unconfined=True)
        machine = Machine(
            arch="x86_64", accel=Accel.TCG, swap=Swap(disk=0), schedule=Seeded(seed=3)
        )
        ran = seeded.run(
            machine, software, ("reclaim", "case"), tmp_path / "run", deadline=deadline
        )
        raise BootError(f"the program ended with {ran.status}")

    return run


@pytest.fixture(params=["live", "seeded"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    name = "live" if request.param == "live" else "seed"
    yield request.getfixturevalue(name)


@pytest.mark.parametrize(
    ("does", "message"),
    [
        (f"{TERM}; exit 0", "QEMU was ended by signal 15 from pid 1"),
        (f"echo 'Linux version'; {TERM}; exit 0", "QEMU was ended by signal 15 from pid 1"),
        ("echo 'Linux version'; kill -KILL $$", "QEMU was killed by signal 9"),
        ("echo 'Linux version'; kill -SEGV $$", "QEMU was killed by signal 11"),
        ("kill -ABRT $$", "QEMU was killed by signal 6"),
        ("echo 'Linux version'; echo 'no memory' >&2; exit 1", "QEMU ended with status 1"),
        ("echo 'invalid accelerator' >&2; exit 1", "QEMU ended with status 1"),
        ("echo 'write: No space left on device' >&2; exit 1", "the disk is full: QEMU"),
    ],
)
def test_a_qemu_that_the_host_ends_is_not_the_kernels_fault(
    run: Run, does: str, message: str
) -> None:
    with pytest.raises(InfraError, match=message) as raised:
        run(does)
    assert raised.value.detail or "killed" in message


@pytest.mark.parametrize(
    ("does", "starts"),
    [
        ("kill -ABRT $$", ending.STARTS),
        ("echo 'Linux version'; kill -SEGV $$", ending.STARTS),
        ("kill -KILL $$", 1),
        ("exit 1", 1),
        (f"{PANIC}; kill -ABRT $$", 1),
    ],
)
def test_a_qemu_that_crashes_while_the_guest_boots_is_started_again(
    live: Run, tmp_path: Path, events: list[log.Event], does: str, starts: int
) -> None:
    """The kernel's own splat is the kernel's, however QEMU ends."""
    count = tmp_path / "count"
    words = "echo 'hw/pci/msix.c:228: Assertion failed.' >&2"
    with pytest.raises(RigError):
        live(f"echo >>{count}; {words}; {does}")
    assert len(count.read_text()) == starts
    notes = [event.text for event in events if event.kind == "note"]
    assert len(notes) == starts - 1
    if notes:
        assert notes[0].endswith("(hw/pci/msix.c:228: Assertion failed.); start 2 of 3")


def test_the_guest_that_comes_up_after_a_crash_is_used(events: list[log.Event]) -> None:
    crashes = [QemuCrashed("QEMU was killed by signal 6"), QemuCrashed("once more")]

    def start() -> str:
        if crashes:
            raise crashes.pop(0)
        return "guest"

    assert ending.without_crash(start) == "guest"
    assert [event.text for event in events if event.kind == "note"] == [
        "QEMU was killed by signal 6 (it printed nothing); start 2 of 3",
        "once more (it printed nothing); start 3 of 3",
    ]


@pytest.mark.parametrize("does", [f"{PANIC}; exit 0", "echo 'Linux version'; exit 0"])
def test_a_guest_that_resets_is_the_kernels_fault(run: Run, does: str) -> None:
    with pytest.raises(KernelError):
        run(does)


@pytest.mark.parametrize("does", ["exit 0", "echo; exit 0"])
def test_a_kernel_that_prints_nothing_is_at_fault_if_another_boots(run: Run, does: str) -> None:
    with pytest.raises(BootError, match="prints nothing; a minimal x86_64 guest boots"):
        run(does)


def test_a_kernel_that_qemu_refuses_is_at_fault(run: Run) -> None:
    with pytest.raises(BootError, match="prints nothing") as raised:
        run("echo 'qemu: linux kernel too old to load a ram disk' >&2; exit 1")
    assert "too old" in raised.value.detail


@pytest.mark.parametrize("does", ["exit 0", "exec sleep 1000"])
@pytest.mark.parametrize("minimal", ["exit 0", "echo 'no KVM' >&2; exit 1"])
def test_a_qemu_that_boots_no_kernel_is_not_the_kernels_fault(
    run: Run, monkeypatch: pytest.MonkeyPatch, does: str, minimal: str
) -> None:
    monkeypatch.setattr(boots, "BOOT_DEADLINE", 0.3)
    with pytest.raises(InfraError, match="QEMU does not start") as raised:
        run(does, minimal)
    assert "a guest does not boot under it" in raised.value.detail
    assert "rig doctor" in raised.value.hint


def test_a_kernel_that_hangs_without_a_word_is_at_fault_if_another_boots(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boots, "BOOT_DEADLINE", 0.3)
    with pytest.raises(BootError, match=r"within .* s; a minimal x86_64 guest boots"):
        run("exec sleep 1000")


def waits(monkeypatch: pytest.MonkeyPatch, ran: float, waited: float) -> None:
    """QEMU runs and waits for this share of the time, for each CPU of the rig."""
    began = time.monotonic()

    def schedule(pid: int) -> tuple[float, float]:
        seconds = (time.monotonic() - began) * proc.cpus()
        return ran * seconds, waited * seconds

    monkeypatch.setattr(ending, "schedule", schedule)


@pytest.mark.parametrize(
    ("ran", "waited", "busy"),
    [(0.05, 2.0, True), (0.05, 0.01, False), (0.3, 2.0, False), (1.0, 0.0, False)],
    ids=["starved", "idle", "beside others", "spins"],
)
def test_a_guest_that_gets_no_cpu_is_the_hosts_fault(
    live: Run, monkeypatch: pytest.MonkeyPatch, ran: float, waited: float, busy: bool
) -> None:
    waits(monkeypatch, ran, waited)
    monkeypatch.setattr(boots, "BOOT_DEADLINE", 0.1)
    kind, message = (InfraError, "too busy") if busy else (BootError, "hangs at boot")
    with pytest.raises(kind, match=message):
        live("echo '[    0.1] Linux version'; exec sleep 1000")


@pytest.mark.parametrize(
    ("ran", "waited", "busy"),
    [(0.1, 0.9, True), (0.1, 0.0, False), (0.45, 0.55, False), (1.0, 0.0, False)],
    ids=["starved", "idle", "beside others", "spins"],
)
def test_a_seeded_guest_that_gets_no_cpu_is_the_hosts_fault(
    seed: Run, monkeypatch: pytest.MonkeyPatch, ran: float, waited: float, busy: bool
) -> None:
    waits(monkeypatch, ran / proc.cpus(), waited / proc.cpus())
    kind, message = (InfraError, "too busy") if busy else (GuestLost, "does not exit within")
    with pytest.raises(kind, match=message):
        seed("echo '[    0.1] Linux version'; exec sleep 1000", deadline=0.5)


STOPPED = """
import os, time
from rig.guest import ending
ending.BEAT, ending.STOPPED = 0.05, 1.5
ending.pulse()
began = time.monotonic()
print("ready", flush=True)
while time.monotonic() < began + 2:
    time.sleep(0.01)
print(ending.halted(os.getpid(), began))
"""


@pytest.mark.parametrize("stop", [True, False])
def test_a_rig_that_was_stopped_does_not_blame_the_kernel(stop: bool) -> None:
    """Ctrl-Z, and `fg` after the deadline of a case."""
    words = [sys.executable, "-c", STOPPED]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as rig:
        assert rig.stdout and rig.stdout.readline() == "ready\n"
        if stop:
            rig.send_signal(signal.SIGSTOP)
            time.sleep(2.5)
            rig.send_signal(signal.SIGCONT)
        told = rig.stdout.read()
    assert told.startswith("the rig was stopped for " if stop else "None"), told


@pytest.mark.parametrize("schedule", ["live", "seed"])
def test_a_qemu_that_is_stopped_is_the_hosts_fault(
    schedule: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Run = request.getfixturevalue(schedule)
    monkeypatch.setattr(boots, "BOOT_DEADLINE", 0.5)
    options = {"deadline": 0.5} if schedule == "seed" else {}
    with pytest.raises(InfraError, match="QEMU is stopped"):
        run("echo '[    0.1] Linux version'; kill -STOP $$", **options)


def test_what_a_process_and_its_children_ran() -> None:
    with proc.spawn(["sh", "-c", "sh -c 'while :; do :; done'; :"]) as process:
        try:
            until = time.monotonic() + 60
            while not (ran := ending.schedule(process.pid)[0]) > 0.05:
                assert time.monotonic() < until, ran
        finally:
            proc.kill(process)
    assert ending.schedule(process.pid) == (0.0, 0.0)


@pytest.mark.parametrize("does", ["exit 0", "echo 'Linux version'; exit 0"])
def test_output_that_a_full_disk_cut_off_proves_nothing(
    seed: Run, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.setattr(ending, "full", lambda directory: DiskFull("a test"))
    with pytest.raises(DiskFull):
        seed(does)


def test_a_full_file_system_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ending.full(tmp_path) is None
    monkeypatch.setattr(ending, "LEFT", 1 << 60)
    full = ending.full(tmp_path)
    assert full and "the disk is full" in full.message
