# SPDX-License-Identifier: GPL-2.0-only
"""The output of `rig explore` and `rig replay`."""

from collections.abc import Sequence

from rig import printable
from rig.campaigns.explore import Exploration
from rig.campaigns.replay import Replayed
from rig.campaigns.trace import Traced

SHOWN = 20
"""At most this many seeds are listed."""


def explored(exploration: Exploration) -> str:
    mutant = f", {exploration.mutant} on" if exploration.mutant else ""
    case = f"{exploration.suite}/{exploration.case} on {exploration.arch}"
    failing, shrunk = exploration.failing, exploration.shrunk
    lines = [
        f"{exploration.label}{mutant}: {case}: {exploration.outcome}",
        f"  {len(exploration.tried)} seeds, {len(failing)} failing, "
        f"{exploration.interleavings} different interleavings",
    ]
    for tried in failing[:SHOWN]:
        lines.append(f"  seed {tried.seed}: {tried.case.reason}")
    if len(failing) > SHOWN:
        lines.append(f"  [{len(failing) - SHOWN} more]")
    others = [tried for tried in exploration.tried if tried.case.outcome.exit_status > 1]
    for tried in others[:SHOWN]:
        lines.append(f"  seed {tried.seed}: {tried.case.outcome} {tried.case.reason}")
    if failing:
        chances = (f"{seeds}: {exploration.miss(seeds):.0%}" for seeds in (1, 2, 4, 8, 16, 32))
        lines.append(f"  chance that N seeds all miss it: {', '.join(chances)}")
    if shrunk:
        lines += [f"  smallest that fails, {shrunk.seconds:.1f} s:", f"    {shrunk.line}"]
    return printable.page(lines)


def _compared(run: Traced | Replayed) -> str:
    """Whether the bytes are the same. Of another QEMU they need not be."""
    if run.identical:
        return "identical"
    return "another QEMU" if run.note else "NOT identical"


def traced(runs: Sequence[Traced]) -> str:
    lines = []
    for run in runs:
        lines.append(f"{run.arch:<8} {run.name:<42} {_compared(run)}")
        lines += [f"    {count:>10,}  {name}" for name, count in run.calls]
        lines.append(f"    {run.file}")
        if run.note:
            lines.append(f"    {run.note}")
    return printable.page(lines)


def replayed(runs: Sequence[Replayed]) -> str:
    lines = []
    for run in runs:
        lines.append(f"{run.arch:<8} {run.name:<42} {_compared(run):<13} {run.seconds:6.1f} s")
        if not run.identical:
            lines += [f"    was: {run.before}", f"    is:  {run.after}"]
        if run.note:
            lines.append(f"    {run.note}")
    return printable.page(lines)
