# SPDX-License-Identifier: GPL-2.0-only
"""Temporary directories. What a rig that was killed has left is removed by a later one.

Each directory is locked (flock(2)) while its rig lives. The lock ends with the process, after
SIGKILL too, and it holds between containers, where a pid says nothing.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

PREFIX = "rig-scratch-"
RANDOM = re.compile(r"[a-z0-9_]{8}")
"""What mkdtemp(3) of Python adds to the prefix. Nothing else is ever removed."""


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def made(
    parent: Path,
    remove: Callable[[Path], None] = remove,
    owners: frozenset[int] = frozenset(),
    prefix: str = PREFIX,
) -> Iterator[Path]:
    """A temporary directory in `parent`, which is removed afterwards.

    What killed rigs have left in `parent` is removed before, if it belongs to the user or to
    `owners`.
    """
    sweep(parent, remove, {os.geteuid(), *owners}, prefix)
    path, lock = _claimed(parent, prefix)
    try:
        yield path
    finally:
        try:
            remove(path)
        finally:
            os.close(lock)


def sweep(
    parent: Path, remove: Callable[[Path], None], owners: set[int], prefix: str = PREFIX
) -> None:
    with os.scandir(parent) as entries:
        ours = [entry.name for entry in entries if entry.name.startswith(prefix)]
    names = [name for name in ours if RANDOM.fullmatch(name, len(prefix))]
    for name in names:
        with contextlib.suppress(OSError):  # it is in use, or another rig removes it
            lock = _opened(parent / name)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid in owners:
                    remove(parent / name)
            finally:
                os.close(lock)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _claimed(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new directory, and the open file that locks it."""
    while True:
        path = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        try:
            lock = _opened(path)
        except FileNotFoundError:  # another rig has removed it: it was not locked yet
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another rig is about to remove it
            os.close(lock)
            continue
        except OSError:  # a file system without flock: there nothing is swept
            return path, lock
        if path.is_dir():
            return path, lock
        os.close(lock)
