# SPDX-License-Identifier: GPL-2.0-only
"""Reads the mails that a user names: a file, a pipe like <(b4 am -o- ID), or stdin as `-`.

Size and time have limits, because a path may be /dev/zero, or a pipe that nobody writes to.
"""

import os
import select
import stat
import time
from pathlib import Path

from rig.errors import ConfigError

MOST = 64 << 20
"""Bytes. The largest thread on linux-mm has some MiB."""
WRITER = 10.0
"""Seconds to wait for somebody who writes to a named pipe."""
SILENCE = 600.0
"""Seconds to wait for the next bytes of a pipe: b4 may be slow."""


def read(path: Path) -> bytes:
    """The content of a file or a pipe. Raises ConfigError for all else, and OSError as open()."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        kind = os.fstat(number).st_mode
        if stat.S_ISDIR(kind):
            raise ConfigError(f"{path} is a directory", hint="name the mbox in it")
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
            raise ConfigError(
                f"{path} is a device, and not an mbox", hint="name an mbox, or a pipe"
            )
        return _all(number, str(path), named=stat.S_ISFIFO(kind))
    finally:
        os.close(number)


def stdin() -> bytes:
    """All of stdin, which must not be a terminal."""
    try:
        os.fstat(0)
        if os.isatty(0):
            raise ConfigError(
                "stdin is a terminal, and the mails are read from there",
                hint="b4 am -o- MESSAGE-ID | rig run -",
            )
        return _all(0, "stdin", named=False)
    except OSError as error:  # `rig run - <&-`
        raise ConfigError(f"stdin cannot be read: {error.strerror}") from error


def _all(number: int, where: str, *, named: bool) -> bytes:
    """All bytes of a file descriptor. `named`: a pipe that its writer may not have opened yet."""
    data = bytearray()
    poll = select.poll()
    poll.register(number, select.POLLIN)
    until = time.monotonic() + (WRITER if named else SILENCE)
    while time.monotonic() < until:
        # In short steps: that a writer opens the pipe is no event.
        ready = poll.poll(50 if named else 1000)
        if not ready and not named:
            continue
        try:
            part = os.read(number, 1 << 20)
        except BlockingIOError:  # there is a writer, which has not written yet
            if named:
                named, until = False, time.monotonic() + SILENCE
            continue
        if not part and not ready:  # no writer yet; with POLLHUP it has gone
            continue
        if not part:
            return bytes(data)
        data += part
        named, until = False, time.monotonic() + SILENCE
        if len(data) > MOST:
            raise ConfigError(
                f"{where} has more than {MOST >> 20} MiB: it is not a series of patches",
                hint="name the mbox of one series",
            )
    reason = "nobody writes to it" if named else f"it had no data for {SILENCE:g} s"
    raise ConfigError(f"{where} cannot be read: {reason}", hint="name an mbox")
