# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel build needs of this host, and how to see that the host made a build fail.

A build that fails because a program is not installed, was killed, or found no space is BROKEN. It
says nothing about the series.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rig import proc
from rig.arch import Arch
from rig.errors import DiskFull, InfraError
from rig.kernel import sandbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """A Debian package, and the programs and files that show that it is installed."""

    package: str
    why: str
    programs: tuple[str, ...] = ()
    """All must be on the PATH."""
    files: tuple[str, ...] = ()
    """Glob patterns of absolute paths; one file must exist."""
    optional: bool = False

    def met(self, root: Path = Path("/")) -> bool:
        path = proc.search_path()
        return all(shutil.which(program, path=path) for program in self.programs) and (
            not self.files or any(_exists(root, pattern) for pattern in self.files)
        )


def _exists(root: Path, pattern: str) -> bool:
    return any(True for _ in root.glob(pattern.lstrip("/")))


BINUTILS = ("addr2line", "ld", "nm", "objcopy", "objdump", "readelf", "strip")

BUILD = (
    Need(package="make", why="builds the kernel", programs=("make",)),
    Need(package="gcc", why="compiles the kernel and its build tools", programs=("gcc",)),
    Need(package="binutils", why="links the kernel, decodes stacks", programs=BINUTILS),
    Need(
        package="libc6-dev",
        why="the kernel's build tools and the static test programs need the C library",
        files=("/usr/lib/*/libc.a", "/usr/lib64/libc.a", "/usr/lib/libc.a"),
    ),
    Need(package="flex", why="generates the parsers of kconfig and dtc", programs=("flex",)),
    Need(package="bison", why="generates the parsers of kconfig and dtc", programs=("bison",)),
    Need(package="bc", why="computes the kernel's time constants", programs=("bc",)),
    Need(
        package="libelf-dev",
        why="objtool needs it to read the kernel's object files",
        files=("/usr/include/libelf.h", "/usr/include/libelf/libelf.h"),
    ),
    Need(
        package="libssl-dev",
        why="the kernel's certificate tools need it",
        files=("/usr/include/openssl/ssl.h",),
    ),
)
"""Without these no kernel is built."""

CHANGES = (
    *("as", "awk", "cat", "cmp", "cp", "cut", "diff", "env", "expr", "find", "grep", "gzip"),
    *("head", "install", "ln", "mkdir", "mv", "od", "perl", "printf", "python3", "rm", "sed"),
    *("sh", "sort", "stat", "tail", "tar", "touch", "tr", "uniq", "wc", "xargs", "xz", "cc1"),
)
"""Programs that Kbuild calls, and that every distribution installs."""
NOT_FOUND = re.compile(
    r"(?:^|[\s:'`‘\"/])([\w.+-]+)['’\"]?: (?:command )?(?:not found|No such file or directory)"
    r"|cannot execute ['‘`]?(?:\S*/)?([\w.+-]+)",
    re.MULTILINE,
)
NOT_RUN = re.compile(r"error while loading shared libraries|cannot execute binary file|Exec format")
NO_MEMORY = re.compile(
    r"Killed signal terminated|virtual memory exhausted|annot allocate memory"
    r"|internal compiler error: Killed|\*\*\* \[.*\] (?:Killed|Error 137)\b"
)
CRASHED = re.compile(
    r"internal compiler error: |signal terminated program |terminated with signal "
    r"|\*\*\* \[.*\] (?:Terminated|Hangup|Quit|Interrupt|Bus error|Error (?:129|130|131|135|143))\b"
)
"""A compiler that crashes did not judge the source, and one that was stopped did not either."""
HINT = "`rig doctor --fix` installs what is missing"


def cross(arch: Arch) -> tuple[Need, ...]:
    """The needs for kernels and programs of another architecture than the host's."""
    return () if arch.is_host() else tuple(_cross(arch, package) for package in arch.packages)


def _cross(arch: Arch, package: str) -> Need:
    """The need for a cross package. Its name in Debian tells its contents."""
    triplet = arch.cross.removesuffix("-")
    if package.startswith("libc"):
        return Need(
            package=package,
            why=f"the static test programs of {arch.name} guests need the C library",
            files=(f"/usr/{triplet}/lib/libc.a", f"/usr/{triplet}/sys-root/usr/lib*/libc.a"),
        )
    tools = BINUTILS if package.startswith("binutils") else ("gcc",)
    why = f"cross-compiles {arch.name} kernels and test programs"
    return Need(package=package, why=why, programs=tuple(f"{arch.cross}{tool}" for tool in tools))


def check(arch: Arch) -> None:
    """Raise InfraError if this host lacks a program that a build of this architecture's kernels
    needs."""
    if absent := next(_absent(arch), ""):
        raise _lacks(arch, absent)


def _absent(arch: Arch) -> Iterator[str]:
    """The programs that a command in the sandbox does not find."""
    for need in (*BUILD, *cross(arch)):
        yield from (name for name in need.programs if shutil.which(name, path=sandbox.PATH) is None)


def _lacks(arch: Arch, name: str, detail: str = "") -> InfraError:
    option = "" if arch.is_host() else f" --arch {arch.name}"
    return InfraError(
        f"{name} is not installed, and a kernel build needs it",
        hint=HINT.replace("--fix", f"--fix{option}"),
        detail=detail,
    )


def fault(arch: Arch, output: str, status: int = 2) -> InfraError | None:
    """The error if a build failed because of the host; None if the tree is at fault.

    `output` is the end of what make printed. `status` is make's, or its sandbox's.
    """
    detail = output[-3000:]
    if any(words in output for words in DiskFull.WORDS):
        return DiskFull("building", detail=detail)
    if NO_MEMORY.search(output):
        return InfraError(
            "a program of the build was killed, or there was no memory for it",
            hint="close other programs, or taskset the rig to fewer CPUs",
            detail=detail,
        )
    if number := sandbox.signal_of(status):
        return InfraError(
            f"the build was killed by signal {number}", hint="run it again", detail=detail
        )
    named = {name for match in NOT_FOUND.finditer(output) for name in match.groups() if name}
    gone = (
        name for name in sorted(named & {*CHANGES}) if not shutil.which(name, path=sandbox.PATH)
    )
    if absent := next(_absent(arch), "") or next(gone, ""):
        return _lacks(arch, absent, detail)
    for need in BUILD:
        if not need.met():
            return _lacks(arch, need.package, detail)
    if match := NOT_RUN.search(output) or CRASHED.search(output):
        line = next(line for line in output.splitlines() if match[0] in line)
        return InfraError(
            f"a program of this host did not work: {line.strip()}",
            hint="run it again; if it fails again, install the compiler's packages anew",
            detail=detail,
        )
    return None
