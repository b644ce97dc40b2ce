# SPDX-License-Identifier: GPL-2.0-only
"""The output of `rig history`: lines with a letter for each night, and what changed."""

import sqlite3
import statistics
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from rig.history import night as nights
from rig.history import queries
from rig.history.changes import Cell
from rig.history.night import Change
from rig.history.queries import Line, Selected, Series
from rig.printable import page

WIDTH = 76
NAMES = 42
"""Columns of a case's name; a longer one moves its letters to the right."""
FEW = 12
"""Up to this many lines have their evidence below them."""
STANDING = 20
"""At most this many lines that failed before, too, are listed."""
LEGEND = (
    ". passed  F failed  f some runs failed  - inconclusive  s skipped  B broken",
    "  (a letter is a night in which it was run, the newest last)",
)
LETTERS = {"": "?", "INCONCLUSIVE": "-", "SKIP": "s", "BROKEN": "B"}


def render(connection: sqlite3.Connection, selected: Selected, name: str, night: str = "") -> str:
    """One case, series, tree, benchmark or mutant; what changed is that of the night."""
    every = queries.nights(connection)
    lines = queries.lines(connection, selected)
    mutants = queries.mutants(connection, selected)
    benches = queries.benches(connection, selected)
    few = len(lines) <= FEW
    evidence = queries.evidence(connection, selected) if few else ()
    found = nights.changed(connection, night, selected)
    out = [f"{name}, nights {every[0]} to {every[-1]}", *LEGEND]
    places = sorted({*map(place_of, lines), *map(place_of, mutants), *map(place_of, benches)})
    for tree, group in groupby(places, lambda place: place[:2]):
        out += ["", f"{tree[0]}{f' of {tree[1]}' * bool(tree[1])}"]
        for place in group:
            out.append(f"  {place[2]}")
            out += _lines(_at(lines, place), _at(evidence, place))
            out += _mutants(_at(mutants, place))
            out += _benches(_at(benches, place))
    if found:
        out += ["", f"What changed in {night or every[-1]}:", *_changes(found)]
    if not few:
        out += ["", "`rig history SUITE/CASE` shows the evidence of a case."]
    return page(out)


def overview(connection: sqlite3.Connection, night: str = "") -> str:
    """What changed in the night; in the newest by default."""
    every = queries.nights(connection)
    (runs,) = connection.execute("SELECT count(*) FROM run").fetchone()
    if not every:
        return page(["The history is empty: no run is stored."])
    (trees,) = connection.execute("SELECT count(*) FROM tree").fetchone()
    found = nights.changed(connection, night)
    new = sum(change.finding.new for change in found)
    news = counted(new, "change") if new else "nothing changed"
    out = [
        f"{night or every[-1]}: {news}, {counted(len(found) - new, 'failure')} as before",
        f"{counted(runs, 'run')} of {counted(trees, 'tree')} in "
        f"{counted(len(every), 'night')}, {every[0]} to {every[-1]}",
        *_changes(found),
    ]
    return page(out)


def counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


Place = tuple[str, str, str]
"""Tree, its source, and setup."""
T = TypeVar("T", Line, Series)


def place_of(one: Line | Series) -> Place:
    return one.tree, one.source, one.setup


def _at(things: Sequence[T], place: Place) -> list[T]:
    return [one for one in things if place_of(one) == place]


def _lines(lines: Iterable[Line], evidence: Sequence[Series]) -> Iterator[str]:
    for line in lines:
        yield _strip(_name(line), line.cells, "passed")
        for series in evidence:
            if series.name == line.name and not line.mutant:
                yield from _counter(series)


def _mutants(lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        yield _strip(f"mutant {line.name}", line.cells, "killed")


def _strip(name: str, cells: Sequence[Cell], verb: str) -> str:
    passed, runs = sum(cell.passed for cell in cells), sum(cell.runs for cell in cells)
    counts = f"{passed:,} of {runs:,} {verb}" if runs else cells[-1].other
    room = WIDTH - 4 - max(NAMES, len(name)) - len(counts) - 3
    letters = "".join(map(_letter, cells[-max(room, 7) :]))
    return f"    {name:{NAMES}} {letters}  {counts}"


def _letter(cell: Cell) -> str:
    if cell.failed:
        return "f" if cell.passed else "F"
    return "." if cell.passed else LETTERS.get(cell.other, "?")


def _counter(series: Series) -> Iterator[str]:
    values = [point.value for point in series.points]
    low, middle = series.lowest, statistics.median(values)
    yield (
        f"      {series.number} {number(values[-1] * series.floor)}, "
        f"{values[-1]:.1f} times its floor {series.floor:,} (median {middle:.1f}, lowest {low:.1f})"
    )


def _benches(benches: Iterable[Series]) -> Iterator[str]:
    for name, group in groupby(benches, lambda series: series.name):
        yield f"    {name}"
        for series in group:
            values = [point.value for point in series.points]
            old = f"; median of {len(values)} nights {number(statistics.median(values))}"
            yield f"      {series.number} {number(values[-1])}{old * (len(values) > 1)}"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def _changes(found: Sequence[Change]) -> Iterator[str]:
    """New ones with all there is to say, the others in a line each."""
    new = [change for change in found if change.finding.new]
    for kind, group in groupby(new, lambda change: change.finding.kind):
        yield ""
        yield f"{kind}"
        for change in group:
            yield from _change(change)
    old = [change for change in found if not change.finding.new]
    for kind, group in groupby(old, lambda change: change.finding.kind):
        members = list(group)
        yield ""
        yield f"{kind}, as before"
        for change in members[:STANDING]:
            where = f"{change.tree}, {change.setup}, since {change.finding.since.night}"
            yield f"  {_name(change)}"
            yield from _folded(where)
        if len(members) > STANDING:
            yield f"  [{len(members) - STANDING} more]"


def _change(change: Change) -> Iterator[str]:
    finding = change.finding
    yield f"  {_name(change)}"
    yield from _folded(f"{change.tree}, {change.setup}, since {finding.since.night}")
    if finding.text:
        yield from _folded(finding.text)
    old, new = finding.commits
    if old and new and old != new:
        yield f"      commits {old[:12]}..{new[:12]}"
    if finding.since.path:
        yield f"      {'/'.join(finding.since.path.split('/')[:2])}"


def _name(of: Line | Change) -> str:
    """The mutant `none` is the kernel that has all mutants, and none of them is on."""
    return f"{of.name}{' (instrumented)' * bool(of.mutant)}"


def _folded(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
