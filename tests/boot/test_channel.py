# SPDX-License-Identifier: GPL-2.0-only
"""The channel's contract: what a guest that is well answers."""

import re
import socket

import pytest

from rig.errors import InfraError
from rig.guest.boot import OUTPUT_LIMIT, Guest
from rig.suites import suite


def test_command_has_its_output_and_status(up: Guest) -> None:
    ran = up.run("echo out; echo err >&2; exit 7")
    assert (ran.stdout, ran.stderr, ran.status) == ("out\n", "err\n", 7)


def test_signal_is_the_shells_status(up: Guest) -> None:
    assert up.run("sh -c 'kill -SEGV $$'").status == 128 + 11


def test_stdin_is_delivered_and_closed(up: Guest) -> None:
    assert up.run("wc -c", stdin=b"x" * 100_000).stdout.strip() == "100000"


def test_all_cpus_are_up(up: Guest) -> None:
    assert up.run("nproc").stdout.strip() == str(up.machine.cpus)


def test_swap_is_on_and_memory_is_controlled(up: Guest) -> None:
    """What guest programs rely on (images/test/tree/etc/rig/setup)."""
    swaps = up.run("cat /proc/swaps").stdout
    assert re.search(rf"^/dev/zram0 +partition\t{(up.machine.swap.zram << 10) - 4}\t", swaps, re.M)
    assert "memory" in up.run("cat /sys/fs/cgroup/cgroup.subtree_control").stdout
    assert up.run("cat /proc/sys/vm/overcommit_memory").stdout == "1\n"


def test_both_lrus_and_thp_are_there(up: Guest) -> None:
    assert up.run("cat /sys/kernel/mm/lru_gen/enabled").stdout.startswith("0x")
    sizes = up.run("ls /sys/kernel/mm/transparent_hugepage").stdout
    assert "hugepages-64kB" in sizes and "hugepages-2048kB" in sizes


def test_every_program_lists_the_cases_its_suite_declares(up: Guest) -> None:
    for name, known in suite.standard().items():
        listed = up.run(f"{name} --list").stdout.split()
        assert listed == [case.name for case in known.cases]


def test_program_called_wrongly_says_so(up: Guest) -> None:
    for name in suite.standard():
        assert up.run(f"{name} no-such-case").status == 2


def test_ssh_listens_on_loopback_only(up: Guest) -> None:
    usernet = up.monitor("info usernet")
    forwards = re.findall(r"TCP\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+\d+", usernet)
    assert forwards == ["127.0.0.1"]


def test_guest_does_not_reach_its_host(up: Guest) -> None:
    """restrict=on: without it 10.0.2.2 is the host's loopback, and this connection is made."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert up.run(f"timeout 5 nc 10.0.2.2 {port} </dev/null").status != 0


def test_flood_is_stopped(up: Guest) -> None:
    with pytest.raises(InfraError, match="printed more than"):
        up.run(f"dd if=/dev/zero bs=1M count={(OUTPUT_LIMIT >> 20) + 4}")
    assert up.run("echo still here").stdout == "still here\n"
