# SPDX-License-Identifier: GPL-2.0-only
"""Finds splats on a guest's serial console: panics, oopses, BUGs, sanitizer reports, stalls.

The formats are those of kernel/panic.c, lib/bug.c, arch/x86/kernel/dumpstack.c,
arch/{x86,arm64,riscv}/{kernel/traps,mm/fault}.c, mm/{page_alloc,memory,oom_kill}.c,
mm/kasan/report.c, lib/ubsan.c, kernel/locking/lockdep.c, kernel/{watchdog,hung_task}.c and
kernel/rcu/tree_stall.h of v6.12 and v7.2.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

LINE_MAX = 4096
"""Bytes kept of a line. Only broken user-space programs print longer ones."""
TEXT_MAX = 400
"""Lines kept of a splat."""
PRELUDE_MAX = 40
GAP = 10.0
"""Seconds of kernel time without a line that end a splat. Under TCG one second is common."""
GAP_ACROSS_CPUS = 30.0
"""nmi_trigger_cpumask_backtrace() waits up to ten seconds for the other CPUs."""
RESTARTING = "reboot: Restarting system"
"""kernel_restart()'s last message. CPUs are stopped at any point then; warnings do not count."""


class SplatKind(StrEnum):
    PANIC = "panic"
    OOPS = "oops"
    DOUBLE_FAULT = "double_fault"
    BUG = "bug"
    PAGE_TABLE_CHECK = "page_table_check"
    BAD_PAGE = "bad_page"
    KASAN = "kasan"
    KFENCE = "kfence"
    KCSAN = "kcsan"
    UBSAN = "ubsan"
    LOCKDEP = "lockdep"
    SOFT_LOCKUP = "soft_lockup"
    HARD_LOCKUP = "hard_lockup"
    HUNG_TASK = "hung_task"
    RCU_STALL = "rcu_stall"
    WARNING = "warning"
    OOM = "oom"

    @property
    def failure(self) -> bool:
        """A fault of the kernel's. Limits cause OOM kills, and KCSAN reports races of mainline."""
        return self not in (SplatKind.OOM, SplatKind.KCSAN)

    @property
    def fatal(self) -> bool:
        """The guest cannot be trusted after it, and is stopped at once."""
        return self.failure and self not in (SplatKind.WARNING, SplatKind.UBSAN)

    @property
    def across_cpus(self) -> bool:
        """Backtraces of other CPUs belong to it."""
        return self in (SplatKind.RCU_STALL, SplatKind.HARD_LOCKUP)


class _End(Enum):
    """What ends a splat, besides a gap, the next splat and the end of the log."""

    TRACE_ID = auto()
    """---[ end trace 0000000000000000 ]---"""
    FENCE = auto()
    """A line of ====."""
    BACKTRACE = auto()
    """The end of its backtrace."""
    LINE = auto()
    """It is a single line."""
    KILLED = auto()
    """The line that names the process which the OOM killer killed."""
    NEVER = auto()
    """---[ end Kernel panic; with panic=-1 the machine resets before that line."""


_K, _E = SplatKind, _End
HEADLINES: tuple[tuple[SplatKind, _End, re.Pattern[str]], ...] = tuple(
    (kind, end, re.compile(rf"(?:[\w-]+: )?(?:{pattern})"))
    for kind, end, pattern in (
        (_K.PANIC, _E.NEVER, r"Kernel panic - not syncing"),
        (_K.KASAN, _E.FENCE, r"BUG: KASAN: "),
        (_K.KFENCE, _E.FENCE, r"BUG: KFENCE: "),
        (_K.KCSAN, _E.FENCE, r"BUG: KCSAN: "),
        (_K.UBSAN, _E.TRACE_ID, r"UBSAN: "),
        (
            _K.DOUBLE_FAULT,
            _E.TRACE_ID,
            r"PANIC: double fault|BUG: .{1,20} stack guard page was hit"
            r"|Insufficient stack space to handle exception!",
        ),
        (
            _K.OOPS,
            _E.TRACE_ID,
            r"BUG: kernel NULL pointer dereference|BUG: unable to handle |Unable to handle kernel |"
            r"Oops(?::| -| \[#)|Internal error: |general protection fault|SError Interrupt on CPU",
        ),
        (_K.PAGE_TABLE_CHECK, _E.TRACE_ID, r"[kK]ernel BUG at \S*page_table_check\.[ch]:"),
        (_K.BUG, _E.TRACE_ID, r"[kK]ernel BUG at "),
        (_K.BAD_PAGE, _E.LINE, r"BUG: Bad rss-counter |BUG: non-zero pgtables_bytes "),
        (_K.BAD_PAGE, _E.LINE, r"BUG: Bad page (?:state|map): \d+ messages suppressed"),
        (_K.BAD_PAGE, _E.BACKTRACE, r"BUG: Bad page "),
        (_K.SOFT_LOCKUP, _E.BACKTRACE, r"BUG: soft lockup |BUG: workqueue lockup "),
        (_K.HARD_LOCKUP, _E.BACKTRACE, r"(?:CPU\d+: )?Watchdog detected hard LOCKUP"),
        (_K.HUNG_TASK, _E.BACKTRACE, r"INFO: task .+ blocked\b.* for more than \d+ seconds"),
        (_K.RCU_STALL, _E.BACKTRACE, r"INFO: \S+ (?:self-)?detected (?:expedited )?stalls?\b"),
        (
            _K.LOCKDEP,
            _E.BACKTRACE,
            r"WARNING: (?:possible (?:circular|recursive|irq lock)|inconsistent lock state"
            r"|.*-safe -> |bad (?:unlock|contention)|held lock freed|lock held when"
            r"|suspicious RCU usage|Nested lock was|chain_key collision|.* still has locks held)"
            r"|\[ BUG: Invalid wait context|INFO: trying to register non-static key"
            r"|BUG: MAX_(?:LOCKDEP|LOCK_DEPTH|STACK_TRACE)|BUG: looking up invalid subclass",
        ),
        (_K.BUG, _E.BACKTRACE, r"BUG: "),
        (_K.WARNING, _E.TRACE_ID, r"WARNING: (?:CPU: \d+ PID: \d+ |\S+:\d+ )?at "),
        (_K.OOM, _E.KILLED, r".{1,20} invoked oom-killer: "),
        (_K.OOM, _E.LINE, r"(?:Memory cgroup out|Out) of memory: Killed process "),
    )
)

PREFIX = re.compile(r"\[ *(?P<at>\d+\.\d{6})\](?:\[ *(?P<caller>[TC]\d+)\])?(?: |$)", re.ASCII)
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
CONTROL = dict.fromkeys((*range(9), *range(10, 32), *range(127, 160)))
PRELUDE = re.compile(r"-+\[ cut here \]-+|={20,}$|page: refcount:")
FENCE = re.compile(r"={20,}$")
END_TRACE = re.compile(r"---\[ end trace ")
END_PANIC = re.compile(r"---\[ end Kernel panic")
DIE = re.compile(r"Oops(?::| -| \[#)|Internal error: |Kernel BUG \[#")
KILLED = re.compile(r"(?:Memory cgroup out|Out) of memory(?: \(|: Killed| and no killable)")
TRACE = re.compile(r"Call [Tt]race:")
FRAME = re.compile(r"\s*(\[<\w+>\] )?(?P<guess>\? )?(?P<function>[\w.$]+)\+0x[0-9a-f]+/0x[0-9a-f]+")
IN_TRACE = re.compile(r"\s*</?[A-Z#]\w*>$|(?:RIP|RSP|RAX|RDX|RBP|R\d\d|Code|ORIG_RAX): ?")
MORE = re.compile(
    r"Sending NMI |NMI backtrace |rcu: |Task dump |task:|CPU: \d|Modules linked in|\s"
    r"|Call [Tt]race:|Hardware name|Tainted|pstate: |status: |e?[ps][cp] : |lr : |[xCR]\w\w? ?: "
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Splat:
    """`text` is the kernel's lines without time stamps, `at` kernel time in seconds."""

    kind: SplatKind
    title: str
    text: tuple[str, ...]
    fatal: bool
    at: float | None


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    at: float | None
    caller: str


@dataclass(kw_only=True, slots=True)
class _Open:
    """A splat that is still being printed."""

    kind: SplatKind
    end: _End
    title: str
    at: float | None
    last: float | None
    text: list[str]
    died: bool
    traced: bool = False
    cut: int = 0

    def add(self, line: _Line) -> None:
        # The clock of a CPU with interrupts off is not updated: its backtrace has old time stamps.
        self.last = max(filter(None, (self.last, line.at)), default=None)
        if len(self.text) < TEXT_MAX:
            self.text.append(line.text)
        else:
            self.cut += 1

    def splat(self) -> Splat:
        more = [f"({self.cut} more lines)"] if self.cut else []
        return Splat(
            kind=self.kind,
            title=self.title,
            text=(*self.text, *more),
            fatal=self.kind.fatal,
            at=self.at,
        )

    def is_over_before(self, line: _Line) -> bool:
        """`line` does not belong to this splat any more."""
        if self.end is _End.NEVER:
            return False
        gap = GAP_ACROSS_CPUS if self.kind.across_cpus else GAP
        if line.at is not None and self.last is not None and line.at - self.last > gap:
            return True
        if not self.traced or FRAME.match(line.text) or IN_TRACE.match(line.text):
            return False
        if self.kind.across_cpus and MORE.match(line.text):
            self.traced = False
            return False
        return self.end is _End.BACKTRACE

    def is_over_after(self, line: _Line) -> bool:
        """`line` is the last line of this splat."""
        if TRACE.match(line.text):
            self.traced = True
        if self.end is _End.TRACE_ID:
            return END_TRACE.match(line.text) is not None
        if self.end is _End.FENCE:
            return FENCE.match(line.text) is not None
        if self.end is _End.KILLED:
            return KILLED.match(line.text) is not None
        return END_PANIC.match(line.text) is not None

    def continued_by(self, line: _Line) -> bool:
        """`line` looks like a headline, but belongs to this splat."""
        if self.end is _End.KILLED:
            return KILLED.match(line.text) is not None
        # x86 first prints what it cannot handle, and all print where a BUG is; then comes "Oops:".
        dies = self.end is _End.TRACE_ID and self.kind.fatal and not self.died
        return dies and DIE.match(line.text) is not None


@dataclass(slots=True)
class _Track:
    """The lines of one printk() caller. Without CONFIG_PRINTK_CALLER there is only one track."""

    prelude: list[_Line] = field(default_factory=list)
    open: _Open | None = None


class ConsoleScanner:
    """Finds splats while they are printed. Feed it the console's bytes, in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self._timed = False
        self._tracks: dict[str, _Track] = {}
        self._complete: list[Splat] = []
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
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
            self._skipping = False
        if len(self._rest) > LINE_MAX and not self._skipping:
            self._line(self._rest)
            self._rest = self._rest[LINE_MAX:]
            self._skipping = True
        self._rest = self._rest[-LINE_MAX:]
        splats, self._complete = tuple(self._complete), []
        return splats

    def close(self) -> tuple[Splat, ...]:
        """The console has ended: return the remaining splats, complete or not."""
        splats = self.feed(b"\n") if self._rest else ()
        for track in self._tracks.values():
            self._close(track)
        self._tracks.clear()
        return splats + self.feed(b"")

    def _line(self, raw: bytes) -> None:
        """Read a line. Of one that is too long, only the start and the kernel's messages count."""
        cut = raw[-LINE_MAX:] if self._skipping else raw[:LINE_MAX]
        for line in self._kernel_lines(cut.decode(errors="replace")):
            self._over |= line.text.startswith(RESTARTING) and line.at is not None
            if not self._over and (line.at is not None or not self._skipping):
                self._kernel_line(line)

    def _kernel_lines(self, text: str) -> Iterator[_Line]:
        """Split a line where a message of the kernel's begins in the middle of it.

        After the first time stamp, text without one is from user space.
        """
        text = ANSI.sub("", text).translate(CONTROL)
        stamps = list(PREFIX.finditer(text))
        if not stamps and not self._timed:
            yield _Line(text.rstrip(), None, "")
        ends = (*(stamp.start() for stamp in stamps[1:]), len(text))
        for stamp, end in zip(stamps, ends, strict=False):
            self._timed = True
            message = text[stamp.end() : end].rstrip()
            yield _Line(message, float(stamp["at"]), stamp["caller"] or "")

    def _kernel_line(self, line: _Line) -> None:
        track = self._track(line)
        if track.open and track.open.is_over_before(line):
            self._close(track)
        headline = _headline(line.text)
        if headline and not (track.open and track.open.continued_by(line)):
            self._begin(track, line, *headline)
        elif track.open:
            track.open.died |= DIE.match(line.text) is not None
            track.open.add(line)
            if track.open.is_over_after(line):
                self._close(track)
        elif track.prelude or PRELUDE.match(line.text):
            self._remember(track, line)
        if not track.open and not track.prelude:
            self._tracks.pop(line.caller, None)

    def _track(self, line: _Line) -> _Track:
        if line.caller not in self._tracks:
            for track in self._tracks.values():
                if track.open and track.open.kind.across_cpus and not _headline(line.text):
                    return track
        return self._tracks.setdefault(line.caller, _Track())

    def _begin(self, track: _Track, line: _Line, kind: SplatKind, end: _End) -> None:
        self._close(track)
        track.open = _Open(
            kind=kind,
            end=end,
            title=line.text,
            at=line.at,
            last=line.at,
            text=[before.text for before in track.prelude],
            died=DIE.match(line.text) is not None,
        )
        track.prelude.clear()
        track.open.add(line)
        self._started |= kind.fatal
        if end is _End.LINE:
            self._close(track)

    def _close(self, track: _Track) -> None:
        if track.open:
            self._complete.append(track.open.splat())
            track.open = None

    def _remember(self, track: _Track, line: _Line) -> None:
        """Keep lines that may come before a headline: dump_page(), the message of a WARN()."""
        first = track.prelude[0] if track.prelude else line
        late = line.at is not None and first.at is not None and line.at - first.at > GAP
        if late or len(track.prelude) == PRELUDE_MAX:
            track.prelude.clear()
            if not PRELUDE.match(line.text):
                return
        track.prelude.append(line)


def _headline(text: str) -> tuple[SplatKind, _End] | None:
    for kind, end, pattern in HEADLINES:
        if pattern.match(text):
            return kind, end
    return None


def scan(text: str) -> tuple[Splat, ...]:
    """All splats in a complete log."""
    scanner = ConsoleScanner()
    return scanner.feed(text.encode(errors="surrogateescape")) + scanner.close()


# Functions that report a fault or wait, and are not at fault themselves.
_NOT_AT_FAULT = re.compile(
    r"_?_?(?:dump_stack|dump_backtrace|show_stack|show_regs|sched_show|panic|warn|report_bug|print_"
    r"|kasan|asan|kcsan|tsan|ubsan|kfence|check_memory_region|bad_page|schedule|preempt_schedule"
    r"|io_schedule|switch_to|wait_for_common|wait_for_completion|lock_acquire|lock_release"
    r"|might_sleep|might_resched|mutex_lock|rt_mutex|down_|rwsem_|raw_|lockdep|mark_lock|check_"
    r"|validate_chain|bit_wait|wait_on_bit|out_of_memory|oom_kill|dump_header|refcount_warn|memcpy|memset|memmove|nmi|watchdog|rcu_dump|trigger_)"
)
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm)\b.*")
_AT = re.compile(r"(?:RIP: 0010:|e?pc : )(?P<function>[\w.$]+)\+0x")
_IN = re.compile(r" (?:in|at)(?: \S+:\d+)? (?P<function>[A-Za-z_][\w.$]*)(?:\+0x| / )")
_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{5,}\b|\d+")


def fingerprint(splat: Splat) -> str:
    """`kind:function`: the same for the same fault, on any build, CPU and address."""
    for match in (_IN.search(splat.title), *map(_AT.match, splat.text)):
        if match and not _NOT_AT_FAULT.match(match["function"]):
            return f"{splat.kind}:{_SUFFIX.sub('', match['function'])}"
    traced = False
    for line in splat.text:
        traced |= TRACE.match(line) is not None
        # A return address at the start of a function follows a noreturn call in another one.
        frame = None if "+0x0/" in line else FRAME.match(line)
        if traced and frame and not frame["guess"] and not _NOT_AT_FAULT.match(frame["function"]):
            return f"{splat.kind}:{_SUFFIX.sub('', frame['function'])}"
    return f"{splat.kind}:{_VARYING.sub('N', splat.title)}"
