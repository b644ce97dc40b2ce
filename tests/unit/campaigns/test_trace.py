# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's log of executed blocks, as calls. tests/data/trace has what QEMU 7.2 wrote."""

from pathlib import Path

import pytest

from rig import arch, proc
from rig.campaigns import trace
from rig.errors import ConfigError, InfraError
from rig.kernel import sandbox

DATA = Path(__file__).parents[2] / "data" / "trace"
X86_64, ARM64 = arch.pick("x86_64"), arch.pick("arm64")
MAP = """\
ffffffff81025d70 t flush_tlb_func
ffffffff81130150 T try_to_unmap_one
ffffffff82000000 D nr_reclaimed
"""
# objdump -d --no-show-raw-insn
TSC = """\
ffffffff81405b60 <native_sched_clock>:
ffffffff81405b6a:	rdtsc
ffffffff81405b6c:	shl    $0x20,%rdx
"""
COUNTER = """\
ffff800080448c80:	isb
ffff800080448c84:	mrs	x0, cntvct_el0
ffff800080448c88:	eor	x1, x0, x0
"""
RDTIME = """\
ffffffff80292234:	add	s0,sp,16
ffffffff80292236:	rdtime	a0
ffffffff8029223a:	ld	s0,8(sp)
"""


def said(name: str, points: dict[int, str], clock: int, register: str) -> list[str]:
    facts = arch.pick(name)
    with (DATA / f"{name}.log").open() as lines:
        return [
            str(call)
            for call in trace.calls(
                lines, points, clock, lambda values: facts.clock(values, register)
            )
        ]


def test_calls_on_x86_64() -> None:
    calls = said("x86_64", {0xFFFFFFFF81025D70: "flush_tlb_func"}, 0xFFFFFFFF81405B6C, "")
    assert calls == ["  16.249920512  CPU 1  flush_tlb_func"] * 2


def test_calls_on_arm64() -> None:
    calls = said("arm64", {0xFFFF80008044AFE8: "schedule"}, 0xFFFF800080448C88, "0")
    assert calls == ["   1.687137600  CPU 0  schedule", "   1.689518400  CPU 0  schedule"]


def test_calls_on_riscv64() -> None:
    found = said("riscv64", {0xFFFFFFFF80384970: "schedule"}, 0xFFFFFFFF8029223A, "a0")
    assert found == ["   1.758185200  CPU 0  schedule"]


def test_before_the_clock_is_read_it_is_nought() -> None:
    calls = said("arm64", {0xFFFF80008044AFE8: "schedule"}, 1, "0")
    assert calls == ["   0.000000000  CPU 0  schedule"] * 2


@pytest.fixture
def build(tmp_path: Path) -> Path:
    (tmp_path / "System.map").write_text(MAP)
    return tmp_path


def test_functions_that_are_not_there(build: Path) -> None:
    assert trace._addresses(build, ["flush_tlb_func"]) == {"flush_tlb_func": 0xFFFFFFFF81025D70}
    with pytest.raises(ConfigError, match="named 'flush_tlb_fun'") as bad:
        trace._addresses(build, ["flush_tlb_fun"])
    assert bad.value.hint == "did you mean flush_tlb_func?"
    with pytest.raises(ConfigError, match="named 'nr_reclaimed'"):
        trace._addresses(build, ["nr_reclaimed"])
    with pytest.raises(ConfigError, match="names no function"):
        trace._addresses(build, [])


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("x86_64", TSC, (0xFFFFFFFF81405B6C, "")),
        ("arm64", COUNTER, (0xFFFF800080448C88, "0")),
        ("riscv64", RDTIME, (0xFFFFFFFF8029223A, "a0")),
    ],
)
def test_where_the_clock_was_just_read(
    name: str,
    code: str,
    expected: tuple[int, str],
    build: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.broken()  # it runs a program, once: now, while that works

    def disassembled(text: str) -> None:
        result = proc.Done(argv=("objdump",), status=0, stdout=text, stderr="", seconds=0.0)
        monkeypatch.setattr(proc, "run", lambda argv: result)

    disassembled(code)
    assert trace._clock(arch.pick(name), build) == expected
    disassembled("")
    with pytest.raises(InfraError, match="does not read a clock"):
        trace._clock(arch.pick(name), build)
