# SPDX-License-Identifier: GPL-2.0-only
"""`rig replay --trace`: runs a stored seeded run again and logs the calls of kernel functions.

A TCG plugin (rig/guest/calls.c) writes a line each time that the first instruction of a traced
function is executed. The guest does not see it, so it is the same run, as its digest shows; a
breakpoint would change the interleaving.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rig.campaigns import replay
from rig.campaigns.replay import Recorded
from rig.errors import ConfigError, InfraError, unknown
from rig.guest import libraries, seeded, symbolize
from rig.guest.qemu import value as qemu_value
from rig.store import Store
from rig.verdict.rules import Outcome, repeated

LINE = re.compile(r"(\d+) (\d+) ([0-9a-f]+)\n")
"""Virtual ns, CPU, address."""
FILE, RAW = "trace.txt", "calls.log"
"""The trace that is stored beside the run, and what the plugin writes."""


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
    """Virtual seconds since power on, at the beginning of the CPU's turn."""
    cpu: int
    function: str

    def __str__(self) -> str:
        return f"{self.at:14.9f}  CPU {self.cpu}  {self.function}"


def trace(store: Store, record: Recorded, functions: Sequence[str], directory: Path) -> Traced:
    """Run a case again in `directory`; the trace is stored beside the consoles of the stored run.

    Raises ConfigError for a function that the kernel does not have, or has only inlined.
    """
    origin = record.result.provenance
    library = libraries.calls(store)
    software = replace(replay.software(store, origin), plugin=library)
    addresses = _addresses(store.path("builds", origin.build), functions)
    points = {address: name for name, address in addresses.items()}
    raw, out = directory / RAW, record.directory / FILE
    plugin = (qemu_value(library), f"out={RAW}", *(f"at={point:#x}" for point in points))
    command = record.case.command
    options = ("-plugin", ",".join(plugin))
    run = seeded.run(record.result.machine, software, command, directory, options, leaves=(RAW,))
    if not raw.is_file():
        raise InfraError(f"QEMU wrote no calls to {RAW}")
    counts: Counter[str] = Counter()
    with raw.open() as lines, out.open("w") as file:
        for call in calls(lines, points):
            counts[call.function] += 1
            file.write(f"{call}\n")
    return Traced(
        name=record.name,
        arch=record.result.machine.arch,
        identical=run.digest == record.case.digest,
        calls=tuple((name, counts[name]) for name in functions),
        file=out,
        note=replay.other_qemu(record.result),
    )


def calls(lines: Iterable[str], points: Mapping[int, str]) -> Iterator[Call]:
    """The calls that the plugin wrote down; `points` maps addresses to functions.

    Raises InfraError for a line that the plugin does not write.
    """
    for line in lines:
        match = LINE.fullmatch(line)
        if not match or int(match[3], 16) not in points:
            raise InfraError(f"not a call of a traced function: {line.strip()[:100]!r}")
        yield Call(int(match[1]) / 1e9, int(match[2]), points[int(match[3], 16)])


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
