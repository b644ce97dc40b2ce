# SPDX-License-Identifier: GPL-2.0-only
"""The verdict on a claim of a cover letter: does a measured difference reach what it says?"""

from dataclasses import dataclass
from enum import StrEnum

from rig.campaigns.statistics import Difference, Line
from rig.series.claims import Claim


class Word(StrEnum):
    """The verdict on a claim."""

    REPRODUCED = "REPRODUCED"
    NOT_REPRODUCED = "NOT REPRODUCED"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    claim: Claim
    word: Word
    why: str


def judge(claim: Claim, line: Line | None) -> Judged:
    """REPRODUCED if there is a difference whose interval reaches the claimed change."""
    if line is None:
        return Judged(claim=claim, word=Word.UNDECIDED, why="this kernel has no such counter")
    if line.difference is Difference.NOT_JUDGED:
        why = "times under TCG are the emulator's; run it with KVM on such a machine"
        return Judged(claim=claim, word=Word.UNDECIDED, why=why)
    if line.difference is Difference.UNDECIDED:
        why = "no certain difference in these rounds; more rounds may show one"
        return Judged(claim=claim, word=Word.UNDECIDED, why=why)
    before, after = line.means
    measured = line.percent(after - before)
    if measured is None or line.difference is Difference.SAME:
        why = f"{before:g} before, {after:g} after"
        return Judged(claim=claim, word=Word.NOT_REPRODUCED, why=why)
    ends = [line.percent(end) or 0.0 for end in (line.low, line.high)]
    furthest = min(ends) if claim.change < 0 else max(ends)
    reached = furthest <= claim.change if claim.change < 0 else furthest >= claim.change
    word = Word.REPRODUCED if reached else Word.NOT_REPRODUCED
    why = f"{_change(measured)}; {_change(claim.change)} claimed"
    return Judged(claim=claim, word=word, why=why)


def _change(percent: float) -> str:
    """In percent and, if it is less, as a factor: both are usual in cover letters."""
    less = f", {1 / (1 + percent / 100):.1f}x less" if -100 < percent < 0 else ""
    return f"{percent:+.1f} %{less}"
