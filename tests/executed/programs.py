# SPDX-License-Identifier: GPL-2.0-only
"""Compares the programs that the tests execute with the list that `rig doctor --fix` installs.

A developer may have installed a missing program by hand. The tests pass there, and fail on a new
machine.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import program_log
import pytest

from rig import arch
from rig.cli import requirements

HERE = Path(__file__).parent
TOP = HERE.parent.parent

PYTHON = re.compile(r"python3?(\.\d+)?")
"""`bootstrap` installs it, because the rig itself needs it."""

DISPENSABLE = ("fc-list",)
"""matplotlib asks it for fonts if it is installed; matplotlib has its own fonts, too."""


def own_places() -> tuple[Path, ...]:
    """Directories whose programs need no package: this checkout, Python, the tests', the store."""
    places = [TOP, Path(sys.prefix), Path(tempfile.gettempdir())]
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    places += [Path(os.environ.get("RIG_STORE") or Path(cache) / "rig")]
    return tuple(places)


def records(directory: Path) -> Iterator[tuple[Path, str]]:
    """Program and caller."""
    for file in sorted(directory.iterdir()):
        for line in file.read_text().splitlines():
            program, place = json.loads(line)
            yield Path(program), place


def essential(program: Path) -> bool:
    """Whether the program is in a package that every Debian has. True on a host without dpkg."""
    if not shutil.which("dpkg-query"):
        return True
    names = {str(program), str(program.resolve())}
    # Before Debian 13 dpkg knew many programs as /bin/…, which is a link to /usr/bin today.
    names |= {name.removeprefix("/usr") for name in names}
    owners = _dpkg_query("-S", *names)
    packages = {name for line in owners for name in line.partition(": ")[0].split(", ")}
    packages = {name for name in packages if not name.startswith("diversion by")}
    return bool(packages) and "yes" in _dpkg_query("-W", "-f", "${Essential}\n", *packages)


def _dpkg_query(*words: str) -> list[str]:
    argv = ["dpkg-query", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()


def complaints(
    executed: Iterable[tuple[Path, str]], listed: frozenset[str], own: tuple[Path, ...]
) -> list[str]:
    """The programs that were executed, but are missing on a new machine."""
    callers: dict[Path, set[str]] = {}
    for program, place in executed:
        callers.setdefault(program, set()).add(place)
    unlisted = [
        program
        for program in callers
        if program.name not in (*listed, *DISPENSABLE)
        and not PYTHON.fullmatch(program.name)
        and not any(program.is_relative_to(place) for place in own)
        and not essential(program)
    ]
    return [
        f"{program} is executed, but no Need in rig/cli/requirements.py names it, so"
        f" `rig doctor --fix` does not install it: add a Need with programs=({program.name!r},),"
        " or do not use the program.\n"
        + "".join(f"    by {place}\n" for place in sorted(callers[program])[:5])
        for program in unlisted
    ]


def listed_programs() -> frozenset[str]:
    needs = (*requirements.needs(arch.known().values()), *requirements.UNPRIVILEGED)
    return frozenset(program for need in needs for program in need.programs)


class Watch:
    """The plugin. The main process of pytest checks at the end, for xdist's workers too."""

    def __init__(self) -> None:
        self.directory: Path | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        if not hasattr(config, "workerinput"):
            self.directory = Path(tempfile.mkdtemp(prefix="rig-programs-"))
            os.environ[program_log.VARIABLE] = str(self.directory)
            paths = [str(HERE), os.environ.get("PYTHONPATH")]
            os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        program_log.start()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.directory is None:
            return
        executed = list(records(self.directory))
        shutil.rmtree(self.directory)
        errors = complaints(executed, listed_programs(), own_places())
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if errors and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if errors and reporter is not None:
            name = "the programs that were executed"
            report = pytest.TestReport(
                name, (name, None, name), {}, "failed", "\n".join(errors), "teardown"
            )
            reporter.stats.setdefault("error", []).append(report)
