# SPDX-License-Identifier: GPL-2.0-only
"""What stored results still need, so that `rig gc` keeps it.

That are the newest result of each kind of run of what is on the shelf, a bisection that can go on,
and the kernels, images and programs of both and of recent failures that can be replayed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rig.campaigns import bisection, compare, execute, mutation, old_results, stored
from rig.campaigns.census import MAILS, RUNS
from rig.context import Context
from rig.errors import RigError
from rig.series import model
from rig.store import Store
from rig.verdict.rules import Outcome

Name = tuple[str, str]
"""Kind and name of a part of the store."""
UNREADABLE = "it cannot be read"
GOES_ON = "of a bisection that can go on"
REPLAY = "of a failure that can be replayed"
DECODER = json.JSONDecoder()
CAMPAIGNS = (mutation.FILE, compare.FILE, bisection.FILE)
"""The stored results of campaigns of many runs."""


def needed(context: Context, since: float) -> dict[Name, str]:
    """Kind and name -> why it is needed. Failures count if they are not older than `since`."""
    known = _known(context)
    found: dict[Name, str] = {}
    seen: set[tuple[Any, ...]] = set()
    for run in sorted((context.store.root / RUNS).glob("[!.]*"), reverse=True):
        goes_on, whole = _can_go_on(run), stored.is_whole(run)
        if goes_on:
            found[RUNS, run.name] = GOES_ON
        for path in sorted(run.glob(f"*/{execute.RESULT}")):
            try:
                text = path.read_text()
                document = old_results.result(_head(text))
                key, why = _key(run, document), goes_on
                subject = document["provenance"]["subject"]
                if whole and key not in seen:
                    seen.add(key)
                    names = {subject["base"].partition(",")[0], *subject["series"]}
                    label = document["provenance"]["label"]
                    why = why or (f"of the newest result of {label}" if names <= known else "")
                recent = path.stat().st_mtime >= since
                if not why and recent and _is_seeded(document) and _has_failed(text):
                    why = REPLAY
                parts = tuple(_parts(context.store, document)) if why else ()
            except (*stored.WRONG, OSError):
                found.setdefault((RUNS, run.name), UNREADABLE)
                continue
            for part in ((RUNS, run.name), *parts) if why else ():
                found.setdefault(part, why)
    return found


def _known(context: Context) -> set[str]:
    """The bases of the store, and the revisions on the shelf."""
    bases = {path.name for path in (context.store.root / "bases").glob("[!.]*")}
    try:
        shelf = context.shelves.patches
        return bases | {
            f"{name}@v{number}"
            for name in model.names(shelf)
            for number in model.revisions(shelf, name)
        }
    except (OSError, RigError):  # a shelf that vanished
        return bases


def _can_go_on(run: Path) -> str:
    """GOES_ON for a bisection that has no culprit yet."""
    if not run.match(bisection.DIRECTORY):
        return ""
    try:
        ended = json.loads((run / bisection.FILE).read_bytes())["culprit"] is not None
    except (*stored.WRONG, OSError):
        ended = False
    return "" if ended else GOES_ON


def _key(run: Path, document: dict[str, Any]) -> tuple[Any, ...]:
    """The same for two runs of which the newer replaces the older."""
    machine, origin = document["machine"], document["provenance"]
    request = origin["request"]
    campaign = next((file for file in CAMPAIGNS if (run / file).is_file()), "")
    how = (machine["arch"], machine["accel"], machine["schedule"]["kind"], machine["lru_gen"])
    what = (request.get("flavour"), request.get("mutant"), *sorted(request.get("suites") or ()))
    return (campaign, origin["label"], *how, *what)


def _head(text: str) -> dict[str, Any]:
    """The parts of a result that say what it is of. The cases are ten times as long.

    Raises ValueError for a file that was cut off.
    """
    if not text.rstrip().endswith("}"):
        raise ValueError
    head = {}
    for key in ("machine", "provenance"):
        mark = f'\n "{key}": '
        if (at := text.find(mark)) < 0:  # written by something else
            document: dict[str, Any] = json.loads(text)
            return document
        head[key], _ = DECODER.raw_decode(text, at + len(mark))
    return head


def _is_seeded(document: dict[str, Any]) -> bool:
    request = document["provenance"]["request"]
    return document["machine"]["schedule"]["kind"] == "seeded" and not request.get("mutant")


def _has_failed(text: str) -> bool:
    return bool(json.loads(text)["verdict"]["outcome"] == Outcome.FAIL)


def _parts(store: Store, document: dict[str, Any]) -> Iterator[Name]:
    origin = document["provenance"]
    yield "builds", origin.get("build", "")
    yield "images", origin.get("image", "")
    for _, program in origin.get("programs", ()):
        yield "programs", program
    target = Path(origin["request"]["target"].partition(".mbx")[0])
    if target.is_absolute() and target.is_relative_to(store.root / MAILS):
        yield MAILS, target.parent.name
