# SPDX-License-Identifier: GPL-2.0-only
"""`rig`: errors become messages and exit statuses here, and nowhere else."""

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
from rig.verdict.rules import Trouble

INTERRUPTED = 130


def main() -> None:
    # A terminated rig cleans up like an interrupted one; a shell's background job ignores SIGINT.
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
        if ended.code == INTERRUPTED:  # what typer makes of Ctrl-C
            sys.stderr.write("rig: interrupted; nothing is left running\n")
        if isinstance(ended.__context__, BrokenPipeError):
            # `rig list | head -1`: typer would say FAIL, and flushing stdout again a traceback.
            os._exit(128 + signal.SIGPIPE)
        raise
    except Exception:
        sys.excepthook = say_bug  # typer has put its own there, which says it as it is
        raise


def check_given_once(words: Sequence[str]) -> None:
    """Raises ConfigError for an option given twice, of which typer would take the last."""
    options = [word.split("=", 1)[0] for word in itertools.takewhile("--".__ne__, words)]
    twice = [one for one in options if one.startswith("--") and options.count(one) > 1]
    if twice:
        raise ConfigError(f"{twice[0]} is given twice", hint=f"several in one: {twice[0]} A,B")


def say(error: RigError) -> None:
    """Message, evidence, what to do next, in which a subject or a console may have its say."""
    detail = printable.text(error.detail).splitlines()
    lines = [f"rig: {printable.line(error.message)}", *(f"  | {line}" for line in detail)]
    if error.hint:
        lines.append(f"  hint: {printable.line(error.hint)}")
    sys.stderr.write("\n".join(lines) + "\n")


def say_bug(
    kind: type[BaseException], error: BaseException, where: types.TracebackType | None
) -> None:
    """Ours; but the words may be anybody's."""
    said = "".join(traceback.format_exception(kind, error, where))
    sys.stderr.write(printable.text(said))


def exit_status(error: RigError) -> int:
    """2 for bad input; else what the fault's owner makes of it (outcome rule 2)."""
    return 2 if isinstance(error, ConfigError) else Trouble.of(error).owner.outcome.exit_status


if __name__ == "__main__":
    main()
