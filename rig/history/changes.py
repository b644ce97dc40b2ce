# SPDX-License-Identifier: GPL-2.0-only
"""What changed: of a line of cells, one for each night, what its last night means.

A failure that was not there before is a fact, and is told the first night. Everything that needs
statistics (a rate, a counter, a benchmark) shares a chance of FALSE_ALARMS in a night with all
others of its kind, so that a night in which nothing changed is quiet.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rig.history import chance
from rig.history.chance import Moved

FALSE_ALARMS = {"rate": 0.005, "evidence": 0.0005, "bench": 0.001}
"""Accepted chance of one in a night, over all lines: one in 200 nights at most, all together."""
OVER, OVER_SOLID = 1e-4, 1e-3
"""A failure is over once so many runs have passed that they pass by chance this seldom: the second
is for one of which three or more runs have failed and none has passed."""
RECENT = 30
"""Nights whose rate is told, and whose slope is followed."""
NEAR = 2.0
"""A counter below so many times its floor is near to it."""
SOON = 60.0
"""Nights: a counter that falls on and reaches its floor in this time drifts to it."""


class Kind(StrEnum):
    """In the order of a report."""

    NEW_FAILURE = "new failure"
    MORE_OFTEN = "fails more often"
    SURVIVES = "mutant no longer killed"
    UNPROVED = "no longer proved"
    DRIFTS = "evidence drifts to its floor"
    NO_RESULT = "no result"
    BENCH = "benchmark moved"
    DISAPPEARED = "disappeared"
    FIXED = "fixed"
    LESS_OFTEN = "fails less often"
    NEW_PASS = "new pass"
    APPEARED = "appeared"
    STILL_FAILING = "still failing"
    NEVER_PASSED = "never passed"
    COMES_AND_GOES = "comes and goes"

    @property
    def worse(self) -> bool:
        """It is a regression, if it is new."""
        return self in (Kind.NEW_FAILURE, Kind.MORE_OFTEN, Kind.SURVIVES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A line in one night."""

    night: str
    passed: int = 0
    failed: int = 0
    other: str = ""
    """INCONCLUSIVE, SKIP or BROKEN, if a run was that."""
    reason: str = ""
    """Of the last run that did not pass."""
    commit: str = ""
    build: str = ""
    path: str = ""
    """The directory of the last run that shows the worst outcome."""

    @property
    def decided(self) -> bool:
        return bool(self.passed or self.failed)

    @property
    def runs(self) -> int:
        return self.passed + self.failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A value in one night, of all its runs."""

    night: str
    value: float
    commit: str = ""
    build: str = ""
    path: str = ""


Place = Cell | Point


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    kind: Kind
    new: bool
    """The last night is the first that shows it."""
    since: Place
    """The first night to which it applies."""
    before: Place | None
    """The last night before."""
    text: str
    note: str = ""
    """A remark that holds for all metrics of a benchmark that moved."""
    size: float = 0
    """Of a benchmark: the factor by which it moved, as a logarithm."""

    @property
    def commits(self) -> tuple[str, str]:
        """The change of the kernel that it came with: after the first, up to the second."""
        return (self.before.commit if self.before else ""), self.since.commit


# Cases


def outcome(cells: Sequence[Cell], level: float, *, appeared: bool = False) -> Finding | None:
    """What the last night of a case means; None if it passes and has passed before.

    `level`: the accepted chance of a false alarm for this line. `appeared`: other cases of its
    suite were run in earlier nights.
    """
    now, decided = cells[-1], [cell for cell in cells if cell.decided]
    if not now.decided:
        return _undecided(cells)
    decided = [*since_over(decided[:-1]), now]
    if not any(cell.failed for cell in decided):
        return _passing(cells, appeared=appeared)
    failing = _tail(decided, lambda cell: bool(cell.failed and not cell.passed))
    older = decided[: len(decided) - len(failing)]
    if not any(cell.passed for cell in decided):
        text = f"{_of(failing)} failed: {now.reason}"
        return _found(Kind.NEVER_PASSED, decided, 0, text, new=len(cells) == 1)
    if failing and not any(cell.failed for cell in older):
        new = len(failing) == 1
        kind = Kind.NEW_FAILURE if new else Kind.STILL_FAILING
        return _found(kind, decided, len(older), now.reason, new=new)
    if now.failed and len(decided) > 1 and not any(cell.failed for cell in decided[:-1]):
        text = f"{now.failed} of {now.runs} runs failed: {now.reason}"
        return _found(Kind.NEW_FAILURE, decided, len(decided) - 1, text, new=True)
    return _sometimes(decided, level)


def since_over(decided: Sequence[Cell]) -> Sequence[Cell]:
    """The nights after the last failure that is over: what fails then is a new failure."""
    start = failed = runs = quiet = pending = 0
    for place, cell in enumerate(decided):
        if cell.failed:
            # Runs from the first failure to this one; those before it do not count.
            runs += (quiet if failed else 0) + cell.runs
            failed, quiet, pending = failed + cell.failed, 0, place + 1
        else:
            quiet += cell.runs
            over = OVER_SOLID if failed == runs > 2 else OVER
            if failed and chance.none_of(quiet, failed, runs) <= over:
                start, failed, runs = pending, 0, 0
    return decided[start:]


def wavers(cells: Sequence[Cell]) -> bool:
    """Whether the rate of failures of this line can move: it has failed, and it has passed."""
    decided = since_over([cell for cell in cells if cell.decided])
    failed = any(cell.failed for cell in decided[-chance.REFERENCE :])
    return failed and any(cell.passed for cell in decided)


def _sometimes(decided: Sequence[Cell], level: float) -> Finding | None:
    """Of a case that has failed and has passed."""
    last = len(decided) - 1
    first = next(place for place, cell in enumerate(decided) if cell.failed)
    only = next(place for place in range(first, last + 1) if decided[place].passed)
    rest = _tail(decided, lambda cell: not cell.failed)
    if len(rest) == last + 1 - only and _is_fix(decided[first : only + 1]):
        text = f"failed in {_of(decided[first:only])} since {decided[first].night}"
        return _found(Kind.FIXED, decided, only, text, new=True) if only == last else None
    if not any(cell.failed for cell in since_over(decided)):
        text = f"{_of(rest)} passed; before, {_rates(decided[first : last + 1 - len(rest)])}"
        return _found(Kind.FIXED, decided, last + 1 - len(rest), text, new=True)
    if moved := _rate(decided, level):
        new, old = decided[moved.first :], decided[: moved.first]
        kind = Kind.MORE_OFTEN if moved.up else Kind.LESS_OFTEN
        told = any(
            earlier is not None and earlier.up == moved.up
            for upto in range(moved.first + 1, len(decided))
            if (earlier := _rate(decided[:upto], level))
        )
        if moved.up or not told:
            text = f"{_rates(new)}; before, {_rates(old[-chance.REFERENCE :])}"
            return _found(kind, decided, moved.first, text, new=not told)
    # Until now it only failed; or it did both in its first night; or it had not for long.
    again = decided[last].failed and not any(cell.failed for cell in decided[-RECENT - 1 : -1])
    fresh = only == last or first == last - 1 or bool(again)
    return _found(Kind.COMES_AND_GOES, decided, first, _rates(decided[-RECENT:]), new=fresh)


def _is_fix(cells: Sequence[Cell]) -> bool:
    """Of nights that failed and one that passes. One failed run, or the same kernel, may be
    chance."""
    return sum(cell.failed for cell in cells) > 1 and cells[-2].build != cells[-1].build


def _rate(decided: Sequence[Cell], level: float) -> Moved | None:
    return chance.rate_moved(
        [cell.failed for cell in decided], [cell.runs for cell in decided], level
    )


def _undecided(cells: Sequence[Cell]) -> Finding | None:
    """The last night says neither PASS nor FAIL."""
    now = cells[-1]
    tail = _tail(cells, lambda cell: not cell.decided)
    place = len(cells) - len(tail)
    text = f"{now.other}: {now.reason}"
    if place:
        kind = Kind.NO_RESULT if now.other == "BROKEN" else Kind.UNPROVED
        return _found(kind, cells, place, text, new=len(tail) == 1)
    if now.other == "SKIP":
        return None
    return _found(Kind.NEVER_PASSED, cells, 0, text, new=len(cells) == 1)


def _passing(cells: Sequence[Cell], *, appeared: bool) -> Finding | None:
    """The last night passes, and no run has ever failed."""
    last = len(cells) - 1
    if not last:
        return _found(Kind.APPEARED, cells, 0, "", new=True) if appeared else None
    if cells[-2].decided:
        return None
    if not any(cell.decided for cell in cells[:-1]):
        return _found(Kind.NEW_PASS, cells, last, f"was {cells[-2].other}", new=True)
    undecided = _tail(cells[:-1], lambda cell: not cell.decided)
    text = f"was {undecided[-1].other} since {undecided[0].night}"
    return _found(Kind.FIXED, cells, last, text, new=True)


def _tail(cells: Sequence[Cell], holds: Callable[[Cell], bool]) -> Sequence[Cell]:
    """The last cells, as many as this holds for."""
    first = len(cells)
    while first and holds(cells[first - 1]):
        first -= 1
    return cells[first:]


def _found(kind: Kind, places: Sequence[Place], first: int, text: str, *, new: bool) -> Finding:
    before = places[first - 1] if first else None
    return Finding(kind=kind, new=new, since=places[first], before=before, text=text)


def _of(cells: Sequence[Cell]) -> str:
    runs = sum(cell.runs for cell in cells)
    return f"{runs} run{'s' * (runs != 1)}"


def _rates(cells: Sequence[Cell]) -> str:
    """`9 of 64 runs fail (7.6 to 24.7 %)`."""
    failed, runs = sum(cell.failed for cell in cells), sum(cell.runs for cell in cells)
    low, high = chance.interval(failed, runs)
    return f"{failed:,} of {runs:,} runs fail ({100 * low:.1f} to {100 * high:.1f} %)"


def mutant(cells: Sequence[Cell]) -> Finding | None:
    """A mutant: a night has `passed` if it was killed, and `failed` if it survived."""
    now, decided = cells[-1], [cell for cell in cells if cell.decided]
    if not now.decided:
        return _undecided(cells) if decided else None
    alive = _tail(decided, lambda cell: bool(cell.failed))
    place = len(decided) - len(alive)
    if alive:
        kind = Kind.SURVIVES if place else Kind.NEVER_PASSED
        return _found(kind, decided, place, now.reason or "survives", new=len(alive) == 1)
    if len(decided) > 1 and decided[-2].failed:
        return _found(Kind.FIXED, decided, len(decided) - 1, "killed again", new=True)
    return None


# Values


def evidence(counter: str, points: Sequence[Point], level: float) -> Finding | None:
    """A counter, as a multiple of its floor: does it fall so that it will reach the floor?"""

    def drifts(upto: int) -> tuple[Moved, float] | None:
        values = [point.value for point in points[:upto]]
        moved = chance.value_moved(values, level, only_down=True)
        if moved is None:
            return None
        logs = [math.log(max(value, 1e-3)) for value in values[-RECENT:]]
        now, fall = statistics.median(logs[-5:]), -chance.slope(logs)
        left = now / fall if fall > 0 else math.inf
        return (moved, left) if now < math.log(NEAR) or left <= SOON else None

    if (found := drifts(len(points))) is None:
        return None
    moved, left = found
    now = statistics.median(point.value for point in points[-5:])
    then = statistics.median(point.value for point in points[: moved.first][-RECENT:])
    when = f"; it reaches its floor in about {max(1, round(left))} nights" if left < SOON else ""
    text = f"{counter} was {then:.1f} times its floor and is {now:.1f}{when}"
    told = any(drifts(upto) for upto in range(max(1, len(points) - RECENT), len(points)))
    return _found(Kind.DRIFTS, points, moved.first, text, new=not told)


def bench(points: Sequence[Point], level: float) -> Finding | None:
    """A metric in the live schedule; only the night in which a move becomes sure is a change."""
    values = [point.value for point in points]
    if (moved := chance.value_moved(values, level)) is None:
        return None
    for upto in range(moved.first + 1, len(points)):
        earlier = chance.value_moved(values[:upto], level)
        if earlier and earlier.up == moved.up:
            return None
    old = statistics.median(values[: moved.first][-chance.REFERENCE :])
    new = statistics.median(values[moved.first :])
    before, since = points[moved.first - 1], points[moved.first]
    return _moved(before, since, old, new, "the host has changed")


def exact(old: dict[int, Point], new: dict[int, Point]) -> Finding | None:
    """A metric in the seeded schedule, seed -> its value: any move is real.

    As in `rig bench`, the seeds must agree: a change that some seeds show in the other direction is
    another interleaving, and no move.
    """
    seeds = sorted(old.keys() & new.keys())
    changes = [new[seed].value - old[seed].value for seed in seeds]
    if not changes or min(changes) <= 0 <= max(changes):
        return None
    before = sum(old[seed].value for seed in seeds) / len(seeds)
    after = sum(new[seed].value for seed in seeds) / len(seeds)
    cause = "the program, the image or QEMU has changed"
    return _moved(old[seeds[0]], new[seeds[0]], before, after, cause)


def _moved(before: Point, since: Point, old: float, new: float, cause: str) -> Finding:
    """`cause` is that of a move on the same kernel."""
    same = bool(since.build) and before.build == since.build
    return Finding(
        kind=Kind.BENCH, new=True, since=since, before=before, text=step(old, new),
        note=f"on the same kernel: {cause}" if same else "",
        size=abs(math.log(new / old)) if old > 0 and new > 0 else math.inf,
    )  # fmt: skip


def step(old: float, new: float) -> str:
    percent = f" ({100 * (new - old) / abs(old):+.1f} %)" if old else ""
    return f"{_number(old)} -> {_number(new)}{percent}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
