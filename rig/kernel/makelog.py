# SPDX-License-Identifier: GPL-2.0-only
"""What make prints while it builds a kernel: compiled files, warnings, the first error.

make runs with --output-sync=target, so all that a recipe prints comes in one piece, with -j too. A
recipe of Kbuild prints the name of its file first (`  CC      mm/vmscan.o`). So a warning is of the
file that was named last.
"""

import re
from collections.abc import Callable
from pathlib import Path

from rig import log
from rig.arch import Arch
from rig.errors import BuildError
from rig.kernel import buildhost

MADE = re.compile(r"^  [A-Z][\w+-]*(?: \[M\])? +(\S+)$", re.ASCII)
COMPILED = re.compile(r"^  (?:CC|AS) +(?!\[M\])(\S+)$")
FILE = re.compile(r"(?!/)(?:(?!\.{1,2}/)[\w.+@,~-]+/)*[\w.+@,~-]+", re.ASCII)
"""The name of a file below the O= directory."""
# The compiler, the assembler, make, dtc; gcc and ld without a place; objtool; modpost.
WARNING = re.compile(
    r"^(?:(?:\S+|\{standard input\}):\d[\d.:-]*: [Ww]arning[: ]"
    r"|\S*(?:cc1|gcc|ld|ld\.bfd): warning: "
    r"|\S+: warning: objtool: "
    r"|WARNING: modpost: )"
)
KCONFIG = re.compile(r"^(?:\S*Kconfig\S*:\d+: ?warning: |WARNING: unmet direct dependencies)")
ERROR = re.compile(
    r"^\S+:\d+(?::\d+)?: (?:fatal )?error: |^\S*ld: (?!warning: )|: undefined reference |^ERROR: "
)
HOST_PROGRAMS = ("scripts/basic/", "scripts/kconfig/", "tools/")
"""These do not get into the kernel, and a later make does not compile them again: some are compiled
by the configuration, and a new objtool makes Kbuild compile the whole kernel again."""
MANY = 20_000
"""No kernel has so many objects. A hostile Makefile may print more names."""


class Meter:
    """Reads make's output line by line; `warned` is called for each file that has a warning."""

    def __init__(
        self,
        step: log.Step,
        expected: int,
        *,
        place: Path | None = None,
        warned: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.step, self.expected = step, expected
        self.prefixes = [f"{place}/src/", f"{place}/out/"] if place else []
        self.note = warned
        self.objects = 0
        self.target = ""
        self.found: set[str] = set()
        self.warned: set[str] = set()
        self.lines: list[str] = []
        self.first_error = -1

    @property
    def warnings(self) -> list[str]:
        """Each once: a warning in a header comes with all objects that include it."""
        return sorted(self.found)

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if match := MADE.match(line):
            self.target = self._relative(match[1])
            if match := COMPILED.match(line):
                self.objects += 1
                total = max(self.expected, self.objects) if self.expected else 0
                self.step.progress(self.objects, total, match[1])
        elif WARNING.match(line):
            self._warning(self._relative(line))
        elif self.first_error < 0 and ERROR.search(line):
            self.first_error = len(self.lines) - 1

    def _relative(self, text: str) -> str:
        for prefix in self.prefixes:
            text = text.replace(prefix, "")
        return text

    def _warning(self, text: str) -> None:
        name = self.target
        if name.startswith(HOST_PROGRAMS):
            return
        self.found.add(text)
        if name not in self.warned and len(self.warned) < MANY and FILE.fullmatch(name):
            self.warned.add(name)
            self.note(name)

    def error(self) -> tuple[str, str]:
        """The compiler's first error, or the line where make stopped; and the lines around it."""
        if (first := self.first_error) >= 0:
            return self.lines[first], "\n".join(self.lines[first : first + 30])
        stop = next((n for n, line in enumerate(self.lines) if "*** " in line), -1)
        around = self.lines[max(0, stop - 25) : stop + 5] if stop >= 0 else self.lines[-30:]
        return self.lines[stop] if self.lines else "no output from make", "\n".join(around)


def failure(meter: Meter, source: Path, arch: Arch, status: int = 2) -> Exception:
    """The error for a make that has failed: the tree's, or the host's."""
    first, around = meter.error()
    prefix = f"{source}/"
    return buildhost.fault(arch, "\n".join(meter.lines[-200:]), status) or BuildError(
        f"it does not compile: {first.strip().replace(prefix, '')}",
        detail=around.replace(prefix, ""),
    )


def kconfig_warnings(output: str) -> list[str]:
    return sorted({line for line in output.splitlines() if KCONFIG.match(line)})
