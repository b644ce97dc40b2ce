# SPDX-License-Identifier: GPL-2.0-only
"""A guest has the CPUs, memory and disks that its machine asks for."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rig import arch, proc
from rig.campaigns.results import Prepared
from rig.guest import boot
from rig.guest.qemu import Swap


@pytest.mark.parametrize("lru_gen", [False, True])
def test_cpus_memory_swap_disk_and_lru(prepared: Prepared, tmp_path: Path, lru_gen: bool) -> None:
    machine = replace(
        prepared.spec.machine, cpus=2, memory=768, swap=Swap(zram=64, disk=128), lru_gen=lru_gen
    )
    with boot.boot(machine, prepared.software, tmp_path / "guest") as guest:
        assert guest.run("nproc").stdout == "2\n"
        total = int(guest.run("grep MemTotal /proc/meminfo").stdout.split()[1])
        assert 650 << 10 < total < 768 << 10
        swaps = [line.split() for line in guest.run("cat /proc/swaps").stdout.splitlines()[1:]]
        assert [(line[0], line[2]) for line in swaps] == [
            ("/dev/zram0", str((64 << 10) - 4)),
            ("/dev/vda", str((128 << 10) - 4)),
        ]
        assert int(swaps[0][4]) > int(swaps[1][4]), "zram is filled first"
        assert guest.run("cat /sys/block/vda/serial").stdout.strip() == "rig-swap"
        assert guest.run("cat /sys/devices/system/node/online").stdout == "0-1\n"
        enabled = int(guest.run("cat /sys/kernel/mm/lru_gen/enabled").stdout, 16)
        assert bool(enabled & 1) is lru_gen


@pytest.mark.parametrize("name", list(arch.standard()))
def test_shell_runs_a_command_and_gives_its_status(name: str) -> None:
    command = 'test "$(nproc)" = 3 && uname -m && exit 5'
    argv = [sys.executable, "-m", "rig", "shell", "v6.12", "--arch", name, "--cpus", "3"]
    result = proc.run([*argv, "--", "sh", "-c", command], check=False, deadline=3600)
    assert result.status == 5, result.stderr
    target = arch.pick(name)
    assert result.stdout.strip() in (target.name, *target.aliases)


def test_the_data_disk_is_empty_in_every_guest(prepared: Prepared, tmp_path: Path) -> None:
    mount = "mkdir -p /data && mount -t ext4 /dev/vdb /data && ls -A /data"
    for name in ("first", "second"):
        with boot.boot(prepared.spec.machine, prepared.software, tmp_path / name) as guest:
            assert guest.run("cat /sys/block/vdb/serial").stdout.strip() == "rig-data"
            assert guest.run(mount).stdout == "lost+found\n"
            assert guest.run("echo gone >/data/file && sync && umount /data").status == 0
