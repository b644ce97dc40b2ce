# SPDX-License-Identifier: GPL-2.0-only
"""What the exit status of a guest's program means."""

import signal

USAGE = 2
"""Of a program of the rig that does not know its arguments."""
NOT_STARTED = {126: "it cannot be executed", 127: "it was not found"}
"""Of a shell, and of timeout(1), for a program that was not run (POSIX, 2.8.2)."""

# Signals of a crash, which a kernel that corrupts the process's memory may cause. Any other signal
# was sent to it: at a deadline, by the OOM killer, by a user.
CRASHES = frozenset(
    (
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGABRT,
        signal.SIGTRAP,
        signal.SIGSYS,
    )
)


def signal_of(exit_status: int | None) -> int | None:
    """The signal that killed a program, from a shell's status (128 + n) or a parent's (-n)."""
    if exit_status is None or 0 <= exit_status <= 128:
        return None
    return -exit_status if exit_status < 0 else exit_status - 128


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
