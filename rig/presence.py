# SPDX-License-Identifier: GPL-2.0-only
"""Which rigs are using a store. `rig gc` removes nothing that one of them has used.

Each has a directory in users/, which it locks as long as it lives (rig/scratch.py): the lock ends
with the process, and holds between containers too.
"""

import atexit
import contextlib
import fcntl
import functools
import os
from pathlib import Path

from rig import scratch

DIRECTORY = "users"


def enter(root: Path) -> None:
    """Tell others that this process uses the store, until it ends.

    Does nothing for a store that is not there or can only be read.
    """
    with contextlib.suppress(OSError):
        _entered(root)


@functools.cache
def _entered(root: Path) -> Path:
    if not root.is_dir():
        raise FileNotFoundError(root)
    parent = root / DIRECTORY
    parent.mkdir(exist_ok=True)
    stack = contextlib.ExitStack()
    path = stack.enter_context(scratch.made(parent))
    atexit.register(stack.close)
    return path


def oldest(root: Path) -> float | None:
    """When the oldest of the other rigs that use the store was started; None if there is none."""
    own = None
    with contextlib.suppress(OSError):
        own = _entered(root)
    started = []
    with contextlib.suppress(OSError):
        for path in (root / DIRECTORY).iterdir():
            if path != own and (time := _living(path)) is not None:
                started.append(time)
    return min(started, default=None)


def _living(path: Path) -> float | None:
    """When the rig that has locked this directory was started; None if it has ended."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # it is locked; or on a file system without flock nobody can tell
        return os.fstat(number).st_mtime
    else:
        return None
    finally:
        os.close(number)
