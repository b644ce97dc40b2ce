# SPDX-License-Identifier: GPL-2.0-only
"""history.db in the store: opens it, brings it to today's version, adds entries.

SQLite's write-ahead log makes it safe: a transaction is there or it is not, also after SIGKILL;
readers do not wait; a second writer waits for the first.
"""

import contextlib
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rig.errors import DiskFull, InfraError
from rig.history import schema
from rig.history.entries import Entry, Fate, Result, Run, Setup, Tree
from rig.store import Store

FILE = "history.db"
WAIT = 60.0
"""Seconds that a writer waits for another one. A transaction takes less than one."""
PROVES = ("PASS", "INCONCLUSIVE")
"""Outcomes of a case that came to its end, so that its counters say how much it did."""
LARGEST = 2**63 - 1
"""SQLite's integers are signed. A counter of a broken kernel may be larger."""


def path_of(store: Store) -> Path:
    return store.root / FILE


@contextlib.contextmanager
def reading(store: Store) -> Iterator[sqlite3.Connection]:
    """Of a file that does not exist, an empty history."""
    path = path_of(store)
    with _trouble(path):
        with contextlib.closing(_for_reading(path)) as connection:
            yield connection


def _for_reading(path: Path) -> sqlite3.Connection:
    if not path.exists():
        connection = sqlite3.connect(":memory:")
        connection.executescript("".join(schema.STEPS))
        return connection
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return _opened(path)
    # Nobody writes to it, and SQLite cannot make the files that it would tell a writer with.
    connection = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
    try:
        _checked(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def writing(store: Store) -> Iterator["Writer"]:
    """One transaction: all that is added in the context, or nothing."""
    store.ready()
    with _trouble(path_of(store)), contextlib.closing(_opened(path_of(store))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield Writer(connection)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _opened(path: Path) -> sqlite3.Connection:
    """Raises InfraError for a file that is not ours, or newer than this rig."""
    connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
    try:
        version = _checked(connection, path)
        if version < schema.VERSION:
            _migrate(connection, path)
        # The log is written to the file from time to time, and only then synchronized: what a
        # power cut takes away is imported again.
        connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _checked(connection: sqlite3.Connection, path: Path) -> int:
    # In this order: another rig may be making the file, in one transaction. Whoever has seen a
    # table or the version sees its application_id, too.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != schema.APPLICATION and (version or tables):
        raise InfraError(f"{path} is not a history of the rig", hint=_aside(path))
    if version > schema.VERSION:
        raise InfraError(
            f"{path} is newer than this rig: its version is {version}, and this rig knows "
            f"{schema.VERSION}",
            hint=f"update the rig; or {_aside(path)}",
        )
    return int(version)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    # Only a file that nobody else has open can change its mode; a second rig finds it changed.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another rig may have been faster.
        for number in range(_checked(connection, path), schema.VERSION):
            for statement in _statements(schema.STEPS[number]):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={schema.APPLICATION}")
        connection.execute(f"PRAGMA user_version={schema.VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _statements(script: str) -> Iterator[str]:
    """executescript() would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _aside(path: Path) -> str:
    return (
        f"move it away (mv {path} {path}.old): the next `rig history` imports the stored runs anew"
    )


@contextlib.contextmanager
def _trouble(path: Path) -> Iterator[None]:
    """An error of SQLite as one of the rig's."""
    try:
        yield
    except sqlite3.Error as error:
        if "disk is full" in str(error):
            raise DiskFull(f"writing {path}", detail=str(error)) from error
        if "locked" in str(error):
            raise InfraError(
                f"{path} is locked: another program has held it for {WAIT:.0f} s",
                hint=f"`fuser {path}` names it",
            ) from error
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
            hint = "the store must be on a local file system, and writable"
            raise InfraError(f"{path} cannot be used: {error}", hint=hint) from error
        raise InfraError(f"{path} is damaged: {error}", hint=_aside(path), detail="") from error


@dataclass(frozen=True, slots=True)
class Writer:
    """Adds entries in a transaction."""

    connection: sqlite3.Connection
    _known: dict[tuple[Any, ...], int] = field(default_factory=dict)
    """Table and row -> number: what this transaction has found or inserted."""

    def add(self, entries: Iterable[Entry]) -> int:
        """The number of entries that were not there yet."""
        return sum(
            self._run(entry) if isinstance(entry, Run) else self._fate(entry) for entry in entries
        )

    def has(self, path: str) -> bool:
        """Whether a run of this directory is there."""
        query = "SELECT 1 FROM run WHERE path = ?"
        return self.connection.execute(query, (path,)).fetchone() is not None

    def imported(self, path: str, problem: str) -> None:
        """A directory that need not be read again."""
        self.connection.execute("INSERT OR REPLACE INTO directory VALUES (?, ?)", (path, problem))

    def _run(self, run: Run) -> bool:
        row = {
            "path": run.path, "night": self._named("night", name=run.night),
            "tree": self._tree(run.tree), "setup": self._setup(run.setup), "mutant": run.mutant,
            "seed": min(run.seed, LARGEST), "selected": run.selected, "git_commit": run.commit,
            "build": run.build, "release": run.release, "origin": run.origin, "qemu": run.qemu,
            "outcome": run.outcome, "reason": run.reason, "ended": run.ended,
            "seconds": run.seconds, "boot_seconds": run.boot_seconds,
        }  # fmt: skip
        if (number := self._insert("run", row)) is None:
            # Stored again, with its blame: that changes the verdict, and no case.
            verdict = (_text(run.outcome), _text(run.reason), run.path)
            query = "UPDATE run SET outcome = ?, reason = ? WHERE path = ?"
            self.connection.execute(query, verdict)
            return False
        for result in run.results:
            line = self._named(
                "line", suite=result.suite, name=result.name, tree=row["tree"], setup=row["setup"],
                mutant=run.mutant,
            )  # fmt: skip
            of_case = self._insert("result", {
                "run": number, "line": line, "outcome": result.outcome, "reason": result.reason,
                "seconds": result.seconds,
            })  # fmt: skip
            self._counters(result, (of_case, line, row["night"], number))
        for entry in run.measured:
            self._insert("measured", {
                "bench": entry.bench, "metric": entry.metric, "run": number, "value": entry.value,
                "judged": entry.judged,
            })  # fmt: skip
        return True

    def _counters(self, result: Result, ids: tuple[Any, ...]) -> None:
        """`ids`: of the result, its line, night and run.

        Those with a floor are folded into their night, so that not every run need be read again.
        """
        of_case, line, night, run = ids
        counters = [
            (self._named("counter_name", name=name), max(-LARGEST, min(value, LARGEST)), floor)
            for name, value, floor in result.counters
        ]
        self.connection.executemany(
            "INSERT OR IGNORE INTO counter VALUES (?, ?, ?, ?)",
            [(of_case, *counter) for counter in counters],
        )
        shares = [
            (name, max(value, 1) / floor, floor)
            for name, value, floor in counters
            if floor and result.outcome in PROVES
        ]
        self.connection.executemany(
            "INSERT INTO margin VALUES (?, ?, ?, 1, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " runs = runs + 1, logs = logs + excluded.logs, lowest = min(lowest, excluded.lowest),"
            " floor = excluded.floor, run = excluded.run",
            [(line, name, night, math.log(share), share, floor, run)
             for name, share, floor in shares],
        )  # fmt: skip

    def _fate(self, fate: Fate) -> bool:
        row = {
            "path": fate.path, "tree": self._tree(fate.tree), "setup": self._setup(fate.setup),
            "mutant": fate.mutant, "night": self._named("night", name=fate.night),
            "fate": fate.fate, "reason": fate.reason,
        }  # fmt: skip
        return self._insert("fate", row) is not None

    def _tree(self, tree: Tree) -> int:
        known = self._find("tree", {"label": tree.label, "source": tree.source})
        return known or self._inserted("tree", _row(tree))

    def _setup(self, setup: Setup) -> int:
        return self._find("setup", {"label": setup.label}) or self._inserted("setup", _row(setup))

    def _named(self, table: str, **row: Any) -> int:
        key = (table, *row.values())
        if key not in self._known:
            self._known[key] = self._find(table, row) or self._inserted(table, row)
        return self._known[key]

    def _find(self, table: str, row: dict[str, Any]) -> int | None:
        where = " AND ".join(f"{name} = ?" for name in row)
        values = [_text(value) for value in row.values()]
        found = self.connection.execute(f"SELECT id FROM {table} WHERE {where}", values).fetchone()
        return found and int(found[0])

    def _inserted(self, table: str, row: dict[str, Any]) -> int:
        number = self._insert(table, row)
        assert number is not None
        return number

    def _insert(self, table: str, row: dict[str, Any]) -> int | None:
        """The new row's number; None if it is there already."""
        marks = ", ".join("?" * len(row))
        cursor = self.connection.execute(
            f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({marks})",
            [_text(value) for value in row.values()],
        )
        return cursor.lastrowid if cursor.rowcount else None


def _row(value: Tree | Setup) -> dict[str, Any]:
    return {entry.name: getattr(value, entry.name) for entry in fields(value)}


def _text(value: Any) -> Any:
    """SQLite stores no bytes that are not UTF-8, which a console may have printed."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
