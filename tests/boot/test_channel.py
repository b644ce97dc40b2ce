# SPDX-License-Identifier: GPL-2.0-only
"""What commands, monitor and network of a working guest must do."""

import re
import socket

import pytest

from rig.errors import InfraError
from rig.guest.boot import OUTPUT_LIMIT, Guest
from rig.suites import suite


def test_command_has_its_output_and_status(guest: Guest) -> None:
    ran = guest.run("echo out; echo err >&2; exit 7")
    assert (ran.stdout, ran.stderr, ran.status) == ("out\n", "err\n", 7)


def test_signal_is_the_shells_status(guest: Guest) -> None:
    assert guest.run("sh -c 'kill -SEGV $$'").status == 128 + 11


def test_stdin_is_delivered_and_closed(guest: Guest) -> None:
    assert guest.run("wc -c", stdin=b"x" * 100_000).stdout.strip() == "100000"


def test_all_cpus_are_online(guest: Guest) -> None:
    assert guest.run("nproc").stdout.strip() == str(guest.machine.cpus)


def test_swap_is_on_and_memory_is_controlled(guest: Guest) -> None:
    """What guest programs rely on (images/test/tree/etc/rig/setup)."""
    swaps = guest.run("cat /proc/swaps").stdout
    assert re.search(
        rf"^/dev/zram0 +partition\t{(guest.machine.swap.zram << 10) - 4}\t", swaps, re.M
    )
    assert "memory" in guest.run("cat /sys/fs/cgroup/cgroup.subtree_control").stdout
    assert guest.run("cat /proc/sys/vm/overcommit_memory").stdout == "1\n"


def test_both_lrus_and_thp_are_available(guest: Guest) -> None:
    assert guest.run("cat /sys/kernel/mm/lru_gen/enabled").stdout.startswith("0x")
    sizes = guest.run("ls /sys/kernel/mm/transparent_hugepage").stdout
    assert "hugepages-64kB" in sizes and "hugepages-2048kB" in sizes


def test_every_program_lists_the_cases_its_suite_declares(guest: Guest) -> None:
    for name, declared in suite.standard().items():
        listed = guest.run(f"{name} --list").stdout.split()
        assert listed == [case.name for case in declared.cases]


def test_program_called_wrongly_exits_with_usage(guest: Guest) -> None:
    for name in suite.standard():
        assert guest.run(f"{name} no-such-case").status == 2


def test_ssh_listens_on_loopback_only(guest: Guest) -> None:
    usernet = guest.monitor("info usernet")
    forwards = re.findall(r"TCP\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+\d+", usernet)
    assert forwards == ["127.0.0.1"]


def test_guest_does_not_reach_its_host(guest: Guest) -> None:
    """Without restrict=on, 10.0.2.2 is the host's loopback, and the guest can connect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert guest.run(f"timeout 5 nc 10.0.2.2 {port} </dev/null").status != 0


def test_flood_is_stopped(guest: Guest) -> None:
    with pytest.raises(InfraError, match="printed more than"):
        guest.run(f"dd if=/dev/zero bs=1M count={(OUTPUT_LIMIT >> 20) + 4}")
    assert guest.run("echo still here").stdout == "still here\n"
