# SPDX-License-Identifier: GPL-2.0-only
"""Finds splats on a guest's serial console: panics, oopses, BUGs, sanitizer reports, stalls.

`stamps` divides the console into messages, `headlines` has the table of what begins a splat. Here
the messages of a report are collected, and it is decided where the report ends.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rig.guest import stamps
from rig.guest.headlines import DIE, headline
from rig.guest.splat import FRAME, TRACE, End, Splat, SplatKind, fingerprint
from rig.guest.stamps import LINE_MAX, Line

__all__ = [
    "LINE_MAX",
    "SPLATS_MAX",
    "ConsoleScanner",
    "Splat",
    "SplatKind",
    "fingerprint",
    "scan",
    "scan_file",
]

TEXT_MAX = 400
"""Lines kept of a splat."""
TEXT_BYTES = 128 << 10
"""Bytes kept of a splat."""
LINES_MAX = 4000
"""Lines of a splat. What follows does not belong to it, unless its end was lost."""
PRELUDE_MAX = 40
SPLATS_MAX = 1000
"""Splats kept of a kind. A kernel that warns in a loop fills the console with them."""
ALL_BYTES = 8 << 20
"""Bytes kept of all splats. Of a further splat only the headline is kept."""
TRACKS_MAX = 64
"""Callers of printk() with an open report. More are seen only where reports lose their ends."""
SWEEP = 4096
"""Lines. A report of a caller that has printed none of so many has ended."""
GAP = 10.0
"""Seconds of kernel time without a line that end a splat. Under TCG one second is common."""
GAP_ACROSS_CPUS = 30.0
"""nmi_trigger_cpumask_backtrace() waits up to ten seconds for the other CPUs."""
RESTARTING = b"reboot: Restarting system"
"""kernel_restart()'s last message. CPUs are stopped at any point then; warnings do not count."""

PRELUDE = re.compile(rb"-+\[ cut here \]-+|={20,}$|page: refcount:|INFO: task ")
NAMED = re.compile(rb"INFO: task |WARNING: ")
NAME_ENDS = re.compile(rb":\d+ blocked |/\d+ still has locks held")
NAMED_MAX = 64
"""Bytes. A task's name has 15. These headlines have it before what they are known by."""
FENCE = re.compile(rb"={20,}$")
END_TRACE = re.compile(rb"---\[ end trace ")
END_PANIC = re.compile(rb"---\[ end Kernel panic")
RUST = re.compile(r"rust_kernel: panicked at \S+:\d+:\d+:$")
"""The message of the panic is the next line."""
KILLED = re.compile(rb"(?:Memory cgroup out|Out) of memory(?: \(|: Killed| and no killable)")
IN_TRACE = re.compile(r"\s*</?[A-Z#]\w*>$|(?:RIP|RSP|RAX|RDX|RBP|R\d\d|Code|ORIG_RAX): ?")
MORE = re.compile(
    r"Sending NMI |NMI backtrace |rcu: |Task dump |task:|CPU: \d|Modules linked in|\s"
    r"|Call [Tt]race:|Hardware name|Tainted|pstate: |status: |e?[ps][cp] : |lr : |[xCR]\w\w? ?: "
)
_LAST = {
    End.TRACE_ID: END_TRACE,
    End.FENCE: FENCE,
    End.KILLED: KILLED,
    End.NEVER: END_PANIC,
}


@dataclass(kw_only=True, slots=True)
class _Open:
    """A splat that is still being printed."""

    kind: SplatKind
    end: End
    title: str
    at: float | None
    last: float | None
    text: list[str]
    died: bool
    traced: bool = False
    cut: int = 0
    size: int = 0

    def add(self, line: Line) -> None:
        if self.text and self.text[-1].lstrip() == self.title and RUST.match(self.title):
            self.title = f"{self.title} {line.text.strip()}"
        # The clock of a CPU with interrupts off is not updated: its backtrace has old time stamps.
        if line.at is not None and (self.last is None or line.at > self.last):
            self.last = line.at
        if len(self.text) < TEXT_MAX and self.size < TEXT_BYTES:
            self.text.append(line.text)
            self.size += sys.getsizeof(line.text)
        else:
            self.cut += 1

    @property
    def full(self) -> bool:
        return len(self.text) + self.cut >= LINES_MAX

    def splat(self, short: bool = False) -> Splat:
        text = [self.title] if short else self.text
        cut = self.cut + len(self.text) - len(text)
        return Splat(
            kind=self.kind,
            title=self.title,
            text=(*text, f"({cut} more lines)") if cut else tuple(text),
            fatal=self.kind.fatal,
            at=self.at,
        )

    def is_replayed_by(self, line: Line) -> bool:
        """`line` is the headline once more, and complete: another CPU has taken the console over
        within it. ("** replaying previous printk message **", kernel/printk/nbcon.c)"""
        whole = line.text.lstrip()
        torn = self.text[-1].lstrip() == self.title != whole and whole.startswith(self.title)
        return torn and self.at is not None and self.at == line.at

    def is_over_before(self, line: Line) -> bool:
        """`line` does not belong to this splat any more."""
        if self.end is End.NEVER:
            return False
        gap = GAP_ACROSS_CPUS if self.kind.across_cpus else GAP
        if line.at is not None and self.last is not None and line.at - self.last > gap:
            return True
        if not self.traced or FRAME.match(line.text) or IN_TRACE.match(line.text):
            return False
        if self.kind.across_cpus and MORE.match(line.text):
            self.traced = False
            return False
        return self.end is End.BACKTRACE

    def is_over_after(self, line: Line) -> bool:
        """`line` is the last line of this splat."""
        self.traced = self.traced or TRACE.match(line.text) is not None
        last = _LAST.get(self.end)
        return last is not None and last.match(line.bare) is not None

    def continued_by(self, line: Line) -> bool:
        """`line` looks like a headline, but belongs to this splat."""
        if self.end is End.KILLED:
            return KILLED.match(line.bare) is not None
        # x86 first prints what it cannot handle, and all print where a BUG is; then comes "Oops:".
        # Rust's panic() calls BUG().
        dies = self.end is End.TRACE_ID and self.kind.fatal and not self.died
        again = self.title.startswith("rust_kernel: ") and line.bare.startswith(b"kernel BUG at ")
        return dies and (again or DIE.match(line.bare) is not None)


@dataclass(slots=True)
class _Track:
    """The lines of one printk() caller. Without CONFIG_PRINTK_CALLER there is only one track."""

    prelude: list[Line] = field(default_factory=list)
    open: _Open | None = None
    seen: int = 0
    """The number of its last line."""


class ConsoleScanner:
    """Finds splats while they are printed. Feed it the console's bytes, in portions of any size:
    the same bytes give the same splats."""

    def __init__(self) -> None:
        self._lines = stamps.Lines(self._line, lambda: not self._tracks)
        self._tracks: dict[str, _Track] = {}
        self._stalls: dict[str, _Track] = {}
        """Those of the tracks whose splat has backtraces of other CPUs."""
        self._complete: list[Splat] = []
        self._count: Counter[SplatKind] = Counter()
        self._room = ALL_BYTES
        self._seen = 0
        self._started = False
        self._over = False

    @property
    def started(self) -> bool:
        """A fatal splat has begun; it may not be over yet."""
        return self._started

    @property
    def pending(self) -> tuple[Splat, ...]:
        """The splats that are still being printed, as far as they have come."""
        return tuple(track.open.splat() for track in self._tracks.values() if track.open)

    def feed(self, data: bytes) -> tuple[Splat, ...]:
        """Take more bytes; return the splats that are complete now."""
        if not self._over:
            self._lines.feed(data)
        if not self._complete:
            return ()
        splats, self._complete = tuple(self._complete), []
        return splats

    def close(self) -> tuple[Splat, ...]:
        """The console has ended: return the remaining splats, complete or not."""
        if not self._over:
            self._lines.close()
        for caller in tuple(self._tracks):
            self._end(caller)
        for kind, count in self._count.items():
            if count > SPLATS_MAX:
                title = f"{count - SPLATS_MAX} more splats of the kind {kind}"
                splat = Splat(kind=kind, title=title, text=(title,), fatal=kind.fatal, at=None)
                self._complete.append(splat)
        self._count.clear()
        return self.feed(b"")

    def _line(self, line: Line) -> None:
        if self._over:
            return
        if line.bare.startswith(RESTARTING) and line.at is not None:
            self._over = True
            return
        self._seen += 1
        if not self._seen % SWEEP:
            self._sweep()
        caller, track = self._track(line)
        track.seen = self._seen
        if track.open and track.open.is_over_before(line):
            self._close(caller, track)
        begins = headline(line.bare)
        if not begins and track.prelude and not track.open:
            line = _with_name(track.prelude, line)
            begins = headline(line.bare)
        if begins and not (track.open and track.open.continued_by(line)):
            self._begin(caller, track, line, *begins)
        elif track.open:
            track.open.died = track.open.died or DIE.match(line.bare) is not None
            track.open.add(line)
            if track.open.is_over_after(line) or track.open.full:
                self._close(caller, track)
        elif track.prelude or PRELUDE.match(line.bare):
            self._remember(track, line)
        if not track.open and not track.prelude:
            self._tracks.pop(caller, None)
        elif len(self._tracks) > TRACKS_MAX:
            self._end(next(iter(self._tracks)))

    def _track(self, line: Line) -> tuple[str, _Track]:
        track = self._tracks.get(line.caller)
        if track is None and self._stalls and not headline(line.bare):
            return next(iter(self._stalls.items()))
        if track is None:
            track = self._tracks[line.caller] = _Track()
        return line.caller, track

    def _sweep(self) -> None:
        for caller, track in tuple(self._tracks.items()):
            if self._seen - track.seen >= SWEEP:
                self._end(caller)

    def _end(self, caller: str) -> None:
        self._close(caller, self._tracks[caller])
        del self._tracks[caller]

    def _begin(self, caller: str, track: _Track, line: Line, kind: SplatKind, end: End) -> None:
        before = [before.text for before in track.prelude]
        if track.open and track.open.is_replayed_by(line):
            before = track.open.text[:-1]
            track.open = None
        self._close(caller, track)
        self._started |= kind.fatal
        if self._count[kind] >= SPLATS_MAX:
            self._count[kind] += 1
            track.prelude.clear()
            return
        track.open = _Open(
            kind=kind,
            end=end,
            title=line.text.lstrip(),
            at=line.at,
            last=line.at,
            text=before,
            died=DIE.match(line.bare) is not None,
        )
        track.prelude.clear()
        track.open.add(line)
        if kind.across_cpus:
            self._stalls[caller] = track
        if end is End.LINE:
            self._close(caller, track)

    def _close(self, caller: str, track: _Track) -> None:
        if not track.open:
            return
        self._count[track.open.kind] += 1
        splat = track.open.splat(short=self._room < 0)
        self._room -= sum(map(sys.getsizeof, splat.text))
        self._complete.append(splat)
        track.open = None
        self._stalls.pop(caller, None)

    def _remember(self, track: _Track, line: Line) -> None:
        """Keep lines that may come before a headline: dump_page(), the message of a WARN()."""
        first = track.prelude[0] if track.prelude else line
        late = line.at is not None and first.at is not None and line.at - first.at > GAP
        if late or len(track.prelude) == PRELUDE_MAX:
            track.prelude.clear()
            if not PRELUDE.match(line.bare):
                return
        track.prelude.append(line)


def _with_name(prelude: list[Line], line: Line) -> Line:
    """`line`, or all of the message that ends in it. A task's name may have a newline, and then
    printk() prints the message in lines that have the same stamp."""
    if not NAME_ENDS.search(line.bare, 0, NAMED_MAX):
        return line
    start = len(prelude) - 1
    while start > 0 and not NAMED.match(prelude[start].bare):
        start -= 1
    parts = (*prelude[start:], line)
    bare = b" ".join(part.bare for part in parts)
    if any(part.at != line.at for part in parts) or not headline(bare):
        return line
    del prelude[start:]
    text = " ".join(part.text.strip() for part in parts)
    return Line(bare=bare, text=text, at=line.at, caller=line.caller)


def scan(text: str) -> tuple[Splat, ...]:
    """All splats in a complete log."""
    return _scan(stamps.parts(text))


def scan_file(path: Path) -> tuple[Splat, ...]:
    """All splats in a console log. The scanner of the running guest found the same."""
    with path.open("rb") as file:
        return _scan(iter(lambda: file.read(stamps.PART), b""))


def _scan(parts: Iterable[bytes]) -> tuple[Splat, ...]:
    scanner = ConsoleScanner()
    splats = [splat for part in parts for splat in scanner.feed(part)]
    return (*splats, *scanner.close())
