# SPDX-License-Identifier: GPL-2.0-only
"""A stored seeded run once more, with a stamp for every call of some of the kernel's functions.

QEMU writes down which blocks of code it executes, and on which CPU (-d exec), kept to those that a
chosen function begins with (-dfilter). Nothing is added to the guest and nothing stops it, so the
run stays the one it was, which its digest shows; a breakpoint would move its turns. Blocks are not
chained (nochain), or only the first of several calls would be seen. Of the time that log knows
nothing, but the registers are in it (-d cpu), and so is the clock whenever the guest reads it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import arch as arches
from rig import proc
from rig.arch import Arch
from rig.campaigns import replay
from rig.campaigns.replay import Recorded
from rig.errors import ConfigError, InfraError, unknown
from rig.guest import seeded, symbolize
from rig.kernel import sandbox
from rig.kernel.sandbox import Box
from rig.store import Store

BLOCK = re.compile(r"Trace (\d+): \S+ \[[0-9a-f]+/([0-9a-f]+)/")
REGISTER = re.compile(r"\b([A-Za-z][A-Za-z0-9]{1,3})(?: ?=| +)([0-9a-f]{16})\b")
"""`RAX=`, `X01=` or `x10/a0`, and the value."""
FILE, RAW = "trace.txt", "qemu-trace.log"
"""What is kept beside the run, and what QEMU writes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traced:
    name: str
    """suite/case"""
    arch: str
    identical: bool
    """The run was the one that is stored: without this the rest is of another."""
    calls: tuple[tuple[str, int], ...]
    file: Path
    """A line for each call: virtual seconds, CPU, function."""


@dataclass(frozen=True, slots=True)
class Call:
    at: float
    """Virtual seconds since power on, as the guest's clock was last read."""
    cpu: int
    function: str

    def __str__(self) -> str:
        return f"{self.at:14.9f}  CPU {self.cpu}  {self.function}"


def trace(store: Store, one: Recorded, functions: Sequence[str], directory: Path) -> Traced:
    """Run it again in `directory`, and leave the calls beside the stored run's consoles.

    Raises ConfigError for a function that the kernel does not have, or has only inlined.
    """
    known, arch = one.result.provenance, arches.pick(one.result.machine.arch)
    software = replay.software(store, known)
    build = store.path("builds", known.build)
    points = {address: name for name, address in _addresses(build, functions).items()}
    clock, register = _clock(arch, build)
    raw, out = directory / RAW, one.directory / FILE
    blocks = ",".join(f"{address:#x}+1" for address in (*points, clock))
    options = ("-d", "exec,nochain,cpu", "-dfilter", blocks, "-D", RAW)
    command = one.case.command
    ran = seeded.run(one.result.machine, software, command, directory, options, leaves=(RAW,))
    if not raw.is_file():
        raise InfraError("QEMU does not trace")
    counts: Counter[str] = Counter()
    with raw.open(errors="replace") as lines, out.open("w") as file:
        for call in calls(lines, points, clock, lambda values: arch.clock(values, register)):
            counts[call.function] += 1
            file.write(f"{call}\n")
    return Traced(
        name=one.name,
        arch=arch.name,
        identical=ran.digest == one.case.digest,
        calls=tuple((name, counts[name]) for name in functions),
        file=out,
    )


def calls(
    lines: Iterable[str],
    points: Mapping[int, str],
    clock: int,
    seconds: Callable[[Mapping[str, int]], float],
) -> Iterator[Call]:
    """QEMU's log as calls. `points` are the functions' addresses, `clock` where it was just read,
    `seconds` what the registers say then."""
    at, reading, registers = 0.0, False, dict[str, int]()
    for line in lines:
        if match := BLOCK.match(line):
            if reading:
                at = seconds(registers)
            address = int(match[2], 16)
            reading, registers = address == clock, {}
            if address in points:
                yield Call(at, int(match[1]), points[address])
        elif reading:
            registers |= {name: int(value, 16) for name, value in REGISTER.findall(line)}


def _addresses(build: Path, functions: Sequence[str]) -> dict[str, int]:
    symbols = symbolize.symbols(build / "System.map", kinds="tTwW")
    if not functions:
        raise ConfigError("no function is named", hint="--trace try_to_unmap_one,flush_tlb_func")
    for name in functions:
        if name not in symbols:
            raise unknown("function that this kernel calls", name, symbols)
    return {name: symbols[name] for name in functions}


def _clock(arch: Arch, build: Path) -> tuple[int, str]:
    """Where the guest has just read its clock, and the register that is named there, if any."""
    argv = [
        arch.tool("objdump"),
        "-d",
        "--no-show-raw-insn",
        f"--disassemble={arch.clock_function}",
    ]
    vmlinux = build / "vmlinux"
    boxed = sandbox.command([*argv, vmlinux], Box(read=(vmlinux,)), unconfined=True)
    code = proc.run(boxed).stdout
    found = re.search(
        rf"^[0-9a-f]+:\s+{arch.clock_instruction}\s*\n\s*([0-9a-f]+):", code, re.MULTILINE
    )
    if not found:
        raise InfraError(f"{arch.clock_function}() of this kernel does not read a clock")
    *named, after = found.groups()
    return int(after, 16), "".join(named)
