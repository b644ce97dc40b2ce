# SPDX-License-Identifier: GPL-2.0-only
"""What a hung guest does: where its CPUs are, and which tasks are blocked.

QEMU knows the CPUs' registers, whatever the kernel does. The blocked tasks are the kernel's own
report (Documentation/admin-guide/sysrq.rst, w), asked for by a second SSH connection: a guest with
one hung task answers there. CONFIG_MAGIC_SYSRQ_SERIAL is not needed.
"""

import re
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import dropwhile
from typing import Any

from rig.guest import stamps
from rig.guest.splat import FRAME

SYSRQ = "echo w >/proc/sysrq-trigger"
BEGIN = "sysrq: Show Blocked State"
TASK = re.compile(r"task:(?P<name>\S.*?)\s+state:(?P<state>\S)\s.*?\bpid:(?P<pid>\d+)")
CPU = re.compile(r"^CPU#(\d+)", re.MULTILINE)
COUNTER = re.compile(r"\b(?:RIP=|PC=|pc +)([0-9a-f]{8,16})\b")
WAITS = re.compile(r"__switch_to|__?schedule|io_schedule|preempt_schedule|schedule")
"""Functions on every blocked task's stack."""
FRAMES, TASKS = 6, 12


def ask(dial: Callable[[float], Any], console: Callable[[], str], seconds: float) -> None:
    """Make the kernel list its blocked tasks, if it can within this time.

    `dial` makes another SSH connection. The guest may never answer that either.
    """
    refused, printed = threading.Event(), threading.Event()

    def send() -> None:
        try:
            with dial(seconds) as connection:
                connection.transport.open_session().exec_command(SYSRQ)
                printed.wait(seconds)
        except Exception:  # while it boots, there is no SSH yet
            refused.set()

    threading.Thread(target=send, daemon=True).start()
    until, size = time.monotonic() + seconds, -1
    while time.monotonic() < until:
        text = console()
        if BEGIN in text and len(text) == size:  # it has printed all of it
            break
        size = len(text)
        if refused.wait(min(1, seconds / 5)):
            break
    printed.set()


def cpus(registers: str, symbols: Mapping[str, int]) -> tuple[str, ...]:
    """A line for each CPU, from QEMU's `info registers -a` and the build's System.map."""
    table = sorted((address, name) for name, address in symbols.items())
    addresses = [address for address, _ in table]
    parts, lines = CPU.split(registers)[1:], []
    for number, text in zip(parts[::2], parts[1::2], strict=True):
        if match := COUNTER.search(text):
            address = int(match[1], 16)
            index = bisect_right(addresses, address) - 1
            # The kernel's symbols are all in the upper half of the address space.
            lines.append(f"CPU {number} is in {table[index][1] if index >= 0 else 'user space'}")
    return tuple(lines)


def blocked(console: str) -> tuple[str, ...]:
    """A line for each task that the kernel's newest report lists as blocked."""
    _, begin, report = console.rpartition(BEGIN)
    tasks: list[tuple[str, list[str]]] = []
    for line in map(stamps.without, report.splitlines() if begin else ()):
        if match := TASK.match(line):
            tasks.append((f"{match['name']}[{match['pid']}] (state {match['state']})", []))
        elif tasks and (frame := FRAME.match(line)) and not frame["guess"]:
            tasks[-1][1].append(frame["function"])
    return tuple(f"blocked: {task} in {_stack(frames)}" for task, frames in tasks[:TASKS])


def _stack(frames: list[str]) -> str:
    shown = list(dropwhile(WAITS.match, frames)) or frames
    return " <- ".join(shown[:FRAMES]) or "?"
