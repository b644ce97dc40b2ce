# SPDX-License-Identifier: GPL-2.0-only
import re
import subprocess
from pathlib import Path

import pytest

from rig import arch
from rig.guest import symbolize
from rig.guest.console import SPLATS_MAX, scan

HOST = next(target for target in arch.known().values() if target.is_host())

SOURCE = """\
int outer(int n);

static int __attribute__((noinline)) inner(int n)
{
	return outer(n) + 1;
}

int outer(int n)
{
	return n ? inner(n - 1) : 0;
}
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of one file, mm/x.c, linked at a high address as a kernel is."""
    top = tmp_path_factory.mktemp("build")
    (top / "src" / "mm").mkdir(parents=True)
    (top / "src" / "mm" / "x.c").write_text(SOURCE)
    words = [HOST.tool("gcc"), "-g", "-O1", "-nostdlib", "-static", "-Wl,-e,outer"]
    words += ["-Wl,-Ttext=0x1000000", "-fno-optimize-sibling-calls", "-o", "vmlinux"]
    subprocess.run([*words, top / "src" / "mm" / "x.c"], cwd=top, check=True)
    symbols = subprocess.run(["nm", "-n", "vmlinux"], cwd=top, check=True, capture_output=True)
    (top / "System.map").write_bytes(symbols.stdout)
    return top


def calls(build: Path, name: str) -> str:
    """The first return address in a function, as the kernel writes it: inner+0x9/0x11."""
    listing = subprocess.run(
        [HOST.tool("objdump"), "-d", f"--disassemble={name}", "vmlinux"],
        cwd=build, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    lines = [line for line in listing.splitlines() if re.match(r"\s+[0-9a-f]+:\t", line)]
    starts = [int(line.split(":")[0], 16) for line in lines]
    after = next(n for n, line in enumerate(lines) if re.search(r"\b(call|bl)\b", line)) + 1
    return f"{name}+{starts[after] - starts[0]:#x}/0x40"


def test_each_frame_is_followed_by_its_place_in_the_source(build: Path) -> None:
    inner, outer = calls(build, "inner"), calls(build, "outer")
    lines = ("Call Trace:", f" {inner}", f" ? {outer} [x]", "RIP: 0010:gone+0x1/0x2")
    assert symbolize.decode(HOST, build, lines) == (
        "Call Trace:",
        f" {inner} (mm/x.c:5)",
        f" ? {outer} (mm/x.c:10) [x]",
        "RIP: 0010:gone+0x1/0x2",
    )


def test_the_first_instruction_is_the_functions_own(build: Path) -> None:
    """A fault there is not after a call: one byte earlier is another function."""
    (line,) = symbolize.decode(HOST, build, ("RIP: 0010:outer+0x0/0x40",))
    assert line in ("RIP: 0010:outer+0x0/0x40 (mm/x.c:9)", "RIP: 0010:outer+0x0/0x40 (mm/x.c:10)")


def test_lines_without_frames_stay_and_need_no_build(tmp_path: Path) -> None:
    lines = ("BUG: Bad page state in process x  pfn:1234", "")
    assert symbolize.decode(HOST, tmp_path, lines) == lines


def test_frames_without_a_symbol_stay(build: Path) -> None:
    lines = (" nobody+0x10/0x20 [zram]",)
    assert symbolize.decode(HOST, build, lines) == lines


def test_a_build_without_line_numbers_leaves_lines_alone(build: Path, tmp_path: Path) -> None:
    (tmp_path / "System.map").write_text((build / "System.map").read_text())
    subprocess.run([HOST.tool("strip"), "-o", tmp_path / "vmlinux", build / "vmlinux"], check=True)
    lines = (f" {calls(build, 'inner')}",)
    assert symbolize.decode(HOST, tmp_path, lines) == lines


def test_a_build_whose_files_are_gone_leaves_lines_alone(tmp_path: Path) -> None:
    lines = (" inner+0x10/0x20",)
    assert symbolize.decode(HOST, tmp_path, lines) == lines


def test_there_may_be_any_number_of_frames(build: Path) -> None:
    """More than fit on a command line: a stranger's kernel may print any number."""
    lines = tuple(
        " ".join(f"outer+{offset:#x}/0xffffffffff" for offset in range(at, at + 100))
        for at in range(0x100000000, 0x100000000 + 400_000, 100)
    )
    assert symbolize.decode(HOST, build, lines) == lines


def test_of_many_splats_the_fatal_and_the_first_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symbolize, "decode", lambda arch, build, text: ("decoded",))
    warning = "[    1.000000] WARNING: CPU: 1 PID: 1 at mm/x.c:{} f+0x1/0x2\n"
    console = "".join(warning.format(line) for line in range(100_000))
    splats = scan(f"{console}[    2.000000] Kernel panic - not syncing: x\n")
    results = symbolize.look_up(HOST, tmp_path, splats)
    assert len(results) == len(splats) == SPLATS_MAX + 2
    decoded = [index for index, splat in enumerate(results) if splat.text == ("decoded",)]
    assert decoded == [*range(symbolize.LOOKED_UP - 1), SPLATS_MAX]
