# SPDX-License-Identifier: GPL-2.0-only
"""The `rig` command. Only here errors become messages and exit statuses."""

import io
import itertools
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from rig import signals
from rig.cli import bugs
from rig.errors import ConfigError, InfraError, RigError

INTERRUPTED = 130
PIPE_CLOSED = 128 + signal.SIGPIPE
PROVES_NOTHING = (0, 4)
"""Exit statuses that do not hold if a thread of the rig has ended with an error."""


def main() -> None:
    # On these signals the rig cleans up as on SIGINT. SIGINT is set too, because a shell starts
    # background jobs with SIGINT ignored. nohup(1) ignores SIGHUP, and that is meant.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    signals.wake_main()
    words = sys.argv[1:]
    prepare_streams()
    threads = threading.excepthook = bugs.Threads(words)
    status = run(words)
    status = flushed(status)
    try:
        sys.stderr.flush()
    except OSError:  # its reader has gone; Python would exit with 120
        discard(sys.stderr)
    if threads.failed and status in PROVES_NOTHING:
        status = bugs.BROKEN
    sys.exit(status)


def run(words: Sequence[str]) -> int:
    """Run `rig WORDS`; returns the exit status. No error leaves this function."""
    try:
        # Here, because an import fails if a library is missing.
        from rig.cli import run as verbs
        from rig.store import host_trouble

        with host_trouble("the rig"):
            check_given_once(words)
            verbs.program()
    except RigError as error:
        bugs.write(bugs.explained(error))
        return exit_status(error)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):
            return PIPE_CLOSED  # typer's status is that of FAIL
        if ended.code == INTERRUPTED:  # typer's exit status for Ctrl-C
            return interrupted()
        return ended.code if isinstance(ended.code, int) else 0
    except KeyboardInterrupt:
        return interrupted()
    except BaseException as error:
        return bugs.status(error, words)
    return 0


def interrupted() -> int:
    bugs.write("rig: interrupted; nothing is left running\n")
    return INTERRUPTED


def prepare_streams() -> None:
    """Streams that any text can be written to: `rig 2>&-` has no stderr, and not all are UTF-8."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flushed(status: int) -> int:
    """The exit status after stdout is written. Python itself would print a traceback."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # `rig list | head -1`
        status = PIPE_CLOSED
    except OSError as error:
        bugs.write(bugs.explained(InfraError(f"stdout cannot be written: {error.strerror}")))
        status = bugs.BROKEN
    else:
        if status != PIPE_CLOSED:
            return status
    discard(sys.stdout)
    return status


def discard(stream: TextIO) -> None:
    """Python flushes again at exit, and the text is still in the buffer."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def check_given_once(words: Sequence[str]) -> None:
    """Raise ConfigError for an option that is given twice: typer would use only the last."""
    options = [word.split("=", 1)[0] for word in itertools.takewhile("--".__ne__, words)]
    twice = [option for option in options if option.startswith("--") and options.count(option) > 1]
    if twice:
        raise ConfigError(
            f"{twice[0]} is given twice", hint=f"give several values like this: {twice[0]} A,B"
        )


def exit_status(error: RigError) -> int:
    """2 for bad input; else by the owner of the fault (outcome rule 2)."""
    from rig.verdict.rules import Trouble  # a tenth of the start of `rig --help`

    return 2 if isinstance(error, ConfigError) else Trouble.of(error).owner.outcome.exit_status


if __name__ == "__main__":
    main()
