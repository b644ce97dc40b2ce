# SPDX-License-Identifier: GPL-2.0-only
"""`Splat`: a report that a kernel printed. Its kind says how severe it is."""

import re
from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class Severity(Enum):
    FATAL = auto()
    """The guest cannot be trusted after it, and is stopped at once."""
    FAIL = auto()
    """A fault of the kernel's. The guest goes on."""
    NOTE = auto()
    """Is mentioned, and changes no verdict."""


class End(Enum):
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


class SplatKind(StrEnum):
    PANIC = "panic"
    OOPS = "oops"
    DOUBLE_FAULT = "double_fault"
    BUG = "bug"
    PAGE_TABLE_CHECK = "page_table_check"
    BAD_PAGE = "bad_page"
    CORRUPTION = "corruption"
    """The kernel finds that its own data is wrong: a freed page, a page table, a slab, swap."""
    KASAN = "kasan"
    KFENCE = "kfence"
    KMSAN = "kmsan"
    LOCKDEP = "lockdep"
    SOFT_LOCKUP = "soft_lockup"
    HARD_LOCKUP = "hard_lockup"
    HUNG_TASK = "hung_task"
    RCU_STALL = "rcu_stall"
    WARNING = "warning"
    UBSAN = "ubsan"
    DATA_LOSS = "data_loss"
    """Somebody's data cannot be read back."""
    IO_ERROR = "io_error"
    FILE_SYSTEM = "file_system"
    BAD_STATE = "bad_state"
    """A counter or an object in a state that it must not have; the kernel goes on."""
    CSD_LOCK = "csd_lock"
    LEAK = "leak"
    KCSAN = "kcsan"
    KCSAN_ASSERT = "kcsan_assert"
    """ASSERT_EXCLUSIVE_*(): an access that the kernel's own code says cannot happen."""
    OOM = "oom"
    ALLOCATION = "allocation"
    """An allocation failed: a limit, not a fault."""
    CHECK_OFF = "check_off"
    """A checker (lockdep, kmemleak, ...) has given up. It reports nothing from now on."""
    HARDWARE = "hardware"
    """What the kernel says of its machine, which is emulated here, or of injected faults."""
    SLOW = "slow"
    """Something takes long. A guest under TCG on a busy host is slow."""

    @property
    def severity(self) -> Severity:
        return _SEVERITY.get(self, Severity.FATAL)

    @property
    def failure(self) -> bool:
        """A fault of the kernel's. Limits cause OOM kills, and KCSAN reports races of mainline that
        nobody has marked; a failed assertion is no such race."""
        return self.severity is not Severity.NOTE

    @property
    def fatal(self) -> bool:
        """The guest cannot be trusted after it, and is stopped at once."""
        return self.severity is Severity.FATAL

    @property
    def across_cpus(self) -> bool:
        """Backtraces of other CPUs belong to it."""
        return self in (SplatKind.RCU_STALL, SplatKind.HARD_LOCKUP)


_K = SplatKind
_FAIL = (
    *(_K.WARNING, _K.UBSAN, _K.DATA_LOSS, _K.IO_ERROR, _K.FILE_SYSTEM),
    *(_K.BAD_STATE, _K.CSD_LOCK, _K.LEAK, _K.KCSAN_ASSERT),
)
_NOTE = (_K.KCSAN, _K.OOM, _K.ALLOCATION, _K.CHECK_OFF, _K.HARDWARE, _K.SLOW)
_SEVERITY = dict.fromkeys(_FAIL, Severity.FAIL) | dict.fromkeys(_NOTE, Severity.NOTE)
"""Every other kind is fatal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Splat:
    """`text` is the kernel's lines without time stamps, `at` kernel time in seconds."""

    kind: SplatKind
    title: str
    text: tuple[str, ...]
    fatal: bool
    at: float | None


TRACE = re.compile(r"\s{0,2}Call [Tt]race:")
FRAME = re.compile(r"\s*(\[<\w+>\] )?(?P<guess>\? )?(?P<function>[\w.$]+)\+0x[0-9a-f]+/0x[0-9a-f]+")

# Functions that report a fault or wait, and are not at fault themselves.
_NOT_AT_FAULT = re.compile(
    r"_?_?(?:dump_stack|dump_backtrace|show_stack|show_regs|sched_show|panic|warn|report_bug|print_"
    r"|kasan|asan|kcsan|tsan|ubsan|kfence|check_memory_region|bad_page|schedule|preempt_schedule"
    r"|io_schedule|switch_to|wait_for_common|wait_for_completion|lock_acquire|lock_release"
    r"|might_sleep|might_resched|mutex_lock|rt_mutex|down_|rwsem_|raw_|lockdep|mark_lock|check_"
    r"|validate_chain|bit_wait|wait_on_bit|out_of_memory|oom_kill|dump_header|refcount_warn|memcpy|memset|memmove|nmi|watchdog|rcu_dump|trigger_"
    r"|rust_helper_BUG|rust_begin_unwind|_R\w*(?:rust_begin_unwind|4core9panicking))"
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
    return f"{splat.kind}:{masked(splat.title)}"


def masked(title: str) -> str:
    """A title without addresses, line numbers and other numbers, which differ between builds."""
    return _VARYING.sub("N", title)
