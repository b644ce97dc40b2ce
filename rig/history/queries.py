# SPDX-License-Identifier: GPL-2.0-only
"""Reads history: the lines that a name selects, with a cell for each of their nights."""

import math
import sqlite3
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from rig.errors import ConfigError, unknown
from rig.history.changes import Cell, Point

WORST = ("FAIL", "BROKEN", "INCONCLUSIVE", "SKIP", "PASS")
CLEAN = ("", "none")
"""Mutants of a line whose failures are the kernel's: none, and the instrumented kernel's none."""
FALL = 0.1
"""Of the logarithm: a counter that has fallen by less than 10 % drifts nowhere."""
Rows = Iterable[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What has a result each night: a case, or a mutant, on a tree and a setup."""

    tree: str
    source: str
    setup: str
    name: str
    """suite/case, or the name of a mutant."""
    mutant: str = ""
    """The mutant that the kernel had while the case ran."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A number of each night: a counter of a case as a multiple of its floor, or a metric."""

    tree: str
    source: str
    setup: str
    name: str
    """suite/case, or the benchmark."""
    number: str
    """The counter, or the metric."""
    points: tuple[Point, ...]
    seeded: bool = False
    by_seed: tuple[tuple[str, dict[int, Point]], ...] = ()
    """Night, and its values by seed; of a benchmark."""
    floor: int = 0
    lowest: float = 0
    """Of all runs; floor and lowest are of evidence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selected:
    """What a name on the command line stands for; no condition for no name."""

    lines: str = "1"
    benches: str = "1"
    mutants: str = "1"
    values: tuple[str, ...] = ()
    """For the ? of each condition."""


def nights(connection: sqlite3.Connection) -> tuple[str, ...]:
    return tuple(name for (name,) in connection.execute("SELECT name FROM night ORDER BY name"))


def check_night(connection: sqlite3.Connection, night: str) -> None:
    """Raise ConfigError for a night that is not in the history."""
    every = nights(connection)
    if night and night not in every:
        raise unknown("night in the history", night, every, hint="the history is empty")


def select(connection: sqlite3.Connection, name: str) -> Selected:
    """Lines of a case, a suite, a series, a revision, a tree, a benchmark or a mutant.

    Raises ConfigError, with similar names, for what is not in the history.
    """
    if not name:
        return Selected()
    names: dict[str, Selected] = {}

    def offer(query: str, selected: Selected) -> None:
        for row in connection.execute(query):
            for word in filter(None, row):
                names.setdefault(word, replace(selected, values=(word,)))

    case = "? IN (suite || '/' || line.name, line.name, suite)"
    tree = "? IN (tree.label, tree.base, tree.series, tree.source)"
    series = "substr(tree.series, 1, instr(tree.series || '@', '@') - 1) = ?"
    offer("SELECT DISTINCT suite || '/' || name, name, suite FROM line",
          Selected(lines=case, benches="0", mutants="0"))  # fmt: skip
    offer("SELECT label, base, series, source FROM tree",
          Selected(lines=tree, benches=tree, mutants=tree))  # fmt: skip
    offer("SELECT substr(series, 1, instr(series || '@', '@') - 1) FROM tree",
          Selected(lines=series, benches=series, mutants=series))  # fmt: skip
    offer("SELECT DISTINCT bench FROM measured",
          Selected(lines="0", benches="bench = ?", mutants="0"))  # fmt: skip
    offer("SELECT DISTINCT mutant FROM fate",
          Selected(lines="0", benches="0", mutants="fate.mutant = ?"))  # fmt: skip
    if not names:
        raise ConfigError("the history is empty", hint="rig run v6.12 makes a first run")
    if name not in names:
        raise unknown("case, series, tree, benchmark or mutant in the history", name, names)
    return names[name]


def lines(
    connection: sqlite3.Connection, selected: Selected, upto: str = "9", *, recent: str = ""
) -> tuple[Line, ...]:
    """Cases, oldest night first, until the night `upto`.

    `recent`: lines that have always passed begin with this night. Nothing older of them is needed
    to say what changed, and they are nearly all there is.
    """
    rows = connection.execute(
        "SELECT tree.label, source, setup.label, suite || '/' || line.name, line.mutant,"
        " night.name, tally.outcome, runs, git_commit, build, path,"
        " CASE tally.outcome WHEN 'PASS' THEN '' ELSE (SELECT reason FROM result"
        " WHERE result.line = tally.line AND result.run = tally.run LIMIT 1) END"
        " FROM tally JOIN line ON line.id = tally.line JOIN night ON night.id = tally.night"
        " JOIN tree ON tree.id = line.tree JOIN setup ON setup.id = line.setup"
        " JOIN run ON run.id = tally.run"
        f" WHERE ({selected.lines}) AND line.mutant IN {CLEAN} AND night.name <= ?"
        " AND (night.name >= ?"
        " OR line.id IN (SELECT line FROM tally AS bad WHERE bad.outcome != 'PASS'))"
        " ORDER BY 1, 2, 3, 4, 5, 6",
        (*selected.values[: selected.lines.count("?")], upto, recent),
    )
    return tuple(
        Line(tree=tree, source=source, setup=setup, name=name, mutant=mutant,
             cells=_cells(row[5:] for row in group))
        for (tree, source, setup, name, mutant), group in groupby(rows, lambda row: row[:5])
    )  # fmt: skip


def mutants(
    connection: sqlite3.Connection, selected: Selected, upto: str = "9"
) -> tuple[Line, ...]:
    """The mutants of `rig mutate`: PASS stands for killed, FAIL for one that survives."""
    rows = connection.execute(
        "SELECT tree.label, source, setup.label, fate.mutant, night.name,"
        " CASE fate WHEN 'KILLED' THEN 'PASS' WHEN 'SURVIVED' THEN 'FAIL' ELSE fate END,"
        " count(*), '', '', max(path), max(reason)"
        " FROM fate JOIN night ON night.id = fate.night JOIN tree ON tree.id = fate.tree"
        " JOIN setup ON setup.id = fate.setup"
        f" WHERE ({selected.mutants}) AND night.name <= ?"
        " AND fate NOT IN ('EQUIVALENT', 'NOT APPLICABLE')"
        " GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5",
        (*selected.values[: selected.mutants.count("?")], upto),
    )
    return tuple(
        Line(tree=tree, source=source, setup=setup, name=name,
             cells=_cells(row[4:] for row in group))
        for (tree, source, setup, name), group in groupby(rows, lambda row: row[:4])
    )  # fmt: skip


def _cells(rows: Rows) -> tuple[Cell, ...]:
    """Of rows (night, outcome, runs, commit, build, path, reason)."""
    return tuple(
        _cell(night, list(group)) for night, group in groupby(rows, lambda row: str(row[0]))
    )


def _cell(night: str, rows: list[tuple[Any, ...]]) -> Cell:
    counts = {outcome: runs for _, outcome, runs, *_ in rows}
    worst = min(rows, key=lambda row: WORST.index(row[1]) if row[1] in WORST else 1)
    _, outcome, _, commit, build, path, reason = worst
    return Cell(
        night=night, passed=counts.get("PASS", 0), failed=counts.get("FAIL", 0),
        other="" if outcome in ("PASS", "FAIL") else outcome, reason=reason or "",
        commit=commit, build=build, path=path,
    )  # fmt: skip


def margins(connection: sqlite3.Connection, night: str) -> int:
    """The number of counters that have a floor, in one night."""
    query = "SELECT count(*) FROM margin WHERE night = (SELECT id FROM night WHERE name = ?)"
    return int(connection.execute(query, (night,)).fetchone()[0])


def falling(
    connection: sqlite3.Connection, recent: Sequence[str], before: Sequence[str]
) -> tuple[tuple[int, int], ...]:
    """Line and counter of those whose mean over the recent nights is lower than over the others."""

    def means(names: Sequence[str]) -> dict[tuple[int, int], float]:
        marks = ", ".join("?" * len(names))
        rows = connection.execute(
            "SELECT line, name, avg(logs / runs) FROM margin"
            f" WHERE night IN (SELECT id FROM night WHERE name IN ({marks})) GROUP BY 1, 2",
            tuple(names),
        )
        return {(line, counter): mean for line, counter, mean in rows}

    old = means(before)
    return tuple(key for key, mean in means(recent).items() if mean < old.get(key, mean) - FALL)


def evidence(
    connection: sqlite3.Connection,
    selected: Selected,
    since: str = "",
    upto: str = "9",
    *,
    only: Sequence[tuple[int, int]] | None = None,
) -> tuple[Series, ...]:
    """The counters that have a floor, as multiples of it: of each night the geometric mean.

    `only`: these lines and counters.
    """  # fmt: skip
    if only is not None and not only:
        return ()
    pairs = ", ".join(f"({line:d}, {counter:d})" for line, counter in only or ())
    chosen = f"(VALUES {pairs}) AS fall CROSS JOIN" if only else ""
    on = "AND margin.line = fall.column1 AND margin.name = fall.column2" if only else ""
    rows = connection.execute(
        "SELECT tree.label, source, setup.label, suite || '/' || line.name, counter_name.name,"
        " night.name, git_commit, build, path, logs / runs, lowest, floor"
        f" FROM {chosen} margin JOIN line ON line.id = margin.line"
        " JOIN tree ON tree.id = line.tree JOIN setup ON setup.id = line.setup"
        " JOIN run ON run.id = margin.run JOIN night ON night.id = margin.night"
        " JOIN counter_name ON counter_name.id = margin.name"
        f" WHERE ({selected.lines}) {on} AND line.mutant IN {CLEAN}"
        " AND night.name BETWEEN ? AND ? ORDER BY margin.line, margin.name, night.name",
        (*selected.values[: selected.lines.count("?")], since, upto),
    )
    found = []
    for (tree, source, setup, name, counter), group in groupby(rows, lambda row: row[:5]):
        nights = list(group)
        points = tuple(
            Point(night=night, value=math.exp(log), commit=commit, build=build, path=path)
            for *_, night, commit, build, path, log, _, _ in nights
        )
        found.append(
            Series(
                tree=tree, source=source, setup=setup, name=name, number=counter, points=points,
                floor=nights[-1][11], lowest=min(row[10] for row in nights),
            )
        )  # fmt: skip
    return tuple(found)


def benches(
    connection: sqlite3.Connection, selected: Selected, since: str = "", upto: str = "9"
) -> tuple[Series, ...]:
    """The metrics of benchmarks, without times that are an emulator's."""
    rows = connection.execute(
        "SELECT tree.label, source, setup.label, bench, metric,"
        " night.name, git_commit, build, path, seed, value, schedule = 'seeded'"
        " FROM measured JOIN run ON run.id = measured.run JOIN night ON night.id = run.night"
        " JOIN tree ON tree.id = run.tree JOIN setup ON setup.id = run.setup"
        f" WHERE ({selected.benches}) AND judged AND run.mutant = ''"
        " AND night.name BETWEEN ? AND ? ORDER BY 1, 2, 3, 4, 5, 6",
        (*selected.values[: selected.benches.count("?")], since, upto),
    )
    return tuple(_metrics(rows))


def _metrics(rows: Rows) -> Iterable[Series]:
    """Of rows (5 names, night, commit, build, path, seed, value, seeded)."""
    for names, group in groupby(rows, lambda row: row[:5]):
        by_night = [
            (night, list(of_night)) for night, of_night in groupby(group, lambda row: str(row[5]))
        ]
        tree, source, setup, name, number = names
        yield Series(
            tree=tree, source=source, setup=setup, name=name, number=number,
            points=tuple(_point(night, rows) for night, rows in by_night),
            seeded=bool(by_night[-1][1][-1][11]),
            by_seed=tuple(
                (night, {row[9]: _point(night, [row]) for row in rows}) for night, rows in by_night
            ),
        )  # fmt: skip


def _point(night: str, rows: Sequence[tuple[Any, ...]]) -> Point:
    _, commit, build, path = rows[-1][5:9]
    value = statistics.median(row[10] for row in rows)
    return Point(night=night, value=value, commit=commit, build=build, path=path)
