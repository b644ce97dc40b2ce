# SPDX-License-Identifier: GPL-2.0-only
"""The processes that a command has started, by pidfd: a pid may be another process's meanwhile."""

import contextlib
import os
import select
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

DEADLINE = 10.0
"""Seconds. A process that waits for a disk does not end before that."""


def threads(pid: int) -> Iterator[tuple[Path, tuple[int, ...]]]:
    """The directory in /proc of each thread, and the pids of the processes that it has started.

    A thread that ends meanwhile is left out.
    """
    try:
        places = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for place in places:
        with contextlib.suppress(OSError, ValueError):
            yield place, tuple(map(int, (place / "children").read_text().split()))


def descendants(pid: int) -> Iterator[int]:
    """The pidfds of all processes below this one; of what ends meanwhile there may be none."""
    for _, children in threads(pid):
        for child in children:
            with contextlib.suppress(OSError):
                yield os.pidfd_open(child)
            yield from descendants(child)


def await_end(pidfds: Sequence[int]) -> None:
    """Wait until all have ended, or until DEADLINE, and close the pidfds."""
    until = time.monotonic() + DEADLINE
    for pidfd in pidfds:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(max(0.0, until - time.monotonic()) * 1000)
        os.close(pidfd)
