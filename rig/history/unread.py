# SPDX-License-Identifier: GPL-2.0-only
"""What is stored and not in the history yet. Most often nothing: so this module imports little."""

import contextlib
import os
import re
import sqlite3
from pathlib import Path

from rig.history import database
from rig.store import Store

RESULT, MUTATION, SEED, KERNEL = "result.json", "mutation.json", "seed.json", "kernel.json"
"""What a campaign stores. kernel.json says what the seeds of an exploration are of."""
NIGHT = "night.json"
"""In the directory of a night's runs: its `name` is the night that they belong to."""
PENDING = "pending"
"""File in the directory of a result that is not stored yet."""
SEARCH = re.compile(r"\d{8}-\d{6}-bisect-.*-[0-9a-f]{12}")
"""The directory of a bisection. Its runs are of commits that were chosen because one of them fails:
they say nothing of a night."""


def campaigns(store: Store) -> tuple[Path, ...]:
    """The directories in which a result is stored that the history does not know.

    None in a store that cannot be written: what the history has is shown all the same.
    """
    if not os.access(store.root, os.W_OK):
        return ()
    with database.reading(store) as connection:
        new, known = _runs(store, connection)
        new += _explorations(store, connection)
    if known:
        with database.writing(store) as writer:
            for directory in known:
                writer.imported(f"runs/{directory.name}", "")
    return tuple(new)


def belongs(path: Path) -> bool:
    """Whether a stored file is of the history: what a search has run is not, neither blame nor
    bisect."""
    if path.name == MUTATION:
        path = path.parent / "SLOT" / RESULT
    kind, directory = path.parents[2].name, path.parents[1].name
    if kind == "runs":
        return SEARCH.fullmatch(directory) is None
    return kind == "explored" and path.name == SEED


def files(directory: Path) -> list[Path]:
    """The results that are stored in it."""
    if SEARCH.fullmatch(directory.name):
        return []
    if directory.parent.name == "runs":
        return [*sorted(directory.glob(f"*/{RESULT}")), *directory.glob(MUTATION)]
    return sorted(directory.glob(f"seed-*/{SEED}"))


def _runs(store: Store, connection: sqlite3.Connection) -> tuple[list[Path], list[Path]]:
    """Those with a result that is not known, and those of which all are known and none pends."""
    imported = {path for (path,) in connection.execute("SELECT path FROM directory")}
    query = "SELECT 1 FROM run WHERE path = ? UNION SELECT 1 FROM fate WHERE path = ?"
    names: set[str] = set()
    with contextlib.suppress(FileNotFoundError):
        names = {f"runs/{entry.name}" for entry in os.scandir(store.root / "runs")}
    new, known = [], []
    for name in sorted(names - imported):
        stored = files(store.root / name)
        paths = [str(path.parent.relative_to(store.root)) for path in stored]
        if not all(connection.execute(query, (path, path)).fetchone() for path in paths):
            new.append(store.root / name)
        elif stored and not any((store.root / name).glob(f"*/{PENDING}")):
            known.append(store.root / name)
    return new, known


def _explorations(store: Store, connection: sqlite3.Connection) -> list[Path]:
    """Those that have more seeds than the history knows of them."""
    new = []
    for kernel in sorted((store.root / "explored").glob(f"*/{KERNEL}")):
        pattern = f"explored/{kernel.parent.name}/*"
        query = "SELECT count(*) FROM run WHERE path GLOB ?"
        (known,) = connection.execute(query, (pattern,)).fetchone()
        if known < len(files(kernel.parent)):
            new.append(kernel.parent)
    return new
