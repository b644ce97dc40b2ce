# SPDX-License-Identifier: GPL-2.0-only
"""`rig site`: the history as static pages: what changed, the matrix, each tree, case and run."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from rig.errors import ConfigError
from rig.history import night as nights
from rig.history import queries
from rig.history.queries import Line, Selected, Series
from rig.report import cells, chart, html, runpages
from rig.report.history import Place, counted, number, place_of
from rig.store import Store, host_trouble
from rig.suites import suite as suites
from rig.verdict.rules import Outcome

MARK = ".rig-site"
"""File in a directory that this module made. It writes to no other directory with files."""
T = TypeVar("T", Line, Series)


def write(store: Store, connection: sqlite3.Connection, directory: Path) -> runpages.Written:
    """Write the site. Raises ConfigError for a directory of others, InfraError for a full disk."""
    with host_trouble("writing the site"):
        _prepare(directory)
        written = runpages.write(store, directory)
        site = read(connection, written.pages)
        for path, data in pages(connection, site):
            (directory / path).parent.mkdir(exist_ok=True)
            runpages.put(directory / path, data)
    return written


def _prepare(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory", hint="name a new directory")
    if directory.is_dir() and not (directory / MARK).is_file() and any(directory.iterdir()):
        raise ConfigError(
            f"{directory} has files that are not of a site", hint="name a new or an empty directory"
        )
    directory.mkdir(parents=True, exist_ok=True)
    runpages.put(directory / MARK, b"")


def read(connection: sqlite3.Connection, runs: frozenset[str]) -> cells.Site:
    every = Selected()
    return cells.Site(
        nights=queries.nights(connection),
        lines=queries.lines(connection, every),
        mutants=queries.mutants(connection, every),
        evidence=queries.evidence(connection, every),
        benches=queries.benches(connection, every),
        changes=nights.changed(connection),
        runs=runs,
    )


def pages(connection: sqlite3.Connection, site: cells.Site) -> Iterator[tuple[str, bytes]]:
    """Path and content of each page, without those of the runs."""
    yield "index.html", _index(connection, site)
    for (tree, source), _ in cells.grouped(cells.places(site), lambda place: place[:2]):
        yield f"trees/{cells.tree_slug(tree, source)}.html", _tree(site, tree, source)
    of_line: dict[str, list[Series]] = {}
    for series in site.evidence:
        of_line.setdefault(series.name, []).append(series)
    for name, lines in cells.grouped(site.lines, lambda line: line.name):
        yield f"cases/{cells.slug(name)}.html", _case(site, name, lines, of_line.get(name, []))
    for name, lines in cells.grouped(site.mutants, lambda line: line.name):
        yield f"mutants/{cells.slug(name)}.html", _case(site, name, lines, [], mutant=True)
    for name, metrics in cells.grouped(site.benches, lambda one: one.name):
        yield f"benches/{cells.slug(name)}.html", _bench(site, name, metrics)
    for night, rows in groupby(_runs(connection), lambda row: str(row[0])):
        yield f"nights/{cells.slug(night)}.html", _night(site, night, list(rows))


# The pages


def _index(connection: sqlite3.Connection, site: cells.Site) -> bytes:
    (runs,) = connection.execute("SELECT count(*) FROM run").fetchone()
    last = site.nights[-1] if site.nights else ""
    new = [cells.changed(site, change) for change in site.changes if change.finding.new]
    old = [cells.changed(site, change) for change in site.changes if not change.finding.new]
    setups, rows = _matrix(site)
    return html.rendered(
        "site.html.j2",
        title="Nightly results",
        night=last,
        night_url=f"nights/{cells.slug(last)}.html",
        summary=f"{counted(runs, 'run')} in {counted(len(site.nights), 'night')}",
        new=cells.by_kind(new),
        old=cells.by_kind(old),
        worse=any(change.finding.new and change.finding.kind.worse for change in site.changes),
        setups=setups,
        rows=rows,
        recent=[
            (night, f"nights/{cells.slug(night)}.html") for night in reversed(site.nights[-30:])
        ],
    )


Row = tuple[
    str, str, tuple[cells.Sum | None, ...], tuple[tuple[str, tuple[cells.Sum | None, ...]], ...]
]
"""A tree: its name, its URL, a cell for each setup; and its suites, each with cells."""


def _matrix(site: cells.Site) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """The trees of the newest nights, the newest first."""
    setups = tuple(sorted({line.setup for line in site.lines}))
    recent = site.nights[-cells.FEW :]
    rows = []
    for (tree, source), lines in cells.grouped(site.lines, lambda line: (line.tree, line.source)):
        last = max(line.cells[-1].night for line in lines)
        if last < recent[0]:
            continue
        url = f"trees/{cells.tree_slug(tree, source)}.html"
        name = f"{tree} of {source}" if source else tree
        suites = tuple(
            (suite, tuple(cells.total(cells.at_setup(members, setup), url) for setup in setups))
            for suite, members in cells.grouped(lines, lambda line: line.name.partition("/")[0])
        )
        own = tuple(cells.total(cells.at_setup(lines, setup), url) for setup in setups)
        rows.append((last, (name, url, own, suites)))
    rows.sort(key=lambda row: row[0], reverse=True)
    used = [place for place, _ in enumerate(setups) if any(row[2][place] for _, row in rows)]

    def narrow(row: tuple[cells.Sum | None, ...]) -> tuple[cells.Sum | None, ...]:
        return tuple(row[place] for place in used)

    narrowed = tuple(
        (name, url, narrow(own), tuple((suite, narrow(row)) for suite, row in suites))
        for _, (name, url, own, suites) in rows
    )
    return tuple(setups[place] for place in used), narrowed


def _tree(site: cells.Site, tree: str, source: str) -> bytes:
    def own(lines: Sequence[T]) -> list[T]:
        return [line for line in lines if (line.tree, line.source) == (tree, source)]

    tables = [
        (suite, *_table(site, members, "cases"))
        for suite, members in cells.grouped(
            own(site.lines), lambda line: line.name.partition("/")[0]
        )
    ]
    if mutants := own(site.mutants):
        tables.append(("mutants", *_table(site, mutants, "mutants")))
    benches = sorted({series.name for series in own(site.benches)})
    return html.rendered(
        "tree.html.j2",
        title=tree,
        source=source,
        tables=tables,
        benches=[(name, f"../benches/{cells.slug(name)}.html") for name in benches],
        nights=site.shown[-cells.FEW :],
    )


Table = tuple[tuple[str, ...], tuple[tuple[str, str, tuple[cells.Told | None, ...]], ...]]
"""Setups, and rows: name, URL, a cell for each setup."""


def _table(site: cells.Site, lines: Sequence[Line], kind: str) -> Table:
    setups = tuple(sorted({line.setup for line in lines}))
    rows = []
    for name, members in cells.grouped(lines, lambda line: (line.name, line.mutant)):
        by_setup = {line.setup: line for line in members}
        row = tuple(
            cells.told(site, by_setup[setup], few=True) if setup in by_setup else None
            for setup in setups
        )
        shown = f"{name[0]} (instrumented)" if name[1] else name[0]
        rows.append((shown, f"../{kind}/{cells.slug(name[0])}.html", row))
    return setups, tuple(rows)


def _case(
    site: cells.Site,
    name: str,
    lines: Sequence[Line],
    evidence: Sequence[Series],
    *,
    mutant: bool = False,
) -> bytes:
    known = suites.declared().get(name)
    by_place: dict[Place, list[Series]] = {}
    for series in evidence:
        by_place.setdefault(place_of(series), []).append(series)
    ordered = sorted(lines, key=lambda line: line.cells[-1].night, reverse=True)
    return html.rendered(
        "case.html.j2",
        title=name,
        mutant=mutant,
        rule=known.guards if known else "",
        floors=[(floor.counter, floor.at_least) for floor in known.floors] if known else [],
        lines=[cells.told(site, line, by_place.get(place_of(line), [])) for line in ordered],
        nights=site.shown,
    )


def _bench(site: cells.Site, name: str, series: Sequence[Series]) -> bytes:
    groups = []
    for place, members in cells.grouped(series, place_of):
        curves = []
        for one in members:
            value = number(one.points[-1].value)
            label = f"{one.number} {value} in {one.points[-1].night}"
            curves.append((label, chart.curve(one.points, site.shown, label)))
        groups.append((place, curves))
    return html.rendered("bench.html.j2", title=name, groups=groups, nights=site.shown)


def _night(site: cells.Site, night: str, rows: Sequence[tuple[str, ...]]) -> bytes:
    order = [outcome.value for outcome in Outcome]
    shown = [
        (path.split("/")[1], site.link(path), tree, setup, mutant, outcome, reason)
        for _, path, tree, setup, mutant, outcome, reason in rows
    ]
    shown.sort(key=lambda row: -_severity(row[5], order))
    place = site.nights.index(night)
    around = [
        (word, f"{cells.slug(site.nights[other])}.html")
        for word, other in (("Night before", place - 1), ("Next night", place + 1))
        if 0 <= other < len(site.nights)
    ]
    return html.rendered("night.html.j2", title=f"Night {night}", rows=shown, around=around)


def _severity(outcome: str, known: Sequence[str]) -> int:
    return Outcome(outcome).severity if outcome in known else -1


def _runs(connection: sqlite3.Connection) -> Iterator[tuple[str, ...]]:
    yield from connection.execute(
        "SELECT night.name, path, tree.label, setup.label, mutant, outcome, reason FROM run"
        " JOIN night ON night.id = run.night JOIN tree ON tree.id = run.tree"
        " JOIN setup ON setup.id = run.setup ORDER BY night.name, path"
    )
