# SPDX-License-Identifier: GPL-2.0-only
"""The first line of everything that a kernel can print as a splat: its kind, and what ends it.

Read off the format strings of v6.12, v7.2 and v7.3-rc7; the file that prints a message stands
behind it. Older kernels print what is marked with their version. The first pattern that matches
counts. `diskheadlines` has the rows of disks and file systems.

Only the prefixes of `pr_fmt()` are allowed before a headline: `mytest: BUG: ` was written to
/dev/kmsg by a program. What a program writes to /dev/kmsg without a prefix of its own has the same
bytes as the kernel's own message, and cannot be told from it.
"""

import re
from functools import cache

from rig.guest.diskheadlines import DATA, DISK, FILE_SYSTEMS
from rig.guest.splat import End, SplatKind

_LOCKDEP = (
    r"(?:possible (?:circular|recursive|irq lock)|inconsistent lock state|\S+-safe -> "
    r"|bad (?:unlock|contention)|held lock freed|lock held (?:when|at)|suspicious RCU usage"
    r"|Nested lock was|chain_key collision|.{1,40} still has locks held|Invalid wait context)"
)
_DIED = (  # before v6.10, arch/x86/kernel/dumpstack.c __die_header() had no "Oops: "
    r"(?:divide error|overflow|bounds|invalid opcode|int3|coprocessor segment overrun|invalid TSS"
    r"|segment not present|stack segment|alignment check|coprocessor error|SIMD exception"
    r"|(?:segment-related )?general protection fault|Bad pagetable|control protection fault"
    r"|double fault|stack guard page|Split lock detected|unexpected #NM exception|iret exception)"
    r"(?:, probably for [^:]{1,60})?: [0-9a-f]{4} \[#\d+\]"
)
DIE = re.compile(rf"Oops(?::| -| \[#)|Internal error: |Kernel BUG \[#|{_DIED}".encode(), re.ASCII)

_K, _E = SplatKind, End
_Rows = tuple[tuple[SplatKind, End, str], ...]
_DEATHS: _Rows = (
    (_K.PANIC, _E.NEVER, r"Kernel panic - not syncing"),  # kernel/panic.c
    (_K.DOUBLE_FAULT, _E.TRACE_ID, r"(?:traps: )?PANIC: double fault"),  # arch/x86/kernel/traps.c
    (_K.DOUBLE_FAULT, _E.TRACE_ID, r"PANIC: invalid or fatal FRED"),  # arch/x86/entry/entry_fred.c
    (_K.PANIC, _E.NEVER, r"PANIC: "),  # arch/x86/mm/extable.c, arch/x86/coco/sev/vc-handle.c
    (_K.DOUBLE_FAULT, _E.TRACE_ID, r"BUG: .{1,20} stack guard page was hit"),  # x86 traps.c
    (_K.DOUBLE_FAULT, _E.TRACE_ID, r"Insufficient stack space to handle "),  # arm64 traps.c
    # arch/x86/mm/fault.c, arch/x86/entry/entry_fred.c
    (_K.OOPS, _E.TRACE_ID, r"BUG: (?:kernel NULL pointer|unable to handle |invalid or fatal FRED)"),
    (_K.OOPS, _E.TRACE_ID, r"Unable to handle kernel "),  # arch/arm64/mm/fault.c
    (_K.OOPS, _E.TRACE_ID, r"(?:traps: )?general protection fault[,:]"),  # x86 traps.c
    # arch/x86/kernel/dumpstack.c, arch/arm64/kernel/traps.c
    (_K.OOPS, _E.TRACE_ID, rf"Oops(?::| -| \[#)|Internal error: |{_DIED}|SError Interrupt on CPU"),
    (_K.OOPS, _E.TRACE_ID, r"Unhandled .{1,30} exception on CPU\d+, ESR "),  # arm64 entry-common.c
    (_K.OOPS, _E.TRACE_ID, r"Bad mode in .{1,40} handler detected"),  # arm64 before v5.12
    (_K.OOPS, _E.TRACE_ID, r"CFI failure at "),  # kernel/cfi.c
    (_K.OOPS, _E.LINE, r"Fixing recursive fault but reboot is needed"),  # kernel/exit.c
    (_K.PAGE_TABLE_CHECK, _E.TRACE_ID, r"[kK]ernel BUG at (?:\[.*\] )?\S*page_table_check\.[ch]:"),
    (_K.BUG, _E.TRACE_ID, r"[kK]ernel BUG at "),  # lib/bug.c
    (_K.BUG, _E.TRACE_ID, r"rust_kernel: panicked at "),  # rust/kernel/lib.rs, then BUG()
)
_CHECKERS: _Rows = (
    (_K.KASAN, _E.FENCE, r"BUG: KASAN: "),  # mm/kasan/report.c
    (_K.KFENCE, _E.FENCE, r"BUG: KFENCE: "),  # mm/kfence/report.c
    (_K.KMSAN, _E.FENCE, r"BUG: KMSAN: "),  # mm/kmsan/report.c
    # kernel/kcsan/report.c get_bug_type()
    (_K.KCSAN_ASSERT, _E.FENCE, r"BUG: KCSAN: assert: race in "),
    (_K.KCSAN, _E.FENCE, r"BUG: KCSAN: "),
    (_K.UBSAN, _E.TRACE_ID, r"UBSAN: "),  # lib/ubsan.c
    # kernel/locking/lockdep.c: print_lockdep_off(), noop_count()
    (_K.CHECK_OFF, _E.BACKTRACE, r"BUG: MAX_\w+ too low!"),
    (_K.CHECK_OFF, _E.LINE, r"Increase LOCKDEP_CIRCULAR_QUEUE_BITS to avoid this warning"),
    (_K.CHECK_OFF, _E.LINE, r"ODEBUG: Out of memory\."),  # lib/debugobjects.c
    (  # mm/kmemleak.c
        *(_K.CHECK_OFF, _E.LINE),
        r"kmemleak: (?:Kernel memory leak detector disabled|Cannot allocate a |Memory pool empty)",
    ),
    (_K.LOCKDEP, _E.BACKTRACE, rf"WARNING: {_LOCKDEP}|\[ (?:BUG|INFO): {_LOCKDEP}"),  # lockdep.c
    (_K.LOCKDEP, _E.BACKTRACE, r"INFO: trying to register non-static key|BUG: looking up invalid"),
    (_K.LEAK, _E.LINE, r"kmemleak: \d+ new suspected memory leaks"),  # mm/kmemleak.c
    (_K.BAD_STATE, _E.BACKTRACE, r"kmemleak: Cannot insert .* \(overlaps existing\)"),
)
_STALLS: _Rows = (
    (
        _K.SOFT_LOCKUP,
        _E.BACKTRACE,
        r"(?:NMI watchdog: )?BUG: soft lockup |watchdog: BUG: soft lockup ",
    ),  # kernel/watchdog.c
    (_K.SOFT_LOCKUP, _E.BACKTRACE, r"BUG: workqueue lockup "),  # kernel/workqueue.c
    # kernel/watchdog.c, v6.12 and v7.2
    (
        _K.HARD_LOCKUP,
        _E.BACKTRACE,
        r"(?:watchdog: |NMI watchdog: |)(?:CPU\d+: )?Watchdog detected hard LOCKUP",
    ),
    # kernel/hung_task.c; "can't die" was in linux-next of 2020
    (
        _K.HUNG_TASK,
        _E.BACKTRACE,
        r"INFO: task .{1,30} (?:blocked\b.{0,40}|can't die) for more than \d+ sec",
    ),
    # kernel/rcu/{tree_stall,tree_exp,tasks}.h
    (
        _K.RCU_STALL,
        _E.BACKTRACE,
        r"(?:rcu: )?INFO: \S+ (?:self-)?detected (?:expedited )?stalls?\b",
    ),
    # kernel/smp.c: a TLB flush that a CPU does not answer, for example
    (_K.CSD_LOCK, _E.BACKTRACE, r"(?:smp: )?csd: \w+ non-responsive CSD lock "),
    (_K.LEAK, _E.LINE, r"unregister_netdevice: waiting for \S+ to become free"),  # net/core/dev.c
    (_K.SLOW, _E.LINE, r"INFO: The task .* has been waiting for writeback"),  # fs/fs-writeback.c
    (_K.SLOW, _E.BACKTRACE, r"sched: CPU \d+ need_resched set for > "),  # kernel/sched/debug.c
    (_K.SLOW, _E.LINE, r"NOHZ tick-stop error: local softirq work is pending"),  # tick-sched.c
    # arch/arm64/kernel/smp.c, kernel/cpu.c
    (_K.SLOW, _E.LINE, r"CPU\d+:? failed to (?:come online|report \w+ state)"),
)
_CORRUPTION: _Rows = (
    (_K.BAD_PAGE, _E.LINE, r"BUG: Bad rss-counter |BUG: non-zero pgtables_bytes "),  # kernel/fork.c
    (_K.BAD_PAGE, _E.LINE, r"BUG: Bad page (?:state|map): \d+ messages suppressed"),
    (_K.BAD_PAGE, _E.BACKTRACE, r"BUG: Bad page "),  # mm/{page_alloc,memory,filemap}.c
    # mm/page_poison.c: a store into a freed page
    (_K.CORRUPTION, _E.BACKTRACE, r"pagealloc: (?:memory corruption|single bit error)"),
    # mm/pgtable-generic.c with p?d_ERROR() of arch/{x86,arm64}/include/asm/pgtable*.h
    (_K.CORRUPTION, _E.LINE, r"[\w./-]{1,80}:\d+: bad p(?:gd|4d|ud|md|te) [0-9a-f]"),
    (_K.CORRUPTION, _E.LINE, r"PAGETABLE BUG #0\d"),  # arch/x86/mm/init_64.c
    # mm/swapfile.c, with the function's name in most places
    (
        *(_K.CORRUPTION, _E.LINE),
        r"(?:_?_?(?:get_)?swap\w*: )?(?:Bad|Unused) swap (?:file|offset) entry [0-9a-f]",
    ),
    (_K.CORRUPTION, _E.LINE, r"unrecognized swap entry 0x"),  # mm/memory.c
    (  # mm/slub.c slab_bug()
        *(_K.CORRUPTION, _E.BACKTRACE),
        r"BUG .{1,100} \((?:Not tainted|Tainted: [^)\n]*)\): ",
    ),
    (_K.CORRUPTION, _E.BACKTRACE, r"tree is corrupted: \d|not lowest: t: 0x"),  # mm/vmalloc.c
    (_K.CORRUPTION, _E.BACKTRACE, r"issue in \S"),  # mm/vma.c validate_mm()
    (_K.CORRUPTION, _E.BACKTRACE, r"(?:rcu: )?\w+\(\): Double-freed CB "),  # kernel/rcu/tree.c
    (_K.CORRUPTION, _E.LINE, r"percpu_ref\w*: .*percpu_ref underflow"),  # lib/percpu-refcount.c
    # mm/dmapool.c with SLUB_DEBUG_ON: dev_err() prints the driver and the device
    (_K.CORRUPTION, _E.LINE, r"\w+(?:-\w{1,20})? [\w.:-]{1,40}: pool_(?:check_block|block_err) "),
    (_K.LEAK, _E.LINE, r"\w+(?:-\w{1,20})? [\w.:-]{1,40}: dma_pool_destroy \S{1,40} busy"),
)
_BAD_STATES: _Rows = (
    (_K.BAD_STATE, _E.LINE, r"vmstat_refresh: \w+ -\d"),  # mm/vmstat.c
    # mm/shmem.c, v7.3: blocks of tmpfs that nothing accounts for. It was a WARN_ON() before.
    (_K.BAD_STATE, _E.LINE, r"shmem_evict_inode: ino=\d+ i_blocks=\d"),
    (_K.BAD_STATE, _E.LINE, r"page 0x[0-9a-f]+ outside node \d+ zone "),  # mm/page_alloc.c
    (_K.BAD_STATE, _E.LINE, r"Huh VM_FAULT_OOM leaked out"),  # mm/oom_kill.c
    # mm/hugetlb.c
    (
        _K.BAD_STATE,
        _E.LINE,
        r"hugetlb: Huge Page Reserved count |HugeTLB: (?:vma_lock|NULL demote) ",
    ),
    (_K.BAD_STATE, _E.LINE, r"SLUB:? \S+:? ?.*\bslabs counted but counter="),  # mm/slub.c
    # mm/slab_common.c
    (
        _K.BAD_STATE,
        _E.BACKTRACE,
        r"kmem_cache_create\(.*\) (?:integrity check failed|failed with )",
    ),
    (_K.BAD_STATE, _E.LINE, r"\w+: refcount went to 0 for \d+ handle"),  # mm/page_owner.c
    (_K.BAD_STATE, _E.LINE, r"\w+: Warning, stat buffer overflow, please"),  # mm/memcontrol.c
    (_K.BAD_STATE, _E.BACKTRACE, r"FAULT_FLAG_ALLOW_RETRY missing "),  # mm/userfaultfd.c
    (_K.BAD_STATE, _E.LINE, r"swap:\d+ != \(max:\d+ - 1\)"),  # mm/swapfile.c
    (_K.BAD_STATE, _E.LINE, r"rodata_test: test"),  # mm/rodata_test.c
    (_K.BAD_STATE, _E.LINE, r"(?:x86/mm: )?Checked W\+X mappings: FAILED"),  # {x86,arm64}/mm
    # mm/memory-failure.c: what an injected fault must not lead to
    (_K.BAD_STATE, _E.LINE, r"Memory failure: 0x[0-9a-f]+: (?:failed to unmap|forcibly killing)"),
    (_K.LEAK, _E.LINE, r"zsmalloc: Class-\d+ fullness group \d+ is not empty"),  # mm/zsmalloc.c
    (_K.LEAK, _E.LINE, r"ref_tracker: .* users at"),  # lib/ref_tracker.c
    (_K.BAD_STATE, _E.LINE, r"ref_tracker: reference already released"),
    (_K.BAD_STATE, _E.LINE, r"(?:softirq: )?huh, entered softirq \d"),  # kernel/softirq.c
    (_K.BAD_STATE, _E.LINE, r"psi: (?:task underflow|inconsistent task state)!"),  # sched/psi.c
    (_K.BUG, _E.BACKTRACE, r"bad: scheduling from the idle thread!"),  # kernel/sched/idle.c
    # kernel/irq/spurious.c
    (_K.BAD_STATE, _E.BACKTRACE, r"irq \d+: nobody cared|irq event \d+: bogus return value"),
    (_K.BAD_STATE, _E.LINE, r"resource: Trying to free nonexistent resource"),  # kernel/resource.c
    (_K.BAD_STATE, _E.LINE, r"\w+ has failed boot-time tests\."),  # kernel/rcu/tasks.h
    (_K.BAD_STATE, _E.LINE, r"sysfs: cannot create duplicate filename"),  # fs/sysfs/dir.c
    # lib/kobject.c
    (
        *(_K.BAD_STATE, _E.BACKTRACE),
        r"kobject: .*(?:something is seriously wrong|failed for .* with -|must have a ktype"
        r"|invalid kobject pointer)",
    ),
    # lib/random32.c, lib/crc*, lib/crypto, crypto/testmgr.c
    (_K.BAD_STATE, _E.LINE, r"(?:prandom|crc32\w*|crc_t10dif): .*self tests? failed"),
    (_K.BAD_STATE, _E.LINE, r"alg: self-tests for |(?:\w+poly1305|blake2s|curve25519) .*: FAIL"),
    (_K.BAD_STATE, _E.LINE, r"CPU\d+: (?:is stuck in kernel|died during early boot|Unknown IPI)"),
    # kernel/locking/lockdep.c, kernel/fork.c
    (
        _K.BAD_STATE,
        _E.LINE,
        r"CPU \d+ left hardirqs enabled!|exe_file_deny_write_access\(\) failed",
    ),
    (_K.BAD_STATE, _E.LINE, r"IPv6: BUG: "),  # net/ipv6/addrconf.c: a counter went wrong
    (_K.BUG, _E.BACKTRACE, r"BUG (?:at|in) "),  # include/linux/maple_tree.h MT_BUG_ON(), fs/kernfs
    # include/asm-generic/bug.h, lib/smp_processor_id.c, mm/mempool.c, kernel/sched/core.c, ...
    (_K.BUG, _E.BACKTRACE, r"(?:user_events: |rcu: )?BUG: "),
    # kernel/panic.c __warn(): v6.12, v7.2 (with a condition: DEBUG_BUGVERBOSE_DETAILED), no file
    (_K.WARNING, _E.TRACE_ID, r"WARNING: CPU: \d+ PID: \d+ at "),
    (_K.WARNING, _E.TRACE_ID, r"WARNING: (?:\[.*\] )?\S+:\d+ at \S"),
    (_K.WARNING, _E.TRACE_ID, r"WARNING: at (?:[\w.$]+\+0x|(?:0x)?[0-9a-f]{8}|\S+:\d+)"),
    (_K.WARNING, _E.LINE, r"WARNING: kernel stack (?:regs|frame pointer) at "),  # unwind_frame.c
    (  # arch/x86/kernel/unwind_orc.c, dumpstack_64.c
        *(_K.WARNING, _E.LINE),
        r"WARNING: (?:WARNING: (?:bad lookup|Bad or missing|Corrupt)|stack recursion on|missing \w+"
        r" value at|unknown (?:\.orc|[BS]P)|can't access (?:iret )?registers|stack going in the)",
    ),
)
_NOTES: _Rows = (
    (_K.OOM, _E.KILLED, r".{1,20} invoked oom-killer: "),  # mm/oom_kill.c
    (_K.OOM, _E.LINE, r"(?:Memory cgroup out|Out) of memory: Killed process "),
    (_K.OOM, _E.LINE, r"oom_reaper: unable to reap "),
    # mm/page_alloc.c warn_alloc(), also with mm/vmalloc.c; mm/{percpu,slub,util}.c
    (_K.ALLOCATION, _E.BACKTRACE, r".{1,20}: page allocation (?:failure|stall)"),
    (_K.ALLOCATION, _E.BACKTRACE, r".{1,20}: vmalloc error: size "),
    (_K.ALLOCATION, _E.BACKTRACE, r"percpu: allocation failed, size="),
    (_K.ALLOCATION, _E.LINE, r"SLUB: Unable to allocate memory "),
    (_K.ALLOCATION, _E.LINE, r"\w+: pid: \d+, comm: .* not enough memory for the allocation"),
    (_K.ALLOCATION, _E.LINE, r"PID \d+ killed due to inadequate hugepage pool"),  # mm/hugetlb.c
    (_K.HARDWARE, _E.LINE, r"Memory failure: 0x|MCE: Killing |mce: \[Hardware Error\]"),
    (_K.HARDWARE, _E.LINE, r"Uhhuh\. NMI received |NMI: (?:PCI system|IOCK) error"),  # x86 nmi.c
    (_K.HARDWARE, _E.BACKTRACE, r"unchecked MSR access error: "),  # arch/x86/mm/extable.c
)
HEADLINES = (
    *(*_DEATHS, *_CHECKERS, *_STALLS, *_CORRUPTION, *DATA, *_BAD_STATES),
    *(*FILE_SYSTEMS, *_NOTES),
)

_BOUNDED = tuple(pattern.replace(".*", ".{0,200}") for _, _, pattern in HEADLINES)
"""No row has a group of its own, an end of the line, or a repetition without a limit."""
_COMMON = (r"\w+", r".{1,20}", rf"{DISK}: ")


def _branches(pattern: str) -> list[str]:
    """The alternatives of a row, and the row with and without an optional prefix."""
    masked = re.sub(r"\\.|\[[^]]*\]", lambda match: "x" * len(match[0]), pattern)
    while "(" in masked:
        masked = re.sub(r"\([^()]*\)", lambda match: "x" * len(match[0]), masked)
    bars = [at for at, char in enumerate(masked) if char == "|"]
    begins, ends = [0, *(at + 1 for at in bars)], [*bars, len(pattern)]
    branches = [pattern[begin:end] for begin, end in zip(begins, ends, strict=True)]
    spelled = []
    for branch in branches:
        prefix = re.match(r"\(\?:([\w/ ]+: )\)\?", branch)
        rest = branch[prefix.end() :] if prefix else branch
        spelled += [f"{prefix[1]}{rest}", rest] if prefix else [rest]
    return spelled


def _begin(branch: str) -> str:
    """What branches have in common at their start: a letter, or one of _COMMON."""
    if branch[0].isalpha() and branch[1] not in "?*{":
        return branch[0]
    return next((common for common in _COMMON if branch.startswith(common)), "")


def _by_begin() -> str:
    """All rows as one pattern. sre skips a branch at once if it begins with another letter."""
    begins: dict[str, list[str]] = {}
    for branch in (branch for pattern in _BOUNDED for branch in _branches(pattern)):
        begins.setdefault(_begin(branch), []).append(branch.removeprefix(_begin(branch)))
    return "|".join(f"{begin}(?:{'|'.join(rest)})" for begin, rest in begins.items())


ANY = _by_begin()
_ANY = re.compile(ANY.encode(), re.ASCII)


@cache
def _rows(letter: str) -> tuple[re.Pattern[bytes], tuple[int, ...]]:
    """The rows that a line with this first letter can match, and their numbers."""
    begins = (letter, *_COMMON, "")
    numbers = tuple(
        number
        for number, row in enumerate(_BOUNDED)
        if any(_begin(branch) in begins for branch in _branches(row))
    )
    rows = "|".join(f"({_BOUNDED[number]})" for number in numbers)
    return re.compile(rows.encode(), re.ASCII), numbers


def headline(line: bytes) -> tuple[SplatKind, End] | None:
    """What a line begins with that has no stamp and no leading blanks."""
    if not _ANY.match(line):
        return None
    rows, numbers = _rows(line[:1].decode("latin-1"))
    match = rows.match(line)
    return HEADLINES[numbers[match.lastindex - 1]][:2] if match and match.lastindex else None
