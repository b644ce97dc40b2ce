# SPDX-License-Identifier: GPL-2.0-only
"""The files beside a stored result, as a page shows them: the console with the splats marked, the
command line, the configuration, and all of them as downloads.

The text is escaped for HTML here, because a console of thousands of lines is one value of a
template. Control characters are not: rig/report/html.py makes the whole page printable.
"""

import base64
import gzip
import html
import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from rig.guest import stamps
from rig.guest.console import Splat, scan_file
from rig.guest.seeded import CONSOLE

FILE_MAX = 4 << 20
"""Bytes of a file that are read: the first and the last half of them."""
LINES_MAX = 3000
"""Lines of a console that a page shows. Of a longer one, it shows the start, the splats and the
end; the download has all."""
LEVEL = 3
"""Of gzip: a higher one takes three times as long for a tenth less."""
AROUND, START, END = 60, 200, 1000
LINE_MAX = 2000
"""Characters of a line that are shown."""
FRAME = re.compile(
    r"(?P<frame>\b[A-Za-z_][\w.]*\+0x[0-9a-f]+/0x[0-9a-f]+)(?P<source> \([^()\s]+:\d+\))?"
)
NAMES = ("kernel.config", "qemu.log", "series.mbx", "registers.txt")
SHOWN = ("qemu.cmd", "result.json")
"""Files that can be downloaded, besides the consoles. What SHOWN has is on the page, too."""


class Marked(str):
    """Text that is HTML already. A template does not escape it again."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    name: str
    note: str
    url: Marked


Attach = Callable[[str, bytes], Download]
"""A file's name and content -> its download."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Console:
    name: str
    """Its path in the directory of the result."""
    lines: int
    splats: int
    """The number of splats that are marked."""
    whole: bool
    """All lines are shown."""
    shown: Marked


def embedded(name: str, data: bytes) -> Download:
    """The file itself, as a URL: the page needs no other file."""
    packed = base64.b64encode(gzip.compress(data, LEVEL, mtime=0)).decode()
    return Download(
        name=f"{name}.gz",
        note=f"{size(data)}, gzip",
        url=Marked(f"data:application/gzip;base64,{packed}"),
    )


def size(data: bytes) -> str:
    return f"{max(len(data) / 1024, 0.1):,.1f} KiB"


def read(path: Path) -> bytes:
    """The content of a file, at most FILE_MAX bytes; a line says what is left out."""
    with path.open("rb") as file:
        data = file.read(FILE_MAX + 1)
        if len(data) <= FILE_MAX:
            return data
        size = os.fstat(file.fileno()).st_size
        file.seek(size - FILE_MAX // 2)
        left = f"\n[{size - FILE_MAX:,} bytes are left out]\n"
        return data[: FILE_MAX // 2] + left.encode() + file.read(FILE_MAX // 2)


def downloads(directory: Path, names: Sequence[str], attach: Attach) -> Iterator[Download]:
    """These files of a result. A file that cannot be read is left out."""
    for path in (directory / name for name in names):
        try:
            data = read(path)
        except OSError:
            continue
        if data:
            yield attach("-".join(path.relative_to(directory.parent).parts), data)


def found(directory: Path, name: str) -> tuple[Path, ...]:
    """The files with this name: of each guest, and of each case of a seeded run."""
    with os.scandir(directory) as entries:
        deep = any(entry.is_dir() for entry in entries)
    if not deep:  # most often, and much faster
        own = directory / name
        return (own,) if own.is_file() else ()
    return tuple(path for path in sorted(directory.rglob(name)) if path.is_file())


def text(path: Path) -> str:
    """The text of a file; empty if it cannot be read."""
    try:
        return read(path).replace(b"\r\n", b"\n").decode(errors="replace")
    except OSError:
        return ""


def options(config: str) -> str:
    """The options of a kernel configuration that are set."""
    lines = config.splitlines()
    return "\n".join(line for line in lines if line and not line.startswith("#"))


def command(line: str) -> str:
    """A command line of QEMU with an option on each line."""
    return re.sub(r" (?=-[a-z])", " \\\n    ", line.strip())


def stack(splat: Splat) -> Marked:
    """The text of a splat, with its stack frames and their sources marked."""
    return Marked("\n".join(map(_frames, splat.text)))


def consoles(directory: Path, splats: Sequence[Splat], anchor: str) -> tuple[Console, ...]:
    """The consoles of a result. `splats` are the result's, decoded, in the order of the consoles.

    The first line of splat N has the id `ANCHOR-N`.
    """
    shown, first = [], 0
    for path in found(directory, CONSOLE):
        printed = scan_file(path) if splats else ()
        decoded = splats[first : first + len(printed)]
        said = text(path).removesuffix("\n")
        lines = said.split("\n")
        marks = _marks(lines, printed, decoded)
        name = str(path.relative_to(directory))
        whole = len(lines) <= LINES_MAX and max(map(len, lines)) <= LINE_MAX
        plain = whole and not marks
        body = (
            html.escape(said, quote=False)
            if plain
            else "\n".join(_body(lines, marks, anchor, first))
        )
        count = len({number for number, _ in marks.values()})
        whole = whole and path.stat().st_size <= FILE_MAX
        shown.append(
            Console(name=name, lines=len(lines), splats=count, whole=whole, shown=Marked(body))
        )
        first += len(printed)
    return tuple(shown)


Marks = dict[int, tuple[int, str]]
"""Line of the console -> the number of its splat, and the decoded line."""


def _marks(lines: Sequence[str], printed: Sequence[Splat], decoded: Sequence[Splat]) -> Marks:
    """Find the lines of the splats, in order. Lines of other CPUs may stand between them."""
    places: dict[str, list[int]] = {}
    for place, line in enumerate(lines if printed else ()):
        places.setdefault(stamps.without(line).strip(), []).append(place)
    marks: Marks = {}
    start = 0
    for number, splat in enumerate(printed):
        told = decoded[number].text if number < len(decoded) else ()
        at, end = start, len(lines)
        for line, shown in zip_longest(splat.text, told[: len(splat.text)]):
            among = places.get(line.strip(), [])
            rest = among[bisect_left(among, at) :]
            here = next((place for place in rest if place not in marks), end)
            if here < end:
                if at == start:
                    start = here
                marks[here] = (number, shown or line)
                at, end = here + 1, here + WINDOW
    return marks


WINDOW = 400
"""Lines between two lines of a splat, at most."""


def _body(lines: Sequence[str], marks: Marks, anchor: str, first: int) -> Iterator[str]:
    """The lines of a console as HTML; a splat's are in a <mark>."""
    begun: set[int] = set()
    left_out = 0
    whole = len(lines) <= LINES_MAX
    near = set() if whole else _near(marks)
    for place, line in enumerate(lines):
        if not (whole or place < START or place >= len(lines) - END or place in near):
            left_out += 1
            continue
        if left_out:
            yield f"<i>[{left_out:,} lines are left out]</i>"
            left_out = 0
        shown = html.escape(line[:LINE_MAX])
        if place not in marks:
            yield shown
            continue
        number, told = marks[place]
        source = FRAME.search(told)
        where = f"<i>{html.escape(source['source'])}</i>" if source and source["source"] else ""
        identity = "" if number in begun else f' id="{anchor}-{first + number}"'
        begun.add(number)
        yield f"<mark{identity}>{shown}{where}</mark>"


def _near(marks: Marks) -> set[int]:
    return {place for at in marks for place in range(at - AROUND, at + AROUND)}


def _frames(line: str) -> str:
    escaped = html.escape(line[:LINE_MAX])
    return FRAME.sub(_frame, escaped)


def _frame(match: re.Match[str]) -> str:
    source = f"<i>{match['source']}</i>" if match["source"] else ""
    return f"<b>{match['frame']}</b>{source}"
