# SPDX-License-Identifier: GPL-2.0-only
"""`rig gc`: removes what was not used for long, or the oldest if the store is too large.

What a living rig may be using stays, and what stored results still need (needs.py). All that goes,
except results, can be made again. A part is renamed into tmp/ and removed there: so it is whole or
gone, even if gc is killed, and another gc removes the rest. The rename needs no space on the disk.

linux.git keeps its objects: docs/store.md says why, and what a user can do. Only refs without an
entry are removed, and alternates whose directory has vanished. Locks stay: a file that is removed
while another process waits for it is no lock any more.
"""

import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rig import git, log, presence
from rig.campaigns import census, needs
from rig.campaigns.census import EXPLORED, LANES, RUNS, Holding, Scales, Unit
from rig.context import Context
from rig.errors import ConfigError
from rig.kernel import sandbox
from rig.store import Store

DAYS = 30.0
"""By default, what was not used for so long goes."""
DAYS_MOST, GIB_MOST = 1e5, 1e7
"""A limit is below these."""
MARGIN = 3600.0
"""Seconds before a living rig has started, in which it may have used an entry for all we know: the
clock may have been set back, and an older rig does not say that it lives."""
TRASH = "rig-gc~"
WITH_REF = ("trees", "instrumented")
"""Kinds whose entries have a ref in linux.git."""
BISECTION = re.compile(r"-bisect-.*-(?P<name>[0-9a-f]{12})(-\d+)?$")
"""The name of a bisection's run; rig/campaigns/bisect.py locks it by the last part."""
IN_USE = "in use, or used a moment ago"
RECENT = "used lately"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A unit, and what becomes of it."""

    unit: Unit
    why: str
    bytes: int = 0
    """That its removal frees."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What goes, or what went."""

    root: Path
    days: float
    limit: int
    """Bytes; 0 for none."""
    held: tuple[Holding, ...]
    """What the store held before."""
    going: tuple[Row, ...]
    kept: tuple[Row, ...]
    alternates: tuple[str, ...]
    """Directories that linux.git borrows from and that have vanished."""
    alternates_needed: bool
    """linux.git lacks objects that these may have had: then they stay, for the tree may return."""
    done: bool = False

    @property
    def freed(self) -> int:
        return sum(row.bytes for row in self.going)

    @property
    def left(self) -> int:
        return sum(holding.bytes for holding in self.held) - self.freed


def check(days: float, gib: float) -> None:
    """Raises ConfigError for limits that mean nothing."""
    if not 0 <= days < DAYS_MOST:
        raise ConfigError(f"--keep-days {days:g} is not a number of days", hint="--keep-days 30")
    if not 0 <= gib < GIB_MOST:
        raise ConfigError(f"--max-size {gib:g} is not a size in GiB", hint="--max-size 20")


def plan(context: Context, *, days: float = DAYS, gib: float = 0) -> Plan:
    """What would go: nothing is changed."""
    store, now = context.store, time.time()
    with log.step("Looking through the store"):
        held = census.holdings(store)
        units = tuple(census.units(store))
        since = min(presence.oldest(store.root) or now, now) - MARGIN
        old = now - days * 86400
        needed = needs.needed(context, old)
        sorted_ = sorted(units, key=lambda unit: (unit.used, unit.label))
        stay = {unit: _why_kept(unit, since, needed) for unit in sorted_}
        free = [unit for unit in sorted_ if not stay[unit]]
        scales, limit = Scales(), int(gib * 2**30)
        rows = tuple(
            Row(unit=unit, why=_age(now - unit.used), bytes=scales.freed(unit))
            for unit in free
            if unit.used < old
        )
        if limit:
            excess = sum(h.bytes for h in held) - sum(row.bytes for row in rows) - limit
            rest = (u for u in free if u.used >= old and u.kind not in census.RESULTS)
            rows = (*rows, *_until(excess, rest, scales))
        gone = {row.unit for row in rows}
        kept = (Row(unit=u, why=stay[u] or RECENT) for u in sorted_ if u not in gone)
        vanished = git.vanished(store)
        return Plan(
            root=store.root,
            days=days,
            limit=limit,
            held=held,
            going=rows,
            kept=tuple(kept),
            alternates=vanished,
            alternates_needed=bool(vanished) and not git.is_complete(store),
        )


def collect(context: Context, *, days: float = DAYS, gib: float = 0) -> Plan:
    """Remove what plan() says; returns what went.

    Raises InfraError if the store cannot be written.
    """
    store = context.store
    with store.lock("gc"):
        _sweep(store)
        planned = plan(context, days=days, gib=gib)
        went, kept = [], list(planned.kept)
        with log.step(f"Removing {len(planned.going)} parts of the store") as step:
            for row in planned.going:
                if _remove(store, row.unit):
                    went.append(row)
                    step.note(f"removed {row.unit.label}")
                else:
                    kept.append(replace(row, why=IN_USE, bytes=0))
            _sweep(store)
        _forget_checks(store)
        _tidy_git(store, planned)
        return replace(planned, going=tuple(went), kept=tuple(kept), done=True)


def _why_kept(unit: Unit, since: float, needed: Mapping[tuple[str, str], str]) -> str:
    return IN_USE if unit.used >= since else needed.get((unit.kind, unit.name), "")


def _age(seconds: float) -> str:
    days = seconds / 86400
    return f"not used for {days:.0f} days" if days >= 2 else f"not used for {days * 24:.0f} hours"


def _until(excess: int, units: Iterable[Unit], scales: Scales) -> Iterator[Row]:
    """The first units, until so many bytes are free."""
    for unit in units:
        if excess <= 0:
            return
        size = scales.freed(unit)
        excess -= size
        yield Row(unit=unit, why="the oldest, and the store is too large", bytes=size)


def _remove(store: Store, unit: Unit) -> bool:
    """Remove a unit. False if a rig is using it, or has used it since the plan was made."""
    with _free(store, unit) as free:
        if not free or not _is_unused(unit, unit.path):
            return False
        trash = store.root / "tmp" / f"{TRASH}{unit.kind}~{unit.name}"
        trash.parent.mkdir(exist_ok=True)
        try:
            unit.path.rename(trash)
        except FileNotFoundError:
            return False
        if not _is_unused(unit, trash):  # a rig has said so meanwhile: it waits for our lock
            trash.rename(unit.path)
            return False
    _destroy(trash)
    return True


def _is_unused(unit: Unit, path: Path) -> bool:
    try:
        return census.used(unit.kind, path) <= unit.used
    except FileNotFoundError:
        return False


@contextmanager
def _free(store: Store, unit: Unit) -> Iterator[bool]:
    """Whether no rig makes the unit or works in it; for that time no other can."""
    name = f"{unit.kind}-{unit.name}"
    if unit.kind == LANES:
        name = f"lane-{unit.name}"
    elif bisect := BISECTION.search(unit.name) if unit.kind == RUNS else None:
        name = f"bisect-{bisect['name']}"
    elif unit.kind in (RUNS, EXPLORED):
        yield True  # nobody locks these
        return
    with store.at_once(name) as free:
        yield free


def _destroy(trash: Path) -> None:
    """A build may have left directories without permissions, or too deep for Python."""
    shutil.rmtree(trash, ignore_errors=True)
    sandbox.remove(trash)


def _sweep(store: Store) -> None:
    """Remove what a killed gc has left; the caller holds the lock of gc."""
    for trash in (store.root / "tmp").glob(f"{TRASH}*"):
        _destroy(trash)


def _forget_checks(store: Store) -> None:
    """Remove the notes on files of entries that are gone (rig/store.py)."""
    for memory in (store.root / "checked").glob("*-*"):
        kind, _, name = memory.name.partition("-")
        if not store.path(kind, name).exists():
            memory.unlink(missing_ok=True)


def _tidy_git(store: Store, planned: Plan) -> None:
    if not (store.root / "linux.git" / git.READY).is_file():
        return
    for kind in WITH_REF:
        for name in git.kept(store, kind):
            with store.at_once(f"{kind}-{name}") as free:
                if free and not store.path(kind, name).exists():
                    git.release(store, f"{kind}/{name}")
    with store.at_once("linux.git") as free:
        if not free:
            log.note("linux.git is in use: its alternates and work trees stay as they are")
            return
        git.prune(store)
        if planned.alternates and not planned.alternates_needed:
            git.forget(store, {*planned.alternates} & {*git.vanished(store)})
