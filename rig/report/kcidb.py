# SPDX-License-Identifier: GPL-2.0-only
"""A night of the history as KCIDB JSON, the format in which kernel CI systems exchange results.

The schema is version 5.3 of https://github.com/kernelci/kcidb-io. Nothing is sent: the owner of an
account submits the file. Runs of mutants are left out, because their failures are wanted.
"""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rig import printable
from rig.errors import ConfigError
from rig.history import queries

VERSION = {"major": 5, "minor": 3}
ORIGIN = re.compile(r"[a-z0-9_]+")
STATUS = {
    "PASS": "PASS",
    "FAIL": "FAIL",
    "SKIP": "SKIP",
    "INCONCLUSIVE": "ERROR",
    "BROKEN": "MISS",
}
"""MISS: the harness failed. ERROR: the test did not complete, and the status of the code is
unknown."""
NO_PATH = re.compile(r"[^a-zA-Z0-9_-]+")
NO_ARCHITECTURE = re.compile(r"[^a-z0-9_]+")
EXCERPT = 16384
Object = dict[str, Any]
RUNS = f"""
SELECT run.id, path, tree.label, source, series, base, setup.label AS setup, arch, flavour,
    git_commit, build, release, run.origin, qemu, outcome, reason
FROM run JOIN night ON night.id = run.night JOIN tree ON tree.id = run.tree
JOIN setup ON setup.id = run.setup
WHERE night.name = ? AND run.mutant IN {queries.CLEAN} ORDER BY path
"""
RESULTS = """
SELECT result.id, suite, line.name, outcome, reason, seconds
FROM result JOIN line ON line.id = result.line WHERE run = ? ORDER BY result.id
"""
COUNTERS = """
SELECT counter_name.name, value FROM counter JOIN counter_name ON counter_name.id = counter.name
WHERE result = ?
"""


def render(connection: sqlite3.Connection, night: str, origin: str) -> bytes:
    """The document of a night, the newest by default. Raises ConfigError for a bad origin."""
    if not ORIGIN.fullmatch(origin):
        raise ConfigError(
            f"--origin {origin!r} is no name of a CI system", hint="small letters, digits and _"
        )
    every = queries.nights(connection)
    checkouts: dict[str, Object] = {}
    builds: dict[str, Object] = {}
    tests: list[Object] = []
    connection.row_factory = sqlite3.Row
    try:
        for run in connection.execute(RUNS, (night or every[-1] if every else "",)).fetchall():
            checkout, build = _checkout(run, origin), _build(run, origin)
            checkouts[checkout["id"]] = checkout
            builds[build["id"]] = build
            tests += _tests(connection, run, build["id"], origin)
    finally:
        connection.row_factory = None
    document = {
        "version": VERSION,
        "checkouts": list(checkouts.values()),
        "builds": list(builds.values()),
        "tests": tests,
    }
    return printable.json(json.dumps(document, indent=1).encode()) + b"\n"


def _checkout(run: sqlite3.Row, origin: str) -> Object:
    """Our commit has the series on top, so it is in no public tree."""
    misc = {"commit": run["git_commit"], "base": run["base"], "series": run["series"]}
    return {
        "id": _checkout_id(run, origin),
        "origin": origin,
        "comment": _text(f"{run['label']}: {run['origin']}"),
        "misc": {name: _text(value) for name, value in misc.items() if value},
    }


def _checkout_id(run: sqlite3.Row, origin: str) -> str:
    return f"{origin}:{_text(run['git_commit'] or run['label'] + run['source'])}"


def _build(run: sqlite3.Row, origin: str) -> Object:
    made = run["build"]
    build: Object = {
        "id": f"{origin}:{_text(made or run['path'])}",
        "checkout_id": _checkout_id(run, origin),
        "origin": origin,
        "architecture": NO_ARCHITECTURE.sub("_", run["arch"].lower()),
        "config_name": _text(run["flavour"]),
        "status": "PASS" if made else STATUS.get(run["outcome"], "ERROR"),
    }
    if made:
        build["misc"] = {"release": _text(run["release"])}
    elif run["reason"]:
        build["log_excerpt"] = _text(run["reason"])[:EXCERPT]
    return build


def _tests(
    connection: sqlite3.Connection, run: sqlite3.Row, build: str, origin: str
) -> Iterator[Object]:
    if not run["build"]:  # what the build says is the build's
        return
    shared = {
        "build_id": build,
        "origin": origin,
        "environment": {"comment": _text(f"{run['setup']}, {run['qemu']}".rstrip(", "))},
    }
    place, seen = _text(run["path"]), Counter[tuple[str, str]]()
    for identity, suite, name, outcome, reason, seconds in connection.execute(
        RESULTS, (run["id"],)
    ):
        seen[suite, name] += 1
        again = f"/{seen[suite, name]}" if seen[suite, name] > 1 else ""
        test = {
            **shared,
            "id": f"{origin}:{place}/{_text(suite)}/{_text(name)}{again}",
            "path": _path((suite, name)),
            "status": STATUS.get(outcome, "ERROR"),
            "duration": seconds,
        }
        if reason:
            test |= {"comment": _text(reason), "log_excerpt": _text(reason)[:EXCERPT]}
        if counters := connection.execute(COUNTERS, (identity,)).fetchall():
            test["misc"] = {"counters": {_text(counter): value for counter, value in counters}}
        yield test
    metrics = "SELECT bench, metric, value FROM measured WHERE run = ? AND abs(value) < 1e300"
    for bench, metric, value in connection.execute(metrics, (run["id"],)):
        yield {
            **shared,
            "id": f"{origin}:{place}/bench/{_text(bench)}/{_text(metric)}",
            "path": _path(("bench", bench, metric)),
            "status": "DONE",
            "number": {"value": value},
        }


def _path(parts: Sequence[str]) -> str:
    """Test names with dots between them. A name of others is made to fit."""
    return ".".join(NO_PATH.sub("_", part) or "_" for part in parts)


def _text(value: str) -> str:
    return printable.text(value)
