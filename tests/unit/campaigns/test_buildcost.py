# SPDX-License-Identifier: GPL-2.0-only
import pytest

from rig.campaigns.ancestry import GOOD
from rig.campaigns.buildcost import BuildCost, weight

FILES = (
    ("mm/rmap.c",),
    ("Documentation/mm/index.rst",),
    ("include/linux/mm.h", "mm/rmap.c"),
    ("mm/internal.h",),
    ("Makefile",),
    ("drivers/x.c",),
)


def test_a_header_of_all_is_dear_and_a_c_file_is_cheap() -> None:
    paths = ("Makefile", "include/linux/mm.h", "mm/internal.h", "mm/rmap.c", "tools/x.c")
    weights = [weight(path) for path in paths]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == 1 and weights[-1] == 0
    assert weight("arch/arm64/include/asm/tlb.h") == weight("include/linux/mm.h")


def test_a_near_commit_is_cheaper_and_no_build_is_dearer_than_a_whole_one() -> None:
    cost = BuildCost(FILES, full=100)
    assert cost.between(0, None) == 100
    assert cost.between(0, GOOD) == cost.between(GOOD, 0) < 10
    assert cost.between(1, 0) <= cost.between(0, GOOD) < cost.between(2, 1)
    assert cost.between(5, GOOD) == cost.between(4, 3) == 100
    assert cost.typical(3) <= 100


def test_it_is_scaled_by_what_was_measured() -> None:
    cost = BuildCost(FILES, full=100)
    before = cost.between(2, 1)
    cost.learn(300, 0, None)
    assert cost.between(2, 1) == pytest.approx(2 * before)
    for _ in range(1000):
        cost.learn(10_000, 0, None)
    assert cost.between(2, 1) == pytest.approx(5 * before), "not without limit"
