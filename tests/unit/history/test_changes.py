# SPDX-License-Identifier: GPL-2.0-only
"""What changed: a letter for each night, and what its last night means."""

import random
from collections.abc import Sequence

import pytest

from rig.history import changes
from rig.history.changes import Cell, Finding, Kind, Point

LEVEL = 1e-3


def cells(nights: str, *, builds: bool = True) -> list[Cell]:
    """`.` passes, F fails, f fails in 1 of 64 runs, m in 9 of 64, - is INCONCLUSIVE, s SKIP, B
    BROKEN."""
    counts = {".": (1, 0), "F": (0, 1), "f": (63, 1), "m": (55, 9), "o": (64, 0), "A": (0, 64)}
    others = {"-": "INCONCLUSIVE", "s": "SKIP", "B": "BROKEN"}
    return [
        Cell(
            night=f"night {number}", passed=counts.get(letter, (0, 0))[0],
            failed=counts.get(letter, (0, 0))[1], other=others.get(letter, ""), reason=letter,
            commit=f"commit {number}", build=f"build {number if builds else 0}",
        )
        for number, letter in enumerate(nights)
    ]  # fmt: skip


def of(nights: str, level: float = LEVEL, *, builds: bool = True) -> Finding | None:
    return changes.outcome(cells(nights, builds=builds), level)


def told(nights: str) -> list[tuple[int, Kind]]:
    """The nights in which something is new."""
    found = ((upto, of(nights[:upto])) for upto in range(1, len(nights) + 1))
    return [(upto - 1, finding.kind) for upto, finding in found if finding and finding.new]


@pytest.mark.parametrize(
    ("nights", "kind", "new", "since"),
    [
        ("...F", Kind.NEW_FAILURE, True, 3),
        ("...FF", Kind.STILL_FAILING, False, 3),
        ("..-F", Kind.NEW_FAILURE, True, 3),
        (".F-F", Kind.STILL_FAILING, False, 1),
        ("oom", Kind.NEW_FAILURE, True, 2),
        ("F", Kind.NEVER_PASSED, True, 0),
        ("FFF", Kind.NEVER_PASSED, False, 0),
        ("--F", Kind.NEVER_PASSED, False, 2),
        ("---", Kind.NEVER_PASSED, False, 0),
        ("..FF.", Kind.FIXED, True, 4),
        ("FFF.", Kind.FIXED, True, 3),
        ("oAo", Kind.FIXED, True, 2),
        ("--.", Kind.NEW_PASS, True, 2),
        ("ss.", Kind.NEW_PASS, True, 2),
        (".--", Kind.UNPROVED, False, 1),
        (".-", Kind.UNPROVED, True, 1),
        (".s", Kind.UNPROVED, True, 1),
        (".B", Kind.NO_RESULT, True, 1),
        (".-.", Kind.FIXED, True, 2),
        (".F.", Kind.COMES_AND_GOES, True, 1),
        ("oofo", Kind.COMES_AND_GOES, True, 2),
        ("oofoo", Kind.COMES_AND_GOES, False, 2),
        ("f", Kind.COMES_AND_GOES, True, 0),
    ],
)
def test_what_a_night_means(nights: str, kind: Kind, new: bool, since: int) -> None:
    finding = of(nights)
    assert finding is not None
    assert (finding.kind, finding.new) == (kind, new)
    assert finding.since.night == f"night {since}"


@pytest.mark.parametrize("nights", [".", "...", "o", "FF..", "s", "ss", "FF" + 20 * ".", "-.."])
def test_what_is_no_news(nights: str) -> None:
    assert of(nights) is None


def test_a_case_appears_beside_others() -> None:
    assert of(".") is None
    finding = changes.outcome(cells("."), LEVEL, appeared=True)
    assert finding and finding.kind is Kind.APPEARED


def test_a_change_names_the_commits_between() -> None:
    finding = of("...F")
    assert finding and finding.commits == ("commit 2", "commit 3")
    finding = of("..F-F")
    assert finding and finding.commits == ("commit 1", "commit 2")


def test_the_same_kernel_that_passes_again_was_not_fixed() -> None:
    finding = of("FFF.", builds=False)
    assert finding and finding.kind is Kind.COMES_AND_GOES


def test_a_race_that_fails_more_often_is_a_regression() -> None:
    """The issue's own: 1 of 64 seeds last week, 9 of 64 now."""
    finding = of("fm", changes.FALSE_ALARMS["rate"])
    assert finding and (finding.kind, finding.new) == (Kind.MORE_OFTEN, True)
    assert finding.kind.worse
    assert finding.text.startswith(
        "9 of 64 runs fail (7.6 to 24.6 %); before, 1 of 64 runs fail (0."
    )
    week = of("ooofooo" + "m", 1e-4)
    assert week and week.kind is Kind.MORE_OFTEN and week.since.night == "night 7"


def test_a_rate_that_stays_is_no_news() -> None:
    assert of("fofoof") is not None
    assert told("fofooffofoffofo")[1:] == [(1, Kind.COMES_AND_GOES)]


def test_a_rate_is_told_once() -> None:
    assert told("fofoofmm" + "m" * 20)[2:] == [(6, Kind.MORE_OFTEN)]


def test_a_failure_that_was_fixed_is_new_again() -> None:
    assert told("....FFFFF........F") == [
        (4, Kind.NEW_FAILURE), (9, Kind.FIXED), (17, Kind.NEW_FAILURE),
    ]  # fmt: skip


def test_a_rare_failure_is_not_forgotten() -> None:
    """It fails in 1 of 50 runs, and a run is a night."""
    story = told("F" + 49 * "." + "F" + 49 * "." + "F")
    assert story[0] == (0, Kind.NEVER_PASSED)
    assert {kind for _, kind in story[1:]} == {Kind.COMES_AND_GOES}


def test_a_race_that_fails_twice_by_chance_was_not_fixed() -> None:
    """One run a night: two in a row are no long failure, and the next one is no new one."""
    story = told(20 * "." + "FF" + 50 * "." + "F")
    assert [kind for _, kind in story].count(Kind.NEW_FAILURE) == 1


def test_a_race_that_fails_no_more_is_over() -> None:
    story = told("mfmofm" + 40 * "o" + "f")
    assert Kind.FIXED in [kind for _, kind in story]
    assert story[-1] == (46, Kind.NEW_FAILURE)


def test_a_mutant_that_survives() -> None:
    def fate(nights: str) -> Finding | None:
        return changes.mutant(cells(nights))

    finding = fate("..F")
    assert finding and (finding.kind, finding.new) == (Kind.SURVIVES, True)
    assert finding.kind.worse
    assert (standing := fate("..FF")) and not standing.new
    assert (again := fate("..F.")) and again.kind is Kind.FIXED
    assert (never := fate("F")) and never.kind is Kind.NEVER_PASSED
    assert fate("...") is None
    assert (gone := fate("..B")) and gone.kind is Kind.NO_RESULT


# Values


def points(values: Sequence[float], *, builds: bool = True) -> list[Point]:
    return [
        Point(night=f"night {number}", value=value, commit=f"commit {number}",
              build=f"build {number if builds else 0}")
        for number, value in enumerate(values)
    ]  # fmt: skip


def noise(nights: int, percent: float, seed: int = 1) -> list[float]:
    chosen = random.Random(seed)
    return [100 * chosen.gauss(1, percent / 100) for _ in range(nights)]


def test_a_benchmark_that_moves_is_told_once_with_its_first_night() -> None:
    values = [*noise(60, 1), *(1.03 * value for value in noise(20, 1, 2))]
    found = [
        (upto - 1, finding)
        for upto in range(1, len(values) + 1)
        if (finding := changes.bench(points(values[:upto]), 2e-5))
    ]
    ((night, finding),) = found
    assert 60 < night <= 67
    assert abs(int(finding.since.night.split()[1]) - 60) <= 2
    assert " %)" in finding.text and "+" in finding.text


def test_a_benchmark_that_moves_on_the_same_kernel_shows_the_host() -> None:
    values = [*noise(60, 1), *(1.2 * value for value in noise(8, 1, 2))]
    found = [changes.bench(points(values[:upto], builds=False), 2e-5) for upto in range(60, 68)]
    texts = [finding.note for finding in found if finding]
    assert texts and "on the same kernel: the host has changed" in texts[0]


def test_noise_is_no_move() -> None:
    values = noise(200, 5)
    assert not any(changes.bench(points(values[:upto]), 2e-5) for upto in range(1, 201))


def test_seeded_counts_are_exact() -> None:
    def at(*values: float) -> dict[int, Point]:
        return dict(enumerate(points(values), 1))

    finding = changes.exact(at(1000, 2000), {1: points([0, 1001])[1], 2: points([0, 2002])[1]})
    assert finding and finding.text == "1,500 -> 1,502 (+0.1 %)"
    assert changes.exact(at(1000, 2000), at(1000, 2000)) is None
    same = {1: points([5], builds=False)[0]}, {1: points([6], builds=False)[0]}
    again = changes.exact(*same)
    assert again and "on the same kernel: the program, the image or QEMU" in again.note
    assert changes.exact(at(1000, 2000), at(1001, 1999)) is None, "the seeds disagree"
    assert changes.exact(at(1000), {9: points([5])[0]}) is None, "no seed of both"


def test_evidence_that_drifts_to_its_floor() -> None:
    chosen = random.Random(3)
    values = [
        6 * 0.97 ** max(0, night - 60) * chosen.lognormvariate(0, 0.1) for night in range(120)
    ]
    found = [changes.evidence("pswpout", points(values[:upto]), 1e-5) for upto in range(1, 121)]
    first = next(night for night, finding in enumerate(found) if finding)
    assert found[first] and found[first].new  # type: ignore[union-attr]
    assert 60 < first <= 80
    assert values[first] > 2, "long before it is there"
    assert "times its floor and is" in found[first].text  # type: ignore[union-attr]
    assert not any(finding.new for finding in found[first + 1 : first + 20] if finding)


def test_evidence_that_is_far_from_its_floor_may_move() -> None:
    chosen = random.Random(3)
    values = [(900 if night < 60 else 700) * chosen.lognormvariate(0, 0.1) for night in range(90)]
    assert not any(changes.evidence("n", points(values[:upto]), 1e-3) for upto in range(1, 91))
    assert not any(
        changes.evidence("n", points([value + upto for value in noise(upto, 5)]), 1e-3)
        for upto in range(1, 91)
    )
