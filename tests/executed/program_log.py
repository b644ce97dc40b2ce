# SPDX-License-Identifier: GPL-2.0-only
"""Logs which programs a Python process starts, and from where.

An environment variable names the directory of the logs: a file for each process, a line of JSON for
each program and caller. Every child process loads this module, so it imports only a few modules of
the standard library.
"""

import os
import sys

VARIABLE = "RIG_TESTS_PROGRAM_LOG"
"""Names the directory."""

WRAPPERS = ("bwrap", "choom", "env", "prlimit", "setpriv", "sudo", "unshare")
"""Programs that start another one: the one after `--`, or for env after the assignments."""


def unwrapped(argv: list[str]) -> list[str]:
    """All programs that a command line starts: the wrappers, and the program in them."""
    programs = []
    while argv:
        program, *rest = argv
        programs.append(program)
        if os.path.basename(program) not in WRAPPERS:  # noqa: PTH119
            break
        if os.path.basename(program) == "env":  # noqa: PTH119
            while rest and (rest[0].startswith("-") or "=" in rest[0]):
                rest = rest[1:]
        else:
            rest = rest[rest.index("--") + 1 :] if "--" in rest else []
        argv = rest
    return programs


def caller() -> str:
    """The innermost caller outside the standard library and rig/proc.py."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        inner = f"{os.sep}lib{os.sep}python" in name or name.startswith("<")
        if not inner and not name.endswith((f"rig{os.sep}proc.py", __file__)):
            break
        frame = frame.f_back
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {test or 'no test'}"


def start() -> None:
    """Log every program that this process starts from now on. There is no way to stop it."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        return
    seen: set[tuple[str, str]] = set()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event != "subprocess.Popen":
            return
        executable, argv, _, env = arguments
        words = [argv] if isinstance(argv, (str, bytes, os.PathLike)) else list(argv)  # type: ignore[call-overload]
        # The program is `executable`; argv[0] may be another name.
        words = [os.fsdecode(word) for word in [executable or words[0], *words[1:]]]  # type: ignore[list-item]
        path = (os.environ if env is None else env).get("PATH", os.defpath)  # type: ignore[attr-defined]
        note(directory, seen, unwrapped(words), os.fsdecode(path))

    sys.addaudithook(hook)


def note(directory: str, seen: set[tuple[str, str]], programs: list[str], path: str) -> None:
    import json
    import shutil

    place = caller()
    for program in programs:
        if (program, place) in seen:
            continue
        seen.add((program, place))
        executable = program if os.sep in program else shutil.which(program, path=path)
        if executable is None:
            continue  # then it does not start either
        line = json.dumps([os.path.abspath(executable), place])  # noqa: PTH100
        if os.path.isdir(directory):  # noqa: PTH112 - it is removed at the session's end
            with open(f"{directory}/{os.getpid()}", "a") as file:  # noqa: PTH123
                file.write(f"{line}\n")
