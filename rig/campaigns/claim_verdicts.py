# SPDX-License-Identifier: GPL-2.0-only
"""The verdict on a claim of a cover letter: does a measured difference reach what it says?"""

import math
from dataclasses import dataclass
from enum import StrEnum

from rig.campaigns import statistics
from rig.campaigns.statistics import Difference, Line
from rig.series.claims import Claim

ROUNDING = 1e-9
"""Of the sums and quotients of a measured change, relative."""


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
    """The verdict from the 95 % interval of the measured change.

    NOT REPRODUCED if the whole interval is less than the claim. REPRODUCED if there is a difference
    and every change in the interval is nearer to the claim than to no change, or beyond the claim.
    UNDECIDED otherwise: the interval has the claim, and also no change or hardly any.
    """
    if line is None:
        return Judged(claim=claim, word=Word.UNDECIDED, why="this kernel has no such counter")
    if line.difference is Difference.NOT_JUDGED:
        why = "times under TCG are the emulator's; run it with KVM on such a machine"
        return Judged(claim=claim, word=Word.UNDECIDED, why=why)
    before, after = line.means
    measured = line.percent(after - before)
    if measured is None:
        why = f"0 before and {after:g} after: this is no change in percent"
        return Judged(claim=claim, word=Word.UNDECIDED, why=why)
    why = f"{_change(measured)}; {_change(claim.change)} claimed"
    if not statistics.can_decide(len(line.before)):
        why += "; too few rounds to decide"
        return Judged(claim=claim, word=Word.UNDECIDED, why=why)
    # In the direction of the claim: a fall to 0 is 100 if a fall is claimed, and a rise is below 0.
    claimed, sign = abs(claim.change), math.copysign(1, claim.change)
    least, most = sorted(sign * (line.percent(end) or 0.0) for end in (line.low, line.high))
    if most < claimed * (1 - ROUNDING):
        return Judged(claim=claim, word=Word.NOT_REPRODUCED, why=why)
    certain = Difference.LOWER if claim.change < 0 else Difference.HIGHER
    if line.difference is certain and least >= claimed / 2:
        return Judged(claim=claim, word=Word.REPRODUCED, why=why)
    other = "less than half of it" if line.difference is certain else "no change"
    why += f"; these rounds allow both the claim and {other}"
    return Judged(claim=claim, word=Word.UNDECIDED, why=why)


def _change(percent: float) -> str:
    """In percent and, if it is less, as a factor: both are usual in cover letters."""
    less = f", {1 / (1 + percent / 100):.1f}x less" if -100 < percent < 0 else ""
    return f"{percent:+.1f} %{less}"
