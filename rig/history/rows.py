# SPDX-License-Identifier: GPL-2.0-only
"""What history knows of a row of a night: its last night, and how long its runs take."""

import sqlite3
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

RECENT = 16
"""Runs whose time is taken."""
NEWEST = 256
"""Runs among which they, and the last night, are looked for: others of the same machine have other
suites."""
HEALTH = "kernel"
"""The suite whose seconds are those of the boot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Last:
    """The newest night in which a row was run."""

    night: str
    commit: str
    build: str
    failed: bool
    """A run of it failed, or was broken."""


def last(
    connection: sqlite3.Connection, tree: tuple[str, str], setup: str, suites: Sequence[str]
) -> Last | None:
    """Of a tree (label and source) on a setup, with any of these suites (or SUITE/CASE), or without
    the result of a case: a kernel that did not build or boot."""
    marks = ", ".join("?" * len(suites))
    named = f"(line.suite IN ({marks}) OR line.suite || '/' || line.name IN ({marks}))"
    rows = connection.execute(
        "SELECT night.name, git_commit, build, outcome FROM run"
        " JOIN night ON night.id = run.night JOIN tree ON tree.id = run.tree"
        " JOIN setup ON setup.id = run.setup"
        " WHERE tree.label = ? AND tree.source = ? AND setup.label = ? AND mutant = ''"
        " AND (EXISTS (SELECT 1 FROM result JOIN line ON line.id = result.line"
        f" WHERE result.run = run.id AND {named}) OR NOT EXISTS"
        " (SELECT 1 FROM result JOIN line ON line.id = result.line"
        f" WHERE result.run = run.id AND line.suite != '{HEALTH}'))"
        f" ORDER BY night.name DESC, run.id DESC LIMIT {NEWEST}",
        (*tree, setup, *suites, *suites),
    ).fetchall()
    if not rows:
        return None
    night, commit, build, _ = rows[0]
    outcomes = {outcome for name, _, _, outcome in rows if name == night}
    return Last(
        night=night, commit=commit, build=build, failed=not outcomes.isdisjoint(("FAIL", "BROKEN"))
    )


def seconds(
    connection: sqlite3.Connection, tree: tuple[str, str], setup: str, suites: Sequence[str]
) -> float | None:
    """How long one run takes: of this tree, else of any tree on the setup. None: not measured."""
    for where, values in (("tree.label = ? AND tree.source = ? AND", tree), ("", ())):
        parts = [_median(connection, where, values, setup, suite) for suite in suites]
        measured = [part for part in parts if part is not None]
        if len(measured) == len(suites):
            boot = _median(connection, where, values, setup, HEALTH) or 0.0
            return boot + sum(measured)
    return None


def _median(
    connection: sqlite3.Connection, where: str, values: tuple[str, ...], setup: str, suite: str
) -> float | None:
    name = "line.suite || '/' || line.name" if "/" in suite else "NOT selected AND line.suite"
    # CROSS JOIN has SQLite begin with the newest runs: there are many results of a suite.
    rows = connection.execute(
        f"WITH newest AS (SELECT run.id, selected FROM run JOIN tree ON tree.id = run.tree"
        f" JOIN setup ON setup.id = run.setup WHERE {where} setup.label = ? AND mutant = ''"
        f" ORDER BY run.id DESC LIMIT {NEWEST})"
        " SELECT sum(result.seconds) FROM newest CROSS JOIN result ON result.run = newest.id"
        f" JOIN line ON line.id = result.line WHERE {name} = ?"
        f" GROUP BY newest.id ORDER BY newest.id DESC LIMIT {RECENT}",
        (*values, setup, suite),
    ).fetchall()
    return statistics.median(row[0] for row in rows) if rows else None
