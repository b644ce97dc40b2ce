# SPDX-License-Identifier: GPL-2.0-only
"""Compares whole command lines with tests/data/argv, where each line is one word.

RIG_GOLDEN=write python -m pytest tests/unit/guest/test_qemu.py   writes them. Then read the diff.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rig import arch
from rig.guest import qemu
from rig.guest.qemu import Accel, Files, Machine, Seeded, SeededFiles, Swap

GOLDEN = Path(__file__).parents[2] / "data" / "argv"
FILES = Files(
    kernel=Path("/build/Image"),
    initrd=Path("/tmp/rig-x/initrd"),
    qmp=Path("/tmp/rig-x/qmp"),
    data_disk=Path("/store/disks/0/data.img"),
)
DISK = replace(FILES, swap_disk=Path("/tmp/rig-x/swap.img"))

MACHINES = {
    "x86_64-tcg": (Machine(arch="x86_64", accel=Accel.TCG), FILES),
    "x86_64-kvm": (Machine(arch="x86_64", accel=Accel.KVM), FILES),
    "arm64-tcg": (Machine(arch="arm64", accel=Accel.TCG), FILES),
    "arm64-kvm": (Machine(arch="arm64", accel=Accel.KVM), FILES),
    "riscv64-tcg": (Machine(arch="riscv64", accel=Accel.TCG), FILES),
    "x86_64-tcg-disk": (
        Machine(
            arch="x86_64",
            accel=Accel.TCG,
            cpus=8,
            memory=2048,
            swap=Swap(zram=0, disk=256),
            lru_gen=True,
            cmdline=("rig.mutant=no-remote-flush", "quiet"),
        ),
        DISK,
    ),
    "arm64-tcg-both": (
        Machine(arch="arm64", accel=Accel.TCG, cpus=2, swap=Swap(zram=128, disk=64), lru_gen=False),
        DISK,
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_machines_whole_command_line(name: str) -> None:
    words = "".join(f"{word}\n" for word in qemu.argv(*MACHINES[name]))
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("RIG_GOLDEN") == "write":
        path.write_text(words)
    assert words.splitlines() == path.read_text().splitlines()


@pytest.mark.parametrize("name", arch.known())
def test_a_seeded_machines_whole_command_line(name: str) -> None:
    schedule = Seeded(seed=7)
    machine = Machine(
        arch=name, accel=Accel.TCG, swap=Swap(disk=0), schedule=schedule, cmdline=("rig.run=a,b",)
    )
    files = SeededFiles(
        kernel=FILES.kernel, initrd=FILES.initrd, console=Path("/run/c"), answer=Path("/run/a")
    )
    words = qemu.seeded_argv(machine, schedule, files)
    path = GOLDEN / f"{name}-seeded.txt"
    if os.environ.get("RIG_GOLDEN") == "write":
        path.write_text("".join(f"{word}\n" for word in words))
    assert words == path.read_text().splitlines()
    text = " ".join(words)
    # Any input from the host would make two runs differ.
    assert not re.search(r"netdev user|virtio|hostfwd|clock=host|stdio|rng", text)
    assert re.search(r"-rdrand|dtb-randomness=off|-seed 0", text)
    assert "thread=single" in text and "nokaslr" in text


def test_seeds_differ_in_shift_and_offset() -> None:
    pairs = {(Seeded(seed=n).shift, Seeded(seed=n).offset) for n in range(192)}
    assert len(pairs) == 192
    assert {shift for shift, _ in pairs} == {5, 6, 7}


def test_a_turn_is_as_many_instructions_at_every_shift() -> None:
    instructions = [Seeded(seed=n).turn * 1000 // 2 ** Seeded(seed=n).shift for n in range(15)]
    assert sorted(set(instructions)) == [12000, 16000, 20000, 24000, 32000]
    assert len({(Seeded(seed=n).shift, Seeded(seed=n).turn) for n in range(15)}) == 15


@pytest.mark.parametrize("name", arch.known())
@pytest.mark.parametrize("accel", Accel)
def test_a_probes_whole_command_line(name: str, accel: Accel) -> None:
    words = qemu.probe_argv(arch.pick(name), accel, Path("/rom"))
    path = GOLDEN / f"probe-{name}-{accel}.txt"
    if os.environ.get("RIG_GOLDEN") == "write":
        path.write_text("".join(f"{word}\n" for word in words))
    assert words == path.read_text().splitlines()


def test_there_is_no_unused_golden_file() -> None:
    probes = {f"probe-{name}-{accel}" for name in arch.known() for accel in Accel}
    seeded = {f"{name}-seeded" for name in arch.known()}
    assert {path.stem for path in GOLDEN.iterdir()} == {*MACHINES, *probes, *seeded}


@pytest.mark.parametrize("name", MACHINES)
def test_a_guest_reaches_nothing_and_only_this_host_can_connect(name: str) -> None:
    words = qemu.argv(*MACHINES[name])
    netdevs = [words[n + 1] for n, word in enumerate(words) if word == "-netdev"]
    assert len(netdevs) == 1
    options = netdevs[0].split(",")
    assert "restrict=on" in options
    (forward,) = (option for option in options if option.startswith("hostfwd="))
    assert re.fullmatch(r"hostfwd=tcp:127\.0\.0\.1:0-\d+\.\d+\.\d+\.\d+:22", forward)
    text = " ".join(words)
    for listens in ("vnc", "spice", "-gdb", " -s ", "tcp:0.0.0.0", "tcp::", "telnet", "-nic"):
        assert listens not in text
    assert "-nodefaults" in words
    assert "-no-user-config" in words


@pytest.mark.parametrize("name", MACHINES)
def test_a_dead_guest_ends_qemu(name: str) -> None:
    words = qemu.argv(*MACHINES[name])
    assert "-no-reboot" in words
    kernel = words[words.index("-append") + 1].split()
    assert {"panic=-1", "oops=panic"} <= set(kernel)


def test_what_makes_results_comparable() -> None:
    machine = Machine(arch="arm64", accel=Accel.TCG)
    assert machine.where == "arm64/tcg/live"
    assert replace(machine, accel=Accel.KVM).where != machine.where


def test_an_accelerators_patience() -> None:
    assert Accel.KVM.patience == 1
    assert Accel.TCG.patience > 1


def test_an_architectures_own_patience_is_tcgs() -> None:
    tcg = Machine(arch="riscv64", accel=Accel.TCG)
    assert tcg.patience == Accel.TCG.patience * arch.pick("riscv64").tcg_patience > 6
    assert replace(tcg, accel=Accel.KVM).patience == 1
