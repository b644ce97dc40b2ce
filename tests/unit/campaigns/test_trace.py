# SPDX-License-Identifier: GPL-2.0-only
"""What the plugin writes, as calls. tests/data/trace has what it wrote with QEMU 7.2."""

from pathlib import Path

import pytest

from rig.campaigns import trace
from rig.errors import ConfigError, InfraError

CALLS = Path(__file__).parents[2] / "data" / "trace" / "calls.log"
MAP = """\
ffffffff81025d70 t flush_tlb_func
ffffffff81130150 T try_to_unmap_one
ffffffff82000000 D nr_reclaimed
"""
POINTS = {0xFFFFFFFF811300F0: "try_to_unmap_one", 0xFFFFFFFF8114F260: "swap_writepage"}


def test_calls_with_their_time_and_cpu() -> None:
    with CALLS.open() as lines:
        calls = [str(call) for call in trace.calls(lines, POINTS)]
    assert len(calls) == 10
    assert calls[:2] == [
        "  11.143213248  CPU 0  try_to_unmap_one",
        "  11.143213248  CPU 0  swap_writepage",
    ]
    assert calls[-1] == "  12.871680000  CPU 0  swap_writepage"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "11143213248 0\n",
        "11143213248 0 ffffffff811300f1\n",
        "11143213248 0 ffffffff811",
        "-1 0 1\n",
    ],
)
def test_a_line_that_the_plugin_does_not_write(line: str) -> None:
    with pytest.raises(InfraError, match="not a call of a traced function"):
        list(trace.calls([line], POINTS))


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
