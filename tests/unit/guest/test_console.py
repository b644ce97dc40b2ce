# SPDX-License-Identifier: GPL-2.0-only
import json
from pathlib import Path
from typing import Any

import pytest

from rig.guest import console
from rig.guest.console import ConsoleScanner, Splat, SplatKind

DATA = Path(__file__).parents[2] / "data" / "console"
GOLDEN = sorted(DATA.rglob("*.log"))
STAMP = "[    1.000000] "


def summary(splat: Splat) -> dict[str, Any]:
    return {
        "kind": splat.kind,
        "title": splat.title,
        "fatal": splat.fatal,
        "at": splat.at,
        "fingerprint": console.fingerprint(splat),
        "lines": len(splat.text),
        "first": splat.text[0],
        "last": splat.text[-1],
    }


def by_byte(data: bytes) -> tuple[Splat, ...]:
    scanner = ConsoleScanner()
    splats: tuple[Splat, ...] = ()
    for i in range(len(data)):
        splats += scanner.feed(data[i : i + 1])
    return splats + scanner.close()


def lines(*texts: str, stamp: str = STAMP) -> str:
    return "".join(f"{stamp}{text}\n" for text in texts)


def kinds(text: str) -> list[str]:
    return [splat.kind.value for splat in console.scan(text)]


BUG = lines("kernel BUG at mm/rmap.c:7!")
END = lines("---[ end trace 0000000000000000 ]---")
WARNING = lines("WARNING: CPU: 1 PID: 9 at mm/vmscan.c:7 shrink_folio_list+0x1/0x2")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.relative_to(DATA).as_posix()[:-4])
def test_golden(path: Path) -> None:
    """Each .log is a console log; the .json beside it lists its splats."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    data = path.read_bytes()
    assert [summary(splat) for splat in by_byte(data)] == expected
    whole = console.scan(data.decode())
    assert [summary(splat) for splat in whole] == expected
    assert console.scan(data.decode().replace("\r\n", "\n")) == whole


def test_golden_files_cover_every_kind() -> None:
    seen = {
        splat["kind"]
        for path in GOLDEN
        for splat in json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    }
    messages = (DATA / "kinds" / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    seen |= {json.loads(line)["kind"] for line in messages} - {""}
    assert seen == {kind.value for kind in SplatKind}


@pytest.mark.parametrize("path", sorted(DATA.glob("*clean*.log")), ids=lambda path: path.stem)
def test_a_clean_boot_has_no_splat(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) > 50
    assert console.scan(text) == ()


def test_what_is_fatal_and_what_is_a_failure() -> None:
    notes = {"kcsan", "oom", "allocation", "check_off", "hardware", "slow"}
    failing = {"warning", "ubsan", "data_loss", "io_error", "file_system", "bad_state"}
    assert {kind for kind in SplatKind if not kind.failure} == notes
    failing |= {"csd_lock", "leak", "kcsan_assert"}
    assert {kind for kind in SplatKind if not kind.fatal} == notes | failing


@pytest.mark.parametrize(
    ("headline", "kind"),
    [
        ("Kernel panic - not syncing: sysrq triggered crash", "panic"),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000010", "oops"),
        ("BUG: unable to handle page fault for address: ffffc90000000000", "oops"),
        (
            "Unable to handle kernel NULL pointer dereference at virtual address 00000010",
            "oops",
        ),
        ("Oops: general protection fault, probably for non-canonical address 0xdead: 0000", "oops"),
        ("Internal error: synchronous external abort: 0000000096000210 [#1] SMP", "oops"),
        ("traps: PANIC: double fault, error_code: 0x0", "double_fault"),
        ("BUG: TASK stack guard page was hit at 00000000a (stack is 0b..0c)", "double_fault"),
        ("Insufficient stack space to handle exception!", "double_fault"),
        ("kernel BUG at mm/rmap.c:7!", "bug"),
        ("Kernel BUG at foo+0x1/0x2 [verbose debug info unavailable]", "bug"),
        ("kernel BUG at ./include/linux/page_table_check.h:7!", "page_table_check"),
        ("BUG: KASAN: slab-use-after-free in foo+0x1/0x2", "kasan"),
        ("UBSAN: array-index-out-of-bounds in mm/vmscan.c:7:8", "ubsan"),
        ("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [reclaim:70]", "soft_lockup"),
        (
            "BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 31s!",
            "soft_lockup",
        ),
        ("watchdog: Watchdog detected hard LOCKUP on cpu 1", "hard_lockup"),
        ("INFO: task kworker/u8:1:23 blocked for more than 10 seconds.", "hung_task"),
        ("rcu: INFO: rcu_preempt self-detected stall on CPU", "rcu_stall"),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu_stall"),
        ("rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-... }", "rcu_stall"),
        ("WARNING: possible circular locking dependency detected", "lockdep"),
        ("WARNING: possible irq lock inversion dependency detected", "lockdep"),
        ("WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", "lockdep"),
        ("WARNING: inconsistent lock state", "lockdep"),
        ("WARNING: suspicious RCU usage", "lockdep"),
        ("WARNING: init/1 still has locks held!", "lockdep"),
        ("WARNING: bad unlock balance detected!", "lockdep"),
        ("[ BUG: Invalid wait context ]", "lockdep"),
        ("INFO: trying to register non-static key.", "lockdep"),
        ("BUG: MAX_LOCKDEP_ENTRIES too low!", "check_off"),
        ("BUG: sleeping function called from invalid context at mm/rmap.c:7", "bug"),
        ("BUG: scheduling while atomic: reclaim/70/0x00000002", "bug"),
        ("BUG: spinlock bad magic on CPU#1, swapper/0/1", "bug"),
        ("WARNING: CPU: 1 PID: 70 at mm/vmscan.c:7 foo+0x1/0x2", "warning"),
        ("WARNING: CPU: 1 PID: 70 at foo+0x1/0x2", "warning"),
        ("WARNING: mm/vmscan.c:7 at foo+0x1/0x2, CPU#1: reclaim/70", "warning"),
        ("stress-ng-vm invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0", "oom"),
        ("Memory cgroup out of memory: Killed process 70 (reclaim) total-vm:1kB", "oom"),
    ],
)
def test_headlines(headline: str, kind: str) -> None:
    (splat,) = console.scan(lines("before", headline))
    assert (splat.kind, splat.title, splat.at) == (kind, headline, 1.0)
    assert splat.fatal is SplatKind(kind).fatal


@pytest.mark.parametrize(
    "line",
    [
        "Kernel command line: oops=panic panic=-1 BUG: KASAN: kasan.fault=panic",
        "printk: legacy bootconsole: BUG reports go to the console",
        "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
        "WARNING: Support for this is going away at some point",
        "INFO: NMI handler (nmi_cpu_backtrace_handler) took too long to run: 4.000 msecs",
        "rcu: INFO: Stall ended before state dump start",
        "INFO: task kworker:23 is blocked on a mutex likely owned by task init:1.",
        "INFO: lockdep is turned off.",
        "NMI backtrace for cpu 1",
        "Call Trace:",
        "------------[ cut here ]------------",
        "==================================================================",
        "---[ end trace 0000000000000000 ]---",
        "oom_reaper: reaped process 70 (reclaim), now anon-rss:0kB",
        "debug_vm_pgtable: [debug_vm_pgtable         ]: Validating architecture page table helpers",
        "systemd[1]: kernel BUG at mm/rmap.c:7!",
    ],
)
def test_what_is_no_splat(line: str) -> None:
    assert console.scan(lines("before", line, "after")) == ()


def test_started_is_set_at_the_headline_and_pending_has_the_lines_so_far() -> None:
    scanner = ConsoleScanner()
    assert scanner.feed((WARNING + END).encode()) != ()
    assert not scanner.started
    assert scanner.feed(BUG[:-1].encode()) == ()
    assert not scanner.started
    assert scanner.pending == ()
    assert scanner.feed(b"\n") == ()
    assert scanner.started
    (so_far,) = scanner.pending
    assert (so_far.kind, so_far.title) == (SplatKind.BUG, "kernel BUG at mm/rmap.c:7!")
    (complete,) = scanner.feed(END.encode())
    assert complete.text[: len(so_far.text)] == so_far.text
    assert scanner.started
    assert scanner.pending == scanner.close() == ()


def test_close_returns_an_incomplete_splat() -> None:
    scanner = ConsoleScanner()
    assert scanner.feed((BUG + STAMP + "Call Tr").encode()) == ()
    (splat,) = scanner.close()
    assert splat.text == ("kernel BUG at mm/rmap.c:7!", "Call Tr")
    assert scanner.close() == ()


def test_the_headline_alone_in_the_last_unfinished_line() -> None:
    assert kinds(BUG[:-1]) == ["bug"]


def test_text_of_user_space_is_no_splat() -> None:
    user = "kernel BUG at mm/rmap.c:7!\n# evidence BUG: KASAN: no\nKernel panic - not syncing: x\n"
    assert kinds(lines("kernel") + user) == []
    (splat,) = console.scan(BUG + user + END)
    assert splat.text == ("kernel BUG at mm/rmap.c:7!", "---[ end trace 0000000000000000 ]---")


def test_a_kernel_message_may_begin_in_the_middle_of_a_line() -> None:
    (splat,) = console.scan(f"progress 10%\rprogress 20%{BUG}")
    assert splat.title == "kernel BUG at mm/rmap.c:7!"
    (splat,) = console.scan(f"[    1.000000] some{BUG}")
    assert splat.title == "kernel BUG at mm/rmap.c:7!"


def test_control_sequences_are_stripped() -> None:
    stamp = "\x1b[2J\x1b[01;31m\x1b]0;title\x07[    1.000000]\x1b[0m "
    (splat,) = console.scan(f"{stamp}ker\x00nel BUG at\x07 mm/rmap.c:7!\r\r\n")
    assert splat.title == "kernel BUG at mm/rmap.c:7!"


def test_bytes_that_are_not_utf_8() -> None:
    scanner = ConsoleScanner()
    scanner.feed(b"\xff\xfe\n[    1.000000] kernel BUG at \xff!\n")
    (splat,) = scanner.close()
    assert splat.title == "kernel BUG at �!"


def test_a_line_without_end_is_cut_and_costs_nothing() -> None:
    scanner = ConsoleScanner()
    scanner.feed(STAMP.encode() + b"kernel BUG at " + b"x" * (2 * console.LINE_MAX))
    assert scanner.started
    assert len(scanner.pending[0].title) < console.LINE_MAX
    for _ in range(100):
        assert scanner.feed(b"y" * 100_000) == ()
    (first,) = scanner.feed(BUG.encode())
    assert first.text == (first.title,)
    (second,) = scanner.feed(END.encode())
    assert second.title == "kernel BUG at mm/rmap.c:7!"
    assert scanner.close() == ()


def test_a_line_without_end_is_cut_before_the_first_time_stamp() -> None:
    scanner = ConsoleScanner()
    for _ in range(100):
        scanner.feed(b"kernel BUG at mm/rmap.c:7! " * 10_000)
    assert len(scanner._lines._rest) <= console.LINE_MAX
    assert [splat.title[:20] for splat in scanner.close()] == ["kernel BUG at mm/rma"]


def test_text_is_capped() -> None:
    frames = lines(*[f" f{i}+0x1/0x2" for i in range(2 * console.TEXT_MAX)])
    (splat,) = console.scan(BUG + frames + END)
    assert len(splat.text) == console.TEXT_MAX + 1
    assert splat.text[-1] == f"({console.TEXT_MAX + 2} more lines)"


def test_two_warnings_are_two_splats() -> None:
    assert kinds(WARNING + WARNING + BUG + END) == ["warning", "warning", "bug"]


def test_an_oops_is_one_splat_from_the_fault_to_the_end_of_its_trace() -> None:
    oops = lines("BUG: kernel NULL pointer dereference, address: 00000010")
    died = lines("Oops: Oops: 0002 [#1] PREEMPT SMP")
    assert kinds(oops + died + END) == ["oops"]
    assert kinds(died + END) == ["oops"]
    assert kinds(oops + died + died) == ["oops", "oops"]
    assert kinds(died + died + END) == ["oops", "oops"]
    assert kinds(oops + died + END + died) == ["oops", "oops"]
    assert kinds(BUG + died + END) == ["bug"]
    assert kinds(WARNING + died + END) == ["warning", "oops"]
    assert kinds(lines("watchdog: BUG: soft lockup - CPU#1") + died) == ["soft_lockup", "oops"]
    assert kinds(oops + died + END + lines("Kernel panic - not syncing: Fatal exception")) == [
        "oops",
        "panic",
    ]


def test_a_gap_ends_a_splat_and_a_later_line_does_not_belong_to_it() -> None:
    late = lines("nothing to do with it", stamp="[   11.500000] ")
    (splat,) = console.scan(BUG + lines("near", stamp="[   10.900000] ") + late)
    assert splat.text == ("kernel BUG at mm/rmap.c:7!", "near", "nothing to do with it")
    (splat,) = console.scan(BUG + late)
    assert splat.text == ("kernel BUG at mm/rmap.c:7!",)
    panic = lines("Kernel panic - not syncing: x")
    (splat,) = console.scan(panic + lines("Rebooting in 5 seconds..", stamp="[   99.000000] "))
    assert splat.text[-1] == "Rebooting in 5 seconds.."


def test_a_backtrace_ends_where_other_lines_begin() -> None:
    head = lines("BUG: scheduling while atomic: a/70/0x2", "Modules linked in:")
    trace = lines("Call trace:", " show_stack+0x18/0x24 (C)", " foo+0x1/0x2")
    (splat,) = console.scan(head + trace + lines("zram: x", " foo+0x3/0x4"))
    assert splat.text[-1] == " foo+0x1/0x2"
    trace = lines("Call Trace:", " <TASK>", " ? foo+0x1/0x2", "RIP: 0033:0x47b7a0", " </TASK>")
    for unrelated in ("zram: x", "rcu: x", "Modules linked in:"):
        (splat,) = console.scan(head + trace + lines(unrelated))
        assert splat.text[-1] == " </TASK>"


def test_the_lines_before_a_headline_belong_to_it() -> None:
    cut = "------------[ cut here ]------------"
    dump = ("page: refcount:3 mapcount:1", "page dumped because: VM_BUG_ON_FOLIO(x)", cut)
    (splat,) = console.scan(lines("unrelated", *dump) + BUG + END)
    assert splat.text[:3] == dump
    assert splat.title == "kernel BUG at mm/rmap.c:7!"
    # But not lines that are too old, or that no headline follows soon.
    stale = lines(cut) + lines("other", stamp="[   15.000000] ") + BUG.replace(" 1.0", "19.0")
    assert console.scan(stale)[0].text == ("kernel BUG at mm/rmap.c:7!",)
    again = lines(cut) + (lines(cut) + BUG).replace(" 1.0", "19.0")
    assert console.scan(again)[0].text == (cut, "kernel BUG at mm/rmap.c:7!")
    many = lines(cut, *["other"] * console.PRELUDE_MAX) + BUG
    assert console.scan(many)[0].text == ("kernel BUG at mm/rmap.c:7!",)
    assert console.scan(lines(cut) + lines(cut) + BUG)[0].text[:2] == (cut, cut)


def test_lines_of_two_cpus_are_told_apart_by_their_caller() -> None:
    """CONFIG_PRINTK_CALLER: [T12] is a task, [C1] a CPU."""
    task, cpu = "[    1.000000][   T70] ", "[    1.000000][    C1] "
    text = "".join(
        (
            lines("------------[ cut here ]------------", stamp=task),
            lines("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [b:71]", stamp=cpu),
            lines("kernel BUG at mm/rmap.c:7!", stamp=task),
            lines("Call Trace:", " second+0x1/0x2", stamp=cpu),
            lines("RIP: 0010:first+0x1/0x2", "---[ end trace 0000000000000000 ]---", stamp=task),
            lines(" third+0x1/0x2", "done", stamp=cpu),
        )
    )
    bug, lockup = console.scan(text)
    assert console.fingerprint(bug) == "bug:first"
    assert bug.text[0] == "------------[ cut here ]------------"
    assert len(bug.text) == 4
    assert lockup.text[1:] == ("Call Trace:", " second+0x1/0x2", " third+0x1/0x2")


def test_a_stall_has_the_backtraces_of_all_cpus() -> None:
    own, other = "[    1.000000][    C1] ", "[   21.000000][    C3] "
    text = "".join(
        (
            lines("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", stamp=own),
            lines("rcu: \t3-....: (5250 ticks this GP)", stamp=own),
            lines("Sending NMI from CPU 1 to CPUs 3:", stamp=own),
            lines("NMI backtrace for cpu 3", "RIP: 0010:spin+0x1/0x2", stamp=other),
            lines("Call Trace:", " <TASK>", " caller+0x1/0x2", " </TASK>", stamp=other),
            lines("rcu: rcu_preempt kthread starved for 5250 jiffies!", stamp=other),
            lines("FS:  0000000000000000(0000) GS:ffff88803eb00000(0000)", stamp=other),
            lines("Call Trace:", " gp+0x1/0x2", stamp=other),
            lines("zram: unrelated", stamp=own),
        )
    )
    (splat,) = console.scan(text)
    assert splat.text[-1] == " gp+0x1/0x2"
    assert console.fingerprint(splat) == "rcu_stall:spin"


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("BUG: KASAN: use-after-free in foo.isra.0+0x1/0x2", (), "kasan:foo"),
        (
            "BUG: KASAN: use-after-free in memcpy+0x1/0x2",
            ("Call Trace:", " foo+0x1/0x2"),
            "kasan:foo",
        ),
        ("x", ("RIP: 0010:foo.cold+0x1/0x2",), "kasan:foo"),
        ("x", ("pc : foo.constprop.0+0x1/0x2",), "kasan:foo"),
        ("x", ("RIP: 0033:0x47b7a0", "Call Trace:", " bar+0x1/0x2"), "kasan:bar"),
        ("x", (" before+0x1/0x2", "Call trace:", " ? guess+0x1/0x2", " a+0x1/0x2"), "kasan:a"),
        ("x", ("Call trace:", " panic+0x1/0x2", " next+0x0/0x2", " a+0x1/0x2"), "kasan:a"),
        ("x", ("Call trace:", " dump_stack+0x1/0x2", " __schedule+0x1/0x2"), "kasan:x"),
        ("pfn:0a1b2 of 12345678 at 0xffff", (), "kasan:pfn:N of N at N"),
    ],
)
def test_fingerprint_is_the_top_function_that_is_at_fault(
    title: str, text: tuple[str, ...], expected: str
) -> None:
    splat = Splat(kind=SplatKind.KASAN, title=title, text=text, fatal=True, at=None)
    assert console.fingerprint(splat) == expected


def test_fingerprint_is_the_same_on_another_build_cpu_and_address() -> None:
    first = "WARNING: CPU: 1 PID: 9 at mm/vmscan.c:7 shrink_folio_list+0x1/0x2"
    second = "WARNING: CPU: 3 PID: 71 at mm/vmscan.c:99 shrink_folio_list.cold+0x7f/0xd50"
    third = "WARNING: mm/vmscan.c:7 at shrink_folio_list+0x1/0x2, CPU#1: kswapd0/9"
    titles = (first, second, third)
    fingerprints = {console.fingerprint(console.scan(lines(title))[0]) for title in titles}
    assert fingerprints == {"warning:shrink_folio_list"}


def test_started_stays_set() -> None:
    scanner = ConsoleScanner()
    scanner.feed((BUG + END + WARNING + END).encode())
    assert scanner.started


def test_a_panic_ends_at_its_end_line() -> None:
    end = "---[ end Kernel panic - not syncing: x ]---"
    (splat,) = console.scan(lines("Kernel panic - not syncing: x", end, "zram: x"))
    assert splat.text[-1] == end


def test_a_cut_line_is_read_once() -> None:
    scanner = ConsoleScanner()
    for before in (0, 100):
        scanner.feed(b"y" * before + STAMP.encode() + b"kernel BUG at ")
        assert len(scanner.feed(b"x" * (console.LINE_MAX - before) + b"\n" + END.encode())) == 1
        scanner.feed(b"y" * before + STAMP.encode() + b"kernel BUG at ")
        scanner.feed(b"x" * (console.LINE_MAX - before))
        assert len(scanner.feed(b"\n" + END.encode())) == 1
    assert scanner.close() == ()
    scanner.feed(b"y" * 100_000)
    scanner.feed(b"y" * 100_000 + STAMP.encode() + b"kernel BUG at mm/rm")
    assert scanner.pending == ()
    scanner.feed(b"ap.c:7!\n")
    assert [splat.title for splat in scanner.close()] == ["kernel BUG at mm/rmap.c:7!"]


def test_without_time_stamps_the_rest_of_a_cut_line_is_dropped_and_the_next_line_is_read() -> None:
    scanner = ConsoleScanner()
    scanner.feed(b"y" * console.LINE_MAX + b"kernel BUG at mm/rmap.c:7!")
    assert scanner.feed(b"\nkernel BUG at mm/rmap.c:8!\n") == ()
    assert [splat.title for splat in scanner.close()] == ["kernel BUG at mm/rmap.c:8!"]


def test_callers_without_a_splat_are_not_kept() -> None:
    scanner = ConsoleScanner()
    for caller in range(100):
        stamp = f"[    1.000000][{f'T{caller}':>6}] "
        scanner.feed((BUG + END + lines("x")).replace(STAMP, stamp).encode())
    assert scanner._tracks == {}


def test_other_callers_neither_add_to_a_splat_nor_end_a_stall() -> None:
    task, cpu = "[    1.000000][   T70] ", "[    1.000000][    C1] "
    text = "".join(
        (
            lines("rcu: INFO: rcu_preempt self-detected stall on CPU", stamp=cpu),
            BUG.replace(STAMP, task),
            lines("Call Trace:", " spin+0x1/0x2", stamp=cpu),
            END.replace(STAMP, task),
        )
    )
    texts = {splat.kind: splat.text for splat in console.scan(text)}
    assert texts[SplatKind.RCU_STALL][1:] == ("Call Trace:", " spin+0x1/0x2")
    assert len(texts[SplatKind.BUG]) == 2
    text = BUG.replace(STAMP, task) + lines("zram: x", stamp=cpu) + END.replace(STAMP, task)
    assert len(console.scan(text)[0].text) == 2


def test_time_stamps_may_go_back() -> None:
    past = lines("NMI backtrace for cpu 1", stamp="[    0.500000] ")
    late = lines("RIP: 0010:spin+0x1/0x2", stamp="[   30.700000] ")
    (splat,) = console.scan(lines("rcu: INFO: rcu_preempt detected stalls on CPUs") + past + late)
    assert splat.text[-1] == "RIP: 0010:spin+0x1/0x2"


def test_the_name_of_a_task_may_have_a_newline() -> None:
    trace = lines("      Tainted: G   L   7.2", "Call Trace:", " __schedule+0x1/0x2")
    hung = lines("INFO: task \xff\xfe", "x", "y:70 blocked for more than 120 seconds.")
    (splat,) = console.scan(lines("before") + hung + trace)
    assert splat.title == "INFO: task \xff\xfe x y:70 blocked for more than 120 seconds."
    assert (splat.kind, len(splat.text)) == (SplatKind.HUNG_TASK, 4)
    again = console.scan(2 * (hung + trace))
    assert [found.kind for found in again] == [SplatKind.HUNG_TASK] * 2
    held = lines("=" * 36, "WARNING: a", "b/70 still has locks held!", "Call Trace:", " a+0x1/0x2")
    (splat,) = console.scan(held)
    assert (splat.kind, splat.title) == (SplatKind.LOCKDEP, "WARNING: a b/70 still has locks held!")
    assert splat.text[0] == "=" * 36


def test_lines_with_other_stamps_are_no_name_with_a_newline() -> None:
    blocked = "y:70 blocked for more than 120 seconds."
    assert kinds(lines("INFO: task x") + lines(blocked, stamp="[    1.000009] ")) == []
    assert kinds(lines("INFO: task started", "the worker is blocked")) == []
    (splat,) = console.scan(lines("INFO: task x") + WARNING)
    assert splat.title.startswith("WARNING: CPU: 1")


def test_a_headline_that_printk_replays_is_one_splat() -> None:
    replaying = "** replaying previous printk message **\n"
    whole = lines("BUG: KASAN: slab-use-after-free in folio_put+0x1/0x2")
    torn = lines("BUG: KASAN: slab-use")
    fence = lines("=" * 66)
    (splat,) = console.scan(fence + torn + replaying + whole + lines("Read of size 8") + fence)
    assert splat.title == "BUG: KASAN: slab-use-after-free in folio_put+0x1/0x2"
    assert [line[:10] for line in splat.text] == ["=" * 10, "BUG: KASAN", "Read of si", "=" * 10]
    assert kinds(torn + lines("Read of size 8") + whole) == ["kasan", "kasan"]
    later = lines("BUG: KASAN: slab-use-after-free", stamp="[    1.000009] ")
    assert kinds(torn + later) == ["kasan", "kasan"]
    stall = lines("rcu: INFO: rcu_preempt detected stalls on CPUs/ta")
    assert kinds(
        stall + replaying + lines("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:")
    ) == ["rcu_stall"]
