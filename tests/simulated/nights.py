#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Nights of a matrix in which nothing changes, and of lines in which something does. No kernels, no
guests. See docs/history.md.

python tests/simulated/nights.py --nights 200 --trials 40

Quiet nights: every change that is told is a false alarm. Planted changes: how many nights pass
until each is told, with as many other lines beside it as in the quiet nights.
"""

import argparse
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from rig.history import changes, night
from rig.history.changes import FALSE_ALARMS, Cell, Kind, Point
from rig.history.queries import Line, Series

WARM = 60
"""Nights before the counted ones: a matrix that is new has nothing to compare with."""
PLACES = tuple((tree, "", f"{arch} tcg live") for tree in ("a", "b") for arch in ("x86", "arm"))
NEWS = frozenset(Kind) - {Kind.COMES_AND_GOES}
"""A case that came and went yesterday and does today is not told as a change."""
Noise = Callable[[random.Random], float]


def normal(percent: float) -> Noise:
    return lambda chosen: chosen.gauss(1, percent / 100)


def heavy(percent: float) -> Noise:
    """Of Student's t with 3 degrees of freedom: one night in 100 is 6 % off at 1 %."""

    def draw(chosen: random.Random) -> float:
        square = sum(chosen.gauss(0, 1) ** 2 for _ in range(3)) / 3
        return 1 + percent / 100 * chosen.gauss(0, 1) / square**0.5

    return draw


def spread(percent: float) -> Noise:
    """A counter of a live guest: it varies by factors, and by larger ones in one night in 20."""

    def draw(chosen: random.Random) -> float:
        return chosen.lognormvariate(0, percent / 100 * (4 if chosen.random() < 0.05 else 1))

    return draw


def correlated(noise: Noise, share: float) -> Callable[[], Noise]:
    """A machine that stays slow for some nights; a function that makes such a machine."""

    def machine() -> Noise:
        last = 0.0

        def draw(chosen: random.Random) -> float:
            nonlocal last
            last = share * last + (1 - share**2) ** 0.5 * (noise(chosen) - 1)
            return 1 + last

        return draw

    return machine


def name(number: int) -> str:
    return f"{number:04}"


def cell(number: int, failed: int, runs: int) -> Cell:
    return Cell(night=name(number), passed=runs - failed, failed=failed, commit=f"{number}",
                build=f"{number}", reason="lost")  # fmt: skip


def point(number: int, value: float) -> Point:
    return Point(night=name(number), value=value, commit=f"{number}", build=f"{number}")


class Matrix:
    """Two trees on two architectures: all that a night has, and nothing that changes."""

    def __init__(self, seed: int, share: float = 0.0) -> None:
        self.random = random.Random(seed)
        self.cells: dict[tuple[int, str], list[Cell]] = {}
        self.rates = {
            (place, f"{kind}/{case}"): rate
            for place in range(len(PLACES))
            for kind, count, rate in (
                ("solid", 30, (1, 0.0)), ("seeds-64", 1, (64, 0.02)), ("seeds-8", 1, (8, 0.02)),
                ("live", 1, (1, 0.05)),
            )
            for case in range(count)
        }  # fmt: skip
        self.counters: dict[tuple[int, str], tuple[float, Noise, list[Point]]] = {
            (place, f"case/{number}"): (self.random.uniform(1.5, 50), spread(20), [])
            for place in range(len(PLACES))
            for number in range(60)
        }
        machines = [correlated(noise, share) for noise in (normal(1), heavy(1), normal(3))]
        self.benches: dict[tuple[int, str], tuple[Noise, list[Point]]] = {
            (place, f"bench-{number}"): (machines[number % 3](), [])
            for place in range(len(PLACES))
            for number in range(15)
        }

    def night(self, number: int) -> tuple[night.Change, ...]:
        chosen = self.random
        for key, (runs, rate) in self.rates.items():
            failed = sum(chosen.random() < rate for _ in range(runs)) if rate else 0
            if rate and number == 1:
                failed = max(failed, 1)  # the first failure of a case is new, and no false alarm
            self.cells.setdefault(key, []).append(cell(number, failed, runs))
        for least, noise, points in self.counters.values():
            points.append(point(number, max(1.0, least * noise(chosen))))
        for noise, points in self.benches.values():
            points.append(point(number, noise(chosen)))
        return night.judged(
            name(number),
            [line(key, cells) for key, cells in self.cells.items()],
            (),
            [series(key, points) for key, (_, _, points) in self.counters.items()],
            [series(key, points) for key, (_, points) in self.benches.items()],
        )

    @property
    def levels(self) -> dict[str, float]:
        """What one line has of each chance of a false alarm."""
        waver = sum(rate > 0 for _, rate in self.rates.values()) + 1
        counts = {"rate": waver, "evidence": len(self.counters), "bench": len(self.benches)}
        return {kind: FALSE_ALARMS[kind] / count for kind, count in counts.items()}


def line(key: tuple[int, str], cells: Sequence[Cell]) -> Line:
    tree, source, setup = PLACES[key[0]]
    return Line(tree=tree, source=source, setup=setup, name=key[1], cells=tuple(cells))


def series(key: tuple[int, str], points: Sequence[Point]) -> Series:
    tree, source, setup = PLACES[key[0]]
    return Series(tree=tree, source=source, setup=setup, name=key[1], number="n",
                  points=tuple(points[-night.LOOK_BACK :]))  # fmt: skip


def quiet(nights: int, seed: int, share: float = 0.0) -> Counter[Kind]:
    """What is told in nights in which nothing changes."""
    matrix = Matrix(seed, share)
    told: Counter[Kind] = Counter()
    for number in range(WARM + nights):
        found = matrix.night(number)
        if number >= WARM:
            news = [change.finding for change in found if change.finding.new]
            told.update(finding.kind for finding in news if finding.kind in NEWS)
    return told


# Planted changes: nights until it is told, or None


def failing(
    before: float, after: float, runs: int
) -> Callable[[int, dict[str, float]], int | None]:
    def plant(seed: int, levels: dict[str, float]) -> int | None:
        chosen, cells = random.Random(seed), list[Cell]()
        for number in range(WARM + 120):
            rate = after if number >= WARM else before
            failed = sum(chosen.random() < rate for _ in range(runs))
            cells.append(cell(number, failed, runs))
            if number < WARM:
                continue
            found = changes.outcome(cells, levels["rate"])
            if found and found.kind.worse and found.new:
                return number - WARM
        return None

    return plant


def drifting(percent: float, start: float) -> Callable[[int, dict[str, float]], int | None]:
    """A counter at `start` times its floor falls by so many percent each night."""

    def plant(seed: int, levels: dict[str, float]) -> int | None:
        chosen, points, noise = random.Random(seed), list[Point](), spread(20)
        for number in range(WARM + 200):
            value = start * (1 - percent / 100) ** max(0, number - WARM)
            points.append(point(number, value * noise(chosen)))
            if value < 1:
                return None
            recent = points[-night.LOOK_BACK :]
            if number >= WARM and changes.evidence("n", recent, levels["evidence"]):
                return number - WARM
        return None

    return plant


def moving(percent: float, noise: Noise) -> Callable[[int, dict[str, float]], int | None]:
    def plant(seed: int, levels: dict[str, float]) -> int | None:
        chosen, points = random.Random(seed), list[Point]()
        for number in range(WARM + 60):
            value = noise(chosen) * (1 + percent / 100 * (number >= WARM))
            points.append(point(number, value))
            if number >= WARM and changes.bench(points[-night.LOOK_BACK :], levels["bench"]):
                return number - WARM
        return None

    return plant


PLANTED = {
    "a failure in every run": (failing(0, 1, 1), 0),
    "0 % -> 15 %, 64 seeds a night": (failing(0, 0.15, 64), 0),
    "2 % -> 15 %, 64 seeds a night": (failing(0.02, 0.15, 64), 3),
    "2 % -> 15 %, 8 seeds a night": (failing(0.02, 0.15, 8), 30),
    "evidence of 8 floors, 3 % a night": (drifting(3, 8), 35),
    "evidence of 4 floors, 1 % a night": (drifting(1, 4), 90),
    "a benchmark by 3 %, noise 1 %": (moving(3, normal(1)), 14),
    "a benchmark by 3 %, heavy noise 1 %": (moving(3, heavy(1)), 30),
    "a benchmark by 10 %, noise 3 %": (moving(10, normal(3)), 14),
}
"""What changes, and the promise: in so many nights it is told (docs/history.md)."""


def planted(trials: int, seed: int) -> Iterator[tuple[str, int, list[int | None]]]:
    levels = Matrix(seed).levels
    for title, (plant, promise) in PLANTED.items():
        yield title, promise, [plant(seed * 1000 + trial, levels) for trial in range(trials)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=200)
    parser.add_argument("--worlds", type=int, default=1, help="as many times so many nights")
    parser.add_argument("--trials", type=int, default=40, help="of each planted change")
    parser.add_argument("--correlated", type=float, default=0.0, help="of a night's noise")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for title, promise, delays in planted(given.trials, given.seed):
        told = sorted(delay for delay in delays if delay is not None)
        middle = statistics.median(told) if told else "-"
        late = sum(delay is None or delay > promise for delay in delays)
        sys.stdout.write(
            f"{title:36} told {len(told)} of {len(delays)}, median {middle}, "
            f"last {told[-1] if told else '-'}, promised {promise}, late {late}\n"
        )
    for number in range(given.worlds):
        found = quiet(given.nights, given.seed + number, given.correlated)
        alarms = f"{sum(found.values())} false alarms {dict(found)}"
        sys.stdout.write(f"{given.nights} quiet nights: {alarms}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
