# SPDX-License-Identifier: GPL-2.0-only
"""What an exploration, or a replay, has shown."""

from collections.abc import Sequence

from rig import printable
from rig.campaigns.explore import Exploration
from rig.campaigns.replay import Replayed
from rig.campaigns.trace import Traced

SHOWN = 20
"""Failing seeds that are named."""


def explored(found: Exploration) -> str:
    mutant = f", {found.mutant} on" if found.mutant else ""
    lines = [
        f"{found.label}{mutant}: {found.suite}/{found.case} on {found.arch}: {found.outcome}",
        f"  {len(found.tried)} seeds, {len(found.failing)} failing, "
        f"{found.interleavings} different interleavings",
    ]
    for one in found.failing[:SHOWN]:
        lines.append(f"  seed {one.seed}: {one.case.reason}")
    if len(found.failing) > SHOWN:
        lines.append(f"  [{len(found.failing) - SHOWN} more]")
    others = [one for one in found.tried if one.case.outcome.exit_status > 1]
    for one in others[:SHOWN]:
        lines.append(f"  seed {one.seed}: {one.case.outcome} {one.case.reason}")
    if found.failing:
        chances = (f"{seeds}: {found.miss(seeds):.0%}" for seeds in (1, 2, 4, 8, 16, 32))
        lines.append(f"  chance that so many seeds all miss it: {', '.join(chances)}")
    if found.shrunk:
        lines += [f"  least that fails, {found.shrunk.seconds:.1f} s:", f"    {found.shrunk.line}"]
    return printable.page(lines)


def traced(runs: Sequence[Traced]) -> str:
    lines = []
    for one in runs:
        said = "identical" if one.identical else "NOT identical"
        lines.append(f"{one.arch:<8} {one.name:<42} {said}")
        lines += [f"    {count:>10,}  {name}" for name, count in one.calls]
        lines.append(f"    {one.file}")
    return printable.page(lines)


def replayed(runs: Sequence[Replayed]) -> str:
    lines = []
    for one in runs:
        said = "identical" if one.identical else "NOT identical"
        lines.append(f"{one.arch:<8} {one.name:<42} {said:<13} {one.seconds:6.1f} s")
        if not one.identical:
            lines += [f"    was: {one.before}", f"    is:  {one.after}"]
        if one.note:
            lines.append(f"    {one.note}")
    return printable.page(lines)
