# SPDX-License-Identifier: GPL-2.0-only
"""The `rig` command. Only here errors become messages and exit statuses."""

import itertools
import os
import signal
import sys
import traceback
import types
from collections.abc import Sequence

from rig import printable
from rig.cli import run
from rig.errors import ConfigError, RigError
from rig.store import host_trouble

INTERRUPTED = 130


def main() -> None:
    # On SIGTERM the rig cleans up as on SIGINT. SIGINT is set too, because a shell starts
    # background jobs with SIGINT ignored.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with host_trouble("the rig"):
            check_given_once(sys.argv[1:])
            run.program()
    except RigError as error:
        say(error)
        sys.exit(exit_status(error))
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # typer's exit status for Ctrl-C
            sys.stderr.write("rig: interrupted; nothing is left running\n")
        if isinstance(ended.__context__, BrokenPipeError):
            # `rig list | head -1`: typer's status is that of FAIL, and Python would print a
            # traceback when it flushes stdout at exit.
            os._exit(128 + signal.SIGPIPE)
        raise
    except Exception:
        sys.excepthook = say_bug  # instead of typer's, which does not escape the text
        raise


def check_given_once(words: Sequence[str]) -> None:
    """Raise ConfigError for an option that is given twice: typer would use only the last."""
    options = [word.split("=", 1)[0] for word in itertools.takewhile("--".__ne__, words)]
    twice = [option for option in options if option.startswith("--") and options.count(option) > 1]
    if twice:
        raise ConfigError(
            f"{twice[0]} is given twice", hint=f"give several values like this: {twice[0]} A,B"
        )


def say(error: RigError) -> None:
    """Print an error: message, evidence, hint. All may quote text from mails or consoles, which is
    escaped."""
    detail = printable.text(error.detail).splitlines()
    lines = [f"rig: {printable.line(error.message)}", *(f"  | {line}" for line in detail)]
    if error.hint:
        lines.append(f"  hint: {printable.line(error.hint)}")
    sys.stderr.write("\n".join(lines) + "\n")


def say_bug(
    kind: type[BaseException], error: BaseException, where: types.TracebackType | None
) -> None:
    """Print the traceback of a bug of the rig, escaped: the message may quote foreign text."""
    text = "".join(traceback.format_exception(kind, error, where))
    sys.stderr.write(printable.text(text))


def exit_status(error: RigError) -> int:
    """2 for bad input; else by the owner of the fault (outcome rule 2)."""
    from rig.verdict.rules import Trouble  # a tenth of the start of `rig --help`

    return 2 if isinstance(error, ConfigError) else Trouble.of(error).owner.outcome.exit_status


if __name__ == "__main__":
    main()
