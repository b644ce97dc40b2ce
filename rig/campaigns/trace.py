# SPDX-License-Identifier: GPL-2.0-only
"""`rig replay --trace`: runs a stored seeded run again and logs the calls of kernel functions.

QEMU logs the blocks of code that it executes, and the CPU (-d exec), but only the first block of
each traced function (-dfilter). Nothing is added to the guest and nothing stops it, so it is the
same run, as its digest shows; a breakpoint would change the interleaving. Blocks are not chained
(nochain): else only the first of several calls would be logged. The log has no time, but it has the
registers (-d cpu), and so the clock's value each time that the guest reads its clock.
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
from rig.verdict.rules import Outcome, repeated

BLOCK = re.compile(r"Trace (\d+): \S+ \[[0-9a-f]+/([0-9a-f]+)/")
REGISTER = re.compile(r"\b([A-Za-z][A-Za-z0-9]{1,3})(?: ?=| +)([0-9a-f]{16})\b")
"""`RAX=`, `X01=` or `x10/a0`, and the value."""
FILE, RAW = "trace.txt", "qemu-trace.log"
"""The trace that is stored beside the run, and QEMU's log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traced:
    name: str
    """suite/case"""
    arch: str
    identical: bool
    """Whether it was the stored run; if not, the trace is of another run."""
    calls: tuple[tuple[str, int], ...]
    file: Path
    """A line for each call: virtual seconds, CPU, function."""
    note: str
    """As in replay.Replayed."""

    @property
    def outcome(self) -> Outcome:
        return repeated(identical=self.identical, same_qemu=not self.note)


@dataclass(frozen=True, slots=True)
class Call:
    at: float
    """Virtual seconds since power on, when the guest last read its clock."""
    cpu: int
    function: str

    def __str__(self) -> str:
        return f"{self.at:14.9f}  CPU {self.cpu}  {self.function}"


def trace(store: Store, record: Recorded, functions: Sequence[str], directory: Path) -> Traced:
    """Run a case again in `directory`; the trace is stored beside the consoles of the stored run.

    Raises ConfigError for a function that the kernel does not have, or has only inlined.
    """
    origin, arch = record.result.provenance, arches.pick(record.result.machine.arch)
    software = replay.software(store, origin)
    build = store.path("builds", origin.build)
    points = {address: name for name, address in _addresses(build, functions).items()}
    clock, register = _clock(arch, build)
    raw, out = directory / RAW, record.directory / FILE
    blocks = ",".join(f"{address:#x}+1" for address in (*points, clock))
    options = ("-d", "exec,nochain,cpu", "-dfilter", blocks, "-D", RAW)
    command = record.case.command
    run = seeded.run(record.result.machine, software, command, directory, options, leaves=(RAW,))
    if not raw.is_file():
        raise InfraError(f"QEMU wrote no log to {RAW}")
    counts: Counter[str] = Counter()
    with raw.open(errors="replace") as lines, out.open("w") as file:
        for call in calls(lines, points, clock, lambda values: arch.clock(values, register)):
            counts[call.function] += 1
            file.write(f"{call}\n")
    return Traced(
        name=record.name,
        arch=arch.name,
        identical=run.digest == record.case.digest,
        calls=tuple((name, counts[name]) for name in functions),
        file=out,
        note=replay.other_qemu(record.result),
    )


def calls(
    lines: Iterable[str],
    points: Mapping[int, str],
    clock: int,
    seconds: Callable[[Mapping[str, int]], float],
) -> Iterator[Call]:
    """The calls in QEMU's log.

    `points` maps addresses to functions. `clock` is the address behind the instruction that reads
    the clock; `seconds` converts the registers at that address.
    """
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
        raise ConfigError(
            "--trace names no function", hint="--trace try_to_unmap_one,flush_tlb_func"
        )
    for name in functions:
        if name not in symbols:
            raise unknown("function that this kernel calls", name, symbols)
    return {name: symbols[name] for name in functions}


def _clock(arch: Arch, build: Path) -> tuple[int, str]:
    """The address behind the instruction that reads the clock, and the register in it, if any."""
    argv = [
        arch.tool("objdump"),
        "-d",
        "--no-show-raw-insn",
        f"--disassemble={arch.clock_function}",
    ]
    vmlinux = build / "vmlinux"
    boxed = sandbox.command([*argv, vmlinux], Box(read=(vmlinux,)), unconfined=True)
    code = proc.run(boxed).stdout
    match = re.search(
        rf"^[0-9a-f]+:\s+{arch.clock_instruction}\s*\n\s*([0-9a-f]+):", code, re.MULTILINE
    )
    if not match:
        raise InfraError(f"{arch.clock_function}() of this kernel does not read a clock")
    *registers, address = match.groups()
    return int(address, 16), "".join(registers)
