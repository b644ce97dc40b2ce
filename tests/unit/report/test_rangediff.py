# SPDX-License-Identifier: GPL-2.0-only
"""A range-diff in colour."""

import re

from rig.report import rangediff

SAID = """\
-:  ------- > 1:  1111111 mm: a > b
1:  2222222 < -:  ------- mm: gone
2:  3333333 = 2:  4444444 mm: the same ! no
3:  5555555 ! 3:  6666666 mm: changed = not
    @@ Commit message
     ## mm/x.c ##
     @@ mm/x.c: int x
    -+old
    ++new
     +context
"""


def test_what_became_of_a_patch_is_seen() -> None:
    colours = [re.findall(r"\x1b\[(\d*)m", line) for line in rangediff.painted(SAID).splitlines()]
    assert [found[0] if found else "" for found in colours] == [
        "32", "31", "", "33", "36", "1", "", "31", "32", ""
    ]  # fmt: skip
    assert all(found[-1] == "" for found in colours if found), "none runs over"


def test_nothing_but_colour_is_added() -> None:
    assert re.sub(r"\x1b\[\d*m", "", rangediff.painted(SAID)) == SAID
    assert rangediff.painted("") == ""
    assert rangediff.painted("1: no end < of line").endswith("line\x1b[m")
