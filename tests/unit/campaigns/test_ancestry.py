# SPDX-License-Identifier: GPL-2.0-only
import random

import pytest

from rig.campaigns.ancestry import GOOD, Ancestry, bits_of, linear


def slowly(parents: list[tuple[int, ...]], commit: int) -> set[int]:
    """The ancestors, by walking."""
    found, waiting = set[int](), [commit]
    while waiting:
        if (next_ := waiting.pop()) not in found:
            found.add(next_)
            waiting += parents[next_]
    return found


def merged(size: int, chance: random.Random) -> list[tuple[int, ...]]:
    """Branches and merges at random."""
    parents: list[tuple[int, ...]] = []
    for commit in range(size):
        if not commit or chance.random() < 0.05:
            parents.append(())
        elif chance.random() < 0.6:
            parents.append((commit - 1,))
        else:
            parents.append(tuple(chance.randrange(commit) for _ in range(chance.randrange(1, 4))))
    return parents


def test_ancestors_of_a_linear_history() -> None:
    ancestry = linear(5)
    assert len(ancestry) == 5
    assert [ancestry.of(commit) for commit in range(5)] == [1, 3, 7, 15, 31]
    assert ancestry.of(GOOD) == 0


@pytest.mark.parametrize("seed", range(20))
def test_ancestors_are_those_that_a_walk_finds(seed: int) -> None:
    chance = random.Random(seed)
    parents = merged(60, chance)
    ancestry = Ancestry(parents)
    for commit in range(60):
        assert ancestry.of(commit) == bits_of(sorted(slowly(parents, commit)))


@pytest.mark.parametrize("seed", range(20))
def test_sums_over_ancestors(seed: int) -> None:
    chance = random.Random(seed)
    parents = merged(60, chance)
    group = [commit for commit in range(60) if chance.random() < 0.4]
    rest = [commit for commit in range(60) if commit not in group]
    own = [3.0 if commit in group else 1.0 for commit in range(60)]
    sums = Ancestry(parents).sums(own, [(bits_of(group), 3.0), (bits_of(rest), 1.0)])
    expected = [sum(own[above] for above in slowly(parents, commit)) for commit in range(60)]
    assert sums == pytest.approx(expected)


def test_a_commit_before_its_parents_is_refused() -> None:
    with pytest.raises(ValueError, match="commit 0 comes before its parents"):
        Ancestry([(1,), ()])


def test_a_range_of_ten_releases_fits_into_memory() -> None:
    """100,000 commits, of which each tenth is a merge of a branch of five."""
    parents: list[tuple[int, ...]] = [()]
    for commit in range(1, 20_000):
        parents.append((commit - 1, max(0, commit - 12)) if not commit % 10 else (commit - 1,))
    ancestry = Ancestry(parents)
    assert ancestry.of(19_999).bit_count() == 20_000
