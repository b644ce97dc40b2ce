# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from rig.benches import benchmark
from rig.campaigns import claim_verdicts
from rig.campaigns.claim_verdicts import Word
from rig.campaigns.statistics import Difference, Line
from rig.errors import ConfigError
from rig.series import claims
from rig.series.claims import Claim
from rig.shelves import Shelves

KNOWN = {"some_reclaim": ("tlb_shootdowns", "pgscan_anon"), "other_reclaim": ("pgscan_anon",)}


def a_line(
    before: float, after: float, difference: Difference, wide: float = 5, rounds: int = 9
) -> Line:
    """With an interval so wide to each side."""
    change = after - before
    return Line(
        metric="m", before=(before,) * rounds, after=(after,) * rounds, low=change - wide,
        high=change + wide, chance=0.01, difference=difference,
    )  # fmt: skip


LOWER, HIGHER, UNDECIDED = Difference.LOWER, Difference.HIGHER, Difference.UNDECIDED


@pytest.mark.parametrize(
    ("change", "line", "word"),
    [
        (-68.2, a_line(100, 20, LOWER), Word.REPRODUCED),
        (-68.2, a_line(100, 35, LOWER), Word.REPRODUCED),
        (-68.2, a_line(100, 80, LOWER), Word.NOT_REPRODUCED),
        (-68.2, a_line(100, 180, HIGHER), Word.NOT_REPRODUCED),
        (26.9, a_line(100, 130, HIGHER), Word.REPRODUCED),
        (-100, a_line(2048, 0, LOWER, wide=0), Word.REPRODUCED),
        (-100, a_line(2048, 1, LOWER, wide=0), Word.NOT_REPRODUCED),
        # A wide interval merely reaches the claim.
        (-68.2, a_line(100, 65, LOWER, wide=34), Word.UNDECIDED),
        (-68.2, a_line(100, 65, UNDECIDED, wide=36), Word.UNDECIDED),
        (26.9, a_line(100, 120, HIGHER, wide=19), Word.UNDECIDED),
        (-68.2, a_line(100, 60, LOWER, wide=29), Word.UNDECIDED),
        (-68.2, a_line(100, 32, LOWER, wide=33), Word.REPRODUCED),
        # No difference is certain, and the claim is outside of the interval.
        (-68.2, a_line(100, 80, UNDECIDED, wide=25), Word.NOT_REPRODUCED),
        (-68.2, a_line(100, 100, Difference.SAME, wide=0), Word.NOT_REPRODUCED),
        # The claim, but not with the certainty for all metrics together.
        (-68.2, a_line(100, 30, UNDECIDED), Word.UNDECIDED),
        # Nothing to be less than.
        (-100, a_line(0, 0, Difference.SAME, wide=0), Word.UNDECIDED),
        (-68.2, a_line(0, 50, HIGHER), Word.UNDECIDED),
        (26.9, a_line(0, 50, HIGHER), Word.UNDECIDED),
        (-68.2, a_line(100, 20, LOWER, rounds=5), Word.UNDECIDED),
        (-68.2, a_line(100, 100, Difference.SAME, wide=0, rounds=5), Word.UNDECIDED),
        (26.9, a_line(100, 130, Difference.NOT_JUDGED), Word.UNDECIDED),
        (26.9, None, Word.UNDECIDED),
    ],
)
def test_a_claim_is_held_against_what_was_measured(
    change: float, line: Line | None, word: Word
) -> None:
    claim = Claim(bench=("b",), metric="m", change=change, said="cover", machine="16 CPUs")
    assert claim_verdicts.judge(claim, line).word is word


@pytest.mark.parametrize(
    ("change", "line", "why"),
    [
        (-60, a_line(100, 40, LOWER), "-60.0 %, 2.5x less; -60.0 %, 2.5x less claimed"),
        (-100, a_line(100, 0, LOWER), "-100.0 %; -100.0 % claimed"),
        (26.9, a_line(100, 130, HIGHER), "+30.0 %; +26.9 % claimed"),
        (
            -60, a_line(100, 60, LOWER, wide=39),
            "-40.0 %, 1.7x less; -60.0 %, 2.5x less claimed; these rounds allow both the claim and"
            " less than half of it",
        ),
        (
            26.9, a_line(100, 120, UNDECIDED, wide=29),
            "+20.0 %; +26.9 % claimed; these rounds allow both the claim and no change",
        ),
        (-60, a_line(0, 7, HIGHER), "0 before and 7 after: this is no change in percent"),
        (
            26.9, a_line(100, 130, HIGHER, rounds=5),
            "+30.0 %; +26.9 % claimed; too few rounds to decide",
        ),
    ],
)  # fmt: skip
def test_a_verdict_on_a_claim_says_why(change: float, line: Line, why: str) -> None:
    claim = Claim(bench=("b",), metric="m", change=change, said="cover", machine="16 CPUs")
    assert claim_verdicts.judge(claim, line).why == why


@pytest.mark.parametrize("change", ["0", "0.0", "nan", "inf", "-inf", "-100.5"])
def test_a_claim_of_nothing_or_of_the_impossible_is_refused(tmp_path: Path, change: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / claims.FILE).write_text(
        f'[[claim]]\nbench = ["other_reclaim"]\nmetric = "pgscan_anon"\nchange = {change}\n'
        'said = "cover"\nmachine = "16 CPUs"\n'
    )
    with pytest.raises(ConfigError, match=r"s/claims\.toml"):
        claims.load(tmp_path, "s", KNOWN)


def test_the_shelfs_claims_are_of_metrics_there_are() -> None:
    shelf, metrics = Shelves.default().patches, benchmark.metrics()
    claims_ = [claims.load(shelf, path.name, metrics) for path in sorted(shelf.iterdir())]
    assert sum(map(len, claims_)) >= 6


def test_a_claim_that_says_too_little_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / claims.FILE).write_text('[[claim]]\nbench = "b"\n')
    with pytest.raises(ConfigError, match=r"claims\.toml"):
        claims.load(tmp_path, "s", KNOWN)
    assert claims.load(tmp_path, "other", KNOWN) == ()


@pytest.mark.parametrize(
    ("benches", "metric", "message", "hint"),
    [
        ('["some_reclaim"]', "tlb_shootdown", "no metric of some_reclaim named", "tlb_shootdowns"),
        ('["some_reclaim", "other_reclaim"]', "tlb_shootdowns", "of other_reclaim", "pgscan_anon"),
        ('["some_reclam"]', "pgscan_anon", "no benchmark named 'some_reclam'", "some_reclaim"),
        ("[]", "pgscan_anon", "at least 1", ""),
    ],
)
def test_a_claim_of_what_nobody_measures_names_the_file_and_the_nearest(
    tmp_path: Path, benches: str, metric: str, message: str, hint: str
) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / claims.FILE).write_text(
        f'[[claim]]\nbench = {benches}\nmetric = "{metric}"\nchange = -5\n'
        'said = "cover"\nmachine = "16 CPUs"\n'
    )
    with pytest.raises(ConfigError, match=rf"(?s)s/claims\.toml: .*{message}") as bad:
        claims.load(tmp_path, "s", KNOWN)
    assert hint in bad.value.hint
