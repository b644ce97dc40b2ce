# SPDX-License-Identifier: GPL-2.0-only
"""What is read in make's output; what is done with it is in test_kbuild.py."""

from pathlib import Path

import pytest

from rig import log
from rig.kernel import makelog
from rig.kernel.makelog import Meter

PLACE = Path("/store/lanes/x86_64-base-v6.12")


def read(*lines: str) -> tuple[Meter, list[str]]:
    """What is made of make's output, and the files that are noted while it comes."""
    noted: list[str] = []
    with log.step("Building") as step:
        meter = Meter(step, 0, place=PLACE, warned=noted.append)
        for line in lines:
            meter(line)
    return meter, noted


@pytest.mark.parametrize(
    "line",
    [
        "mm/x.c:1:2: warning: unused variable ‘x’ [-Wunused-variable]",
        "mm/x.c:1: warning: x",
        "./include/linux/mm.h:7:2: warning: #warning old [-Wcpp]",
        "<stdin>:1519:2: warning: #warning syscall clone3 not implemented [-Wcpp]",
        "arch/x86/lib/x.S:12: Warning: no instruction mnemonic suffix given",
        "{standard input}:12: Warning: end of file not at end of a line",
        "arch/arm64/boot/dts/x.dts:12.3-15: Warning (reg_format): /soc:reg: it has 2 bytes",
        "mm/vmscan.o: warning: objtool: shrink_list+0x5: unreachable instruction",
        "vmlinux.o: warning: objtool: x() falls through to next function y()",
        "WARNING: modpost: vmlinux: section mismatch in reference: x (section: .text) -> y",
        "ld: warning: vmlinux has a LOAD segment with RWX permissions",
        "/usr/bin/aarch64-linux-gnu-ld: warning: orphan section `.x' from `mm/x.o'",
        "cc1: warning: command-line option ‘-fx’ is valid for C++ but not for C",
    ],
)
def test_a_warning_of_the_kernel(line: str) -> None:
    meter, noted = read("  CC      mm/vmscan.o", line, "  CC      mm/rmap.o")
    assert (meter.warnings, noted) == ([line], ["mm/vmscan.o"])


@pytest.mark.parametrize(
    "line",
    [
        "mm/x.c: In function ‘x’:",
        "mm/x.c:1:2: note: declared here",
        "mm/x.c:1:2: error: x",
        "   12 | #warning old",
        "make[3]: warning: jobserver unavailable: using -j1",
        "make[2]: warning:  Clock skew detected.  Your build may be incomplete.",
        "perl: warning: Setting locale failed.",
        "mm/Kconfig:12:warning: config symbol defined without type",
    ],
)
def test_no_warning_of_the_kernel(line: str) -> None:
    """Those of the host are not the tree's; Kconfig's come with the configuration."""
    meter, noted = read("  CC      mm/vmscan.o", line)
    assert (meter.warnings, noted) == ([], [])


@pytest.mark.parametrize(
    ("made", "name"),
    [
        ("  CC      mm/vmscan.o", "mm/vmscan.o"),
        ("  AS      arch/x86/entry/entry_64.o", "arch/x86/entry/entry_64.o"),
        ("  CC [M]  fs/ext4/super.o", "fs/ext4/super.o"),
        ("  CC      kernel/bounds.s", "kernel/bounds.s"),
        ("  LD      .tmp_vmlinux1", ".tmp_vmlinux1"),
        ("  MODPOST vmlinux.symvers", "vmlinux.symvers"),
        ("  VDSO2C  arch/x86/entry/vdso/vdso-image-64.c", "arch/x86/entry/vdso/vdso-image-64.c"),
        (f"  HOSTCC  {PLACE}/out/arch/x86/tools/relocs.o", "arch/x86/tools/relocs.o"),
        ("  CC      /etc/passwd", ""),
        ("  CC      ../../etc/passwd", ""),
        ("  CC      mm/../../passwd", ""),
        ("  CC      mm/a\x1cb.o", ""),
        ("  CC      -rf", "-rf"),
        ("make[1]: Entering directory '/store'", ""),
    ],
)
def test_the_file_that_a_warning_is_of(made: str, name: str) -> None:
    """Only a name below O= is noted: the file will be removed."""
    meter, noted = read(made, "a.c:1:2: warning: x", "b.c:1:2: warning: y")
    assert noted == [name] * bool(name)
    assert len(meter.warnings) == 2


@pytest.mark.parametrize("name", ["scripts/kconfig/conf.o", f"{PLACE}/out/tools/objtool/check.o"])
def test_a_program_of_the_host_is_not_in_the_kernel(name: str) -> None:
    meter, noted = read(f"  HOSTCC  {name}", "a.c:1:2: warning: x")
    assert (meter.warnings, noted) == ([], [])


def test_a_warning_in_a_header_counts_once() -> None:
    header = "./include/linux/mm.h:7:2: warning: #warning old [-Wcpp]"
    meter, noted = read("  CC      a.o", header, "  CC      b.o", header, header)
    assert meter.warnings == [header]
    assert noted == ["a.o", "b.o"]


def test_warnings_do_not_name_the_lane() -> None:
    """A build without the sandbox has a lane of its own, and its warnings are the same."""
    meter, _ = read(f"{PLACE}/src/mm/x.c:1:2: warning: x", f"{PLACE}/out/y.h:1:2: warning: y")
    assert meter.warnings == ["mm/x.c:1:2: warning: x", "y.h:1:2: warning: y"]


def test_names_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makelog, "MANY", 2)
    lines = [f"{kind}{n}{rest}" for n in range(5)
             for kind, rest in (("  CC      a", ".o"), ("a.c:", ": warning: x"))]  # fmt: skip
    assert read(*lines)[1] == ["a0.o", "a1.o"]


def test_kconfigs_warnings() -> None:
    output = """\
  HOSTCC  scripts/kconfig/conf.o
scripts/kconfig/conf.c:1:2: warning: unused
mm/Kconfig:12:warning: config symbol defined without type
/lane/given/requested.config:3:warning: override: reassigning to symbol SMP

WARNING: unmet direct dependencies detected for ZSWAP
  Depends on [n]: SWAP [=n]
mm/Kconfig:12:warning: config symbol defined without type
"""
    assert makelog.kconfig_warnings(output) == [
        "WARNING: unmet direct dependencies detected for ZSWAP",
        "mm/Kconfig:12:warning: config symbol defined without type",
    ]
