# SPDX-License-Identifier: GPL-2.0-only
"""Adds file and line to kernel stacks, from the System.map and vmlinux of the build."""

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
"""Splats to decode. Each takes a second, and a kernel that warns in a loop prints thousands."""
SYMBOL = re.compile(r"([0-9a-f]{1,16}) (\w) (\S+).*")


def look_up(arch: Arch, directory: Path, splats: Sequence[Splat]) -> tuple[Splat, ...]:
    """The splats. Those that are fatal, and the first of the others, have their frames decoded."""
    order = sorted(range(len(splats)), key=lambda index: not splats[index].fatal)
    chosen = {*order[:LOOKED_UP]}
    return tuple(
        replace(splat, text=decode(arch, directory, splat.text)) if index in chosen else splat
        for index, splat in enumerate(splats)
    )


def decode(arch: Arch, directory: Path, lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines, with file and line of the source after each `function+0x12/0x34`.

    Frames that the build has no symbols for stay as they are.
    """
    frames = {match[0]: match for line in lines for match in FRAME.finditer(line)}
    if not frames:
        return lines
    functions = symbols(directory / "System.map")
    addresses = {
        # A return address is after the call, so take one byte off, except at a function's start.
        frame: functions[match[1]] + max(0, int(match[2], 16) - 1)
        for frame, match in frames.items()
        if match[1] in functions
    }
    if not addresses:
        return lines
    argv: proc.Argv = [arch.tool("addr2line"), "-e", directory / "vmlinux"]
    stdin = "".join(f"{address:#x}\n" for address in addresses.values()).encode()
    # binutils are not safe with hostile files, and the vmlinux may be from a stranger's series.
    boxed = sandbox.command(argv, Box(read=(directory / "vmlinux",)), unconfined=True)
    places = proc.run(boxed, check=False, deadline=120, stdin=stdin).stdout.splitlines()
    sources = {
        frame: re.sub(r"^.*?/src/", "", place.split(" (", 1)[0])
        for frame, place in zip(addresses, places, strict=False)
        if not place.startswith("?")
    }
    return tuple(
        FRAME.sub(lambda m: f"{m[0]} ({sources[m[0]]})" if m[0] in sources else m[0], line)
        for line in lines
    )


def symbols(path: Path, kinds: str = "") -> dict[str, int]:
    """Name -> address, from a System.map; `kinds` are nm's letters, all by default."""
    addresses: dict[str, int] = {}
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        match = SYMBOL.fullmatch(line)
        if match and (not kinds or match[2] in kinds):
            addresses.setdefault(match[3], int(match[1], 16))
    return addresses
