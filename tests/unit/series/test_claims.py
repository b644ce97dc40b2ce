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


def a_line(before: float, after: float, difference: Difference) -> Line:
    change = after - before
    return Line(
        metric="m", before=(before,), after=(after,), low=change - 5, high=change + 5,
        chance=0.01, difference=difference,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "line", "word"),
    [
        (-68.2, a_line(100, 20, Difference.LOWER), Word.REPRODUCED),
        (-68.2, a_line(100, 35, Difference.LOWER), Word.REPRODUCED),
        (-68.2, a_line(100, 80, Difference.LOWER), Word.NOT_REPRODUCED),
        (-68.2, a_line(100, 180, Difference.HIGHER), Word.NOT_REPRODUCED),
        (26.9, a_line(100, 130, Difference.HIGHER), Word.REPRODUCED),
        (-100, a_line(0, 0, Difference.SAME), Word.NOT_REPRODUCED),
        (-68.2, a_line(100, 80, Difference.UNDECIDED), Word.UNDECIDED),
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
    ("change", "after", "why"),
    [
        (-60, 45, "-55.0 %, 2.2x less; -60.0 %, 2.5x less claimed"),
        (-100, 0, "-100.0 %; -100.0 % claimed"),
        (26.9, 130, "+30.0 %; +26.9 % claimed"),
    ],
)
def test_a_claim_of_a_factor_is_answered_by_one(change: float, after: float, why: str) -> None:
    claim = Claim(bench=("b",), metric="m", change=change, said="cover", machine="16 CPUs")
    line = a_line(100, after, Difference.HIGHER if change > 0 else Difference.LOWER)
    assert claim_verdicts.judge(claim, line).why == why


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
