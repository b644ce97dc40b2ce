# SPDX-License-Identifier: GPL-2.0-only
"""Errors that the rig did not expect. They are BROKEN: never FAIL, whatever was running.

The terminal gets a short message. The traceback goes to a file, in the store if it can be written,
else in TMPDIR. This module imports only the standard library at its start, because the error may be
that a library is missing.
"""

import contextlib
import os
import platform
import shlex
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from rig import printable
from rig.errors import RigError

BROKEN = 3
DIRECTORY = "bugs"
DEBUG = "RIG_DEBUG"
MESSAGE_MAX = 300
"""Characters of an exception's text on the terminal. The file has all of it."""
PACKAGE = Path(__file__).parents[1]


def status(error: BaseException, words: Sequence[str]) -> int:
    """Report an unexpected error of `rig WORDS` on stderr and in a file; returns the exit status.

    Does not raise, also where neither the store nor stderr can be written.
    """
    with contextlib.suppress(Exception):
        text = _traceback(error)
        lines = [f"rig: BROKEN: {_summary(error)}", *_advice(error)]
        try:
            lines.append(f"  details: {_keep(text, words)}")
            lines.append("  hint: report it with this file: it has the traceback and the command")
        except OSError as trouble:
            reason = trouble.strerror or type(trouble).__name__
            lines.append(f"  details: no file could be written ({reason})")
            lines.append(f"  hint: run it again with {DEBUG}=1, which shows the traceback")
        if wanted(words):
            lines.append(printable.text(text))
        write("\n".join(lines) + "\n")
    return BROKEN


def explained(error: RigError) -> str:
    """An error for the terminal: message, evidence, hint. All may quote text from mails or
    consoles, which is escaped."""
    detail = printable.text(error.detail).splitlines()
    lines = [f"rig: {printable.line(error.message)}", *(f"  | {line}" for line in detail)]
    if error.hint:
        lines.append(f"  hint: {printable.line(error.hint)}")
    return "\n".join(lines) + "\n"


def wanted(words: Sequence[str]) -> bool:
    """Whether the user wants the traceback on the terminal: $RIG_DEBUG or -v."""
    own = list(words)[: words.index("--")] if "--" in words else words
    return bool(os.environ.get(DEBUG)) or "-v" in own or "--verbose" in own


def write(text: str) -> None:
    """Write to stderr, which may be closed, or a pipe that nobody reads."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _summary(error: BaseException) -> str:
    said = printable.line(str(error))
    if len(said) > MESSAGE_MAX:
        said = f"{said[:MESSAGE_MAX]}…"
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(PACKAGE):
            where = f" in rig/{Path(frame.filename).relative_to(PACKAGE)}, line {frame.lineno}"
    return f"unexpected {type(error).__name__}{where}{f': {said}' if said else ''}"


def _advice(error: BaseException) -> list[str]:
    """What the error says about the rig and its host."""
    if isinstance(error, MemoryError):
        return ["  The memory of this host, or its limit (ulimit -v), is too small."]
    if isinstance(error, ImportError):
        return [
            "  A Python package that the rig needs is missing, or has another version.",
            "  In a checkout, ./bootstrap installs the right ones into .venv.",
        ]
    return ["  This is a defect of the rig. It says nothing about the kernel or the series."]


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # an exception's own __str__ may fail
        return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ + "\n"


def _keep(text: str, words: Sequence[str]) -> Path:
    """The file that has the traceback. Raises OSError if there is no place for it."""
    head = (
        f"rig {shlex.join(words)}\n"
        f"Python {platform.python_version()}, {platform.platform()}, {time.strftime('%FT%TZ')}\n\n"
    )
    data = printable.text(head + text).encode("utf-8", "backslashreplace")
    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-"
    with contextlib.suppress(OSError, ImportError):
        return _new(_in_store(), name, data)
    return _new(Path(tempfile.gettempdir()), f"rig-bug-{name}", data)


def _new(directory: Path, prefix: str, data: bytes) -> Path:
    number, path = tempfile.mkstemp(dir=directory, prefix=prefix, suffix=".txt")
    with open(number, "wb") as file:  # noqa: PTH123 # of a descriptor
        file.write(data)
    return Path(path)


def _in_store() -> Path:
    """bugs/ in the store. The store itself is not made: its name may be a typing error."""
    root = os.environ.get("RIG_STORE", "")
    if not root:
        import platformdirs

        root = platformdirs.user_cache_dir("rig")
    directory = Path(root) / DIRECTORY
    directory.mkdir(exist_ok=True)
    return directory.resolve()


class Threads:
    """Reports the errors that end a thread. Python would print their traceback and go on."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self.failed = False

    def __call__(self, ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
            self.failed = True
            status(ended.exc_value, self._words)
