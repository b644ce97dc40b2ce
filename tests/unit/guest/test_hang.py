# SPDX-License-Identifier: GPL-2.0-only
"""What a hung guest is said to do, from the kernel's report and from QEMU's registers."""

import threading
import time

import pytest

from rig.guest import hang
from rig.guest.console import scan

# As v6.12 prints it on x86_64 and arm64 (kernel/sched/core.c: sched_show_task()).
X86 = """\
[    9.000001] sysrq: Show Blocked State
[   10.531004] sysrq: Show Blocked State
[   10.531307] task:stale_tlb       state:D stack:0     pid:812   tgid:809
[   10.531705] Call Trace:
[   10.531811]  <TASK>
[   10.531905]  __schedule+0x3c8/0xb20
[   10.532104]  schedule+0x27/0xf0
[   10.532301]  io_schedule+0x46/0x70
[   10.532511]  folio_wait_bit_common+0x13d/0x350
[   10.532702]  ? __pfx_wake_page_function+0x10/0x10
[   10.532911]  shrink_folio_list+0x3f0/0xd50
[   10.533101]  </TASK>
[   10.533300] task:kswapd0         state:D stack:0     pid:41    tgid:41
[   10.533405] Call Trace:
[   10.533505]  __schedule+0x3c8/0xb20
"""
ARM64 = """\
[   10.531004] sysrq: Show Blocked State\r
[   10.531307] task:my prog x       state:D stack:0     pid:7     tgid:7\r
[   10.531705] Call trace:\r
[   10.531905]  __switch_to+0xe0/0x128 (T)\r
[   10.532104]  __schedule+0x2b8/0x7e0\r
[   10.532301]  schedule+0x3c/0xb8\r
[   10.532511]  rwsem_down_write_slowpath+0x1f8/0x6a0\r
"""
SYMBOLS = {"_text": 0xFFFFFFFF81000000, "shrink_folio_list": 0xFFFFFFFF81234500,
           "default_idle": 0xFFFFFFFF81800000}  # fmt: skip


def test_the_blocked_tasks_of_the_newest_report() -> None:
    assert hang.blocked(X86) == (
        "blocked: stale_tlb[812] (state D) in folio_wait_bit_common <- shrink_folio_list",
        "blocked: kswapd0[41] (state D) in __schedule",
    )
    assert hang.blocked(ARM64 + X86) == hang.blocked(X86)
    assert hang.blocked(ARM64) == ("blocked: my prog x[7] (state D) in rwsem_down_write_slowpath",)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        ("booting\n", ()),
        (f"[ 1.000000] {hang.BEGIN}\n", ()),
        # The host has read the first task's frames, and not yet the line of the task.
        (f"{hang.BEGIN}\n[   10.532104]  schedule+0x27/0xf0\n", ()),
        (X86[:190], ("blocked: stale_tlb[812] (state D) in ?",)),
        (
            X86[:355],
            ("blocked: stale_tlb[812] (state D) in __schedule <- schedule <- io_schedule",),
        ),
    ],
)
def test_a_report_that_is_cut_off_or_empty_is_no_error(text: str, lines: tuple[str, ...]) -> None:
    assert hang.blocked(text) == lines


@pytest.mark.parametrize("text", [X86, ARM64])
def test_the_report_is_no_splat(text: str) -> None:
    assert scan(text) == ()


@pytest.mark.parametrize(
    "registers",
    [
        "CPU#0\nRAX=0000000000000000 RBX=ffff\nRIP=ffffffff81234567 RFL=00000246\n"
        "CPU#1\nRIP=ffffffff81800005 RFL=0\nCPU#2\nRIP=00007f0000401000 RFL=0\n",
        "CPU#0\n PC=ffffffff81234567 X00=0000000000000000\nCPU#1\n PC=ffffffff81800005\n"
        "CPU#2\n PC=00007f0000401000\n",
        "CPU#0\n pc       ffffffff81234567\n mhartid  0\nCPU#1\n pc       ffffffff81800005\n"
        "CPU#2\n pc       00007f0000401000\n",
    ],
    ids=["x86_64", "arm64", "riscv64"],
)
def test_where_each_cpu_is(registers: str) -> None:
    assert hang.cpus(registers, SYMBOLS) == (
        "CPU 0 is in shrink_folio_list", "CPU 1 is in default_idle", "CPU 2 is in user space",
    )  # fmt: skip
    assert hang.cpus("", SYMBOLS) == ()


def test_a_guest_that_never_answers_is_waited_for_no_longer_than_it_may() -> None:
    began = time.monotonic()
    hang.ask(lambda seconds: threading.Event().wait(), lambda: "booting\n", 0.3)
    assert 0.3 <= time.monotonic() - began < 60


def test_the_report_is_waited_for_until_it_is_whole() -> None:
    sent, texts = list[str](), iter(["booting", "booting", X86[:99], X86[:300], X86, X86])
    closed = threading.Event()

    class Connection:
        def __init__(self, seconds: float) -> None:
            self.transport = self

        def __enter__(self) -> "Connection":
            return self

        def __exit__(self, *error: object) -> None:
            closed.set()

        def open_session(self) -> "Connection":
            return self

        def exec_command(self, command: str) -> None:
            sent.append(command)

    last = ""

    def console() -> str:
        nonlocal last
        last = next(texts)
        return last

    hang.ask(Connection, console, 60)
    assert (sent, last) == ([hang.SYSRQ], X86)
    assert next(texts, None) is None
    assert closed.wait(30), "the other connection does not stay"
