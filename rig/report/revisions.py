# SPDX-License-Identifier: GPL-2.0-only
"""The shelf of series: what was fetched."""

from pathlib import Path

from rig.intake import Fetched


def fetched(done: Fetched, shelf: Path) -> str:
    lines = []
    for one in done.series:
        new = "" if one.revision in done.fresh else ", which was there already"
        based = f", base {one.base[:12]}" if one.base else ", no base named"
        lines.append(f"{one.label}: {len(one.patches)} patches{based}{new}")
        lines.append(f"  {shelf / one.name / f'v{one.revision}.mbx'}")
    return "\n".join([*lines, "", f"rig run {done.series[-1].label}"]) + "\n"
