# SPDX-License-Identifier: GPL-2.0-only
"""Kernel stacks with file and line, from the build's own System.map and vmlinux."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rig import proc
from rig.arch import Arch
from rig.guest.console import Splat
from rig.kernel import sandbox
from rig.kernel.sandbox import Box

FRAME = re.compile(r"\b([A-Za-z_][\w.]*)\+0x([0-9a-f]+)/0x([0-9a-f]+)")
LOOKED_UP = 20
"""Splats. Each takes a second, and a kernel that warns in a loop leaves a million."""
SYMBOL = re.compile(r"([0-9a-f]{1,16}) (\w) (\S+).*")


def look_up(arch: Arch, directory: Path, splats: Sequence[Splat]) -> tuple[Splat, ...]:
    """The splats with their frames decoded: the fatal ones, and the first of the others."""
    order = sorted(range(len(splats)), key=lambda number: not splats[number].fatal)
    chosen = {*order[:LOOKED_UP]}
    return tuple(
        replace(splat, text=decode(arch, directory, splat.text)) if number in chosen else splat
        for number, splat in enumerate(splats)
    )


def decode(arch: Arch, directory: Path, lines: tuple[str, ...]) -> tuple[str, ...]:
    """Each `function+0x12/0x34` of the lines followed by where that is in the source.

    Lines come back as they are where the build has no symbols for them.
    """
    frames = {match[0]: match for line in lines for match in FRAME.finditer(line)}
    if not frames:
        return lines
    known = symbols(directory / "System.map")
    addresses = {
        # The return address is after the call; at a function's start nothing was called yet.
        frame: known[match[1]] + max(0, int(match[2], 16) - 1)
        for frame, match in frames.items()
        if match[1] in known
    }
    if not addresses:
        return lines
    argv: proc.Argv = [arch.tool("addr2line"), "-e", directory / "vmlinux"]
    asked = "".join(f"{address:#x}\n" for address in addresses.values()).encode()
    # binutils take hostile files badly, and the vmlinux may be a stranger's.
    boxed = sandbox.command(argv, Box(read=(directory / "vmlinux",)), unconfined=True)
    places = proc.run(boxed, check=False, deadline=120, stdin=asked).stdout.splitlines()
    where = {
        frame: re.sub(r"^.*?/src/", "", place.split(" (", 1)[0])
        for frame, place in zip(addresses, places, strict=False)
        if not place.startswith("?")
    }
    return tuple(
        FRAME.sub(lambda m: f"{m[0]} ({where[m[0]]})" if m[0] in where else m[0], line)
        for line in lines
    )


def symbols(path: Path, kinds: str = "") -> dict[str, int]:
    """Name -> address, from a System.map; `kinds` are nm's letters, all by default."""
    found: dict[str, int] = {}
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        match = SYMBOL.fullmatch(line)
        if match and (not kinds or match[2] in kinds):
            found.setdefault(match[3], int(match[1], 16))
    return found
