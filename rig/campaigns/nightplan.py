# SPDX-License-Identifier: GPL-2.0-only
"""The plan of a night: its rows, the runs of each, and which of them comes first.

A row is a kernel on a machine, with the suites that are run there, or with one benchmark. Each of
its runs has a seed of its own.
"""

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from rig import arch as arches
from rig import git, log, printable
from rig.benches import benchmark
from rig.campaigns import record
from rig.campaigns import request as requests
from rig.campaigns.nightfile import Bench, Git, Matrix, NightFile
from rig.campaigns.options import Request
from rig.campaigns.results import RunSpec
from rig.context import Context
from rig.errors import ConfigError, RigError
from rig.history import database, rows
from rig.kernel import base
from rig.kernel import flavour as flavours
from rig.series import model, target
from rig.store import Store
from rig.suites import suite

LRU = {"default": None, "classic": False, "mglru": True}
SEEDS = 2**31
"""A seed is below this: short enough to be typed."""


class Why(StrEnum):
    """Why a row comes when it comes; in the order of a night."""

    CHANGED = "changed"
    FAILED = "failed last night"
    DUE = "as before"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """What is tested: a release, a revision of a git tree, or a series."""

    target: str
    tree: Path | None = None
    base: str = ""
    name: str = ""
    """Of the base in results, if that is a commit here: the branch that was fetched, or the
    pattern of a tag that changes."""

    @property
    def label(self) -> str:
        called = self.target if self.base else self.name or self.target
        return f"{called}{f' of {self.tree}' if self.tree else ''}"

    @property
    def request(self) -> Request:
        return Request(target=self.target, base=self.base, tree=self.tree, blame=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A line of the matrix, in one night."""

    request: Request
    """With its revision, but without a seed."""
    bench: str = ""
    runs: int
    name: str = ""
    """Of the base in results, if it is not that of the request."""
    label: str
    """Of the tree, for people."""
    setup: str
    """Of the machine, for people."""
    commit: str
    """Of the base."""
    why: Why
    last: str = ""
    """The night in which it was run last."""
    seconds: float | None = None
    """Of a run; None: never measured."""
    build: float | None = 0.0
    """Seconds of the build, 0 if the kernel is the one of last night; None: never measured."""

    @property
    def kernel(self) -> tuple[str, ...]:
        """What is built once for all rows that have it."""
        return self.label, str(self.request.tree or ""), self.request.arch[0], self.request.flavour

    @property
    def does(self) -> str:
        return self.bench or " ".join(self.request.suites) or "all suites"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run: one guest, one result."""

    slot: str
    """Its directory in that of the night."""
    row: int
    """The place of its row in the plan."""
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    rows: tuple[Row, ...]
    jobs: tuple[Job, ...]
    """In the order in which they are run."""
    trouble: tuple[tuple[str, str], ...] = ()
    """Trees and rows that cannot be run, each with the reason."""


def make(context: Context, file: NightFile, night: str, *, look: bool = False) -> Plan:
    """The plan of the night with this name; the remotes of git trees are fetched first.

    `look`: nothing is fetched. A tree that has trouble costs its own rows.
    """
    trouble: dict[str, str] = {}
    made: list[Row] = []
    with database.reading(context.store) as connection:
        for tree in _trees(context, file, trouble, fetch=not look):
            try:
                if look:
                    _check_here(context, tree)
                requests.tree_spec(context, tree.request)
            except RigError as error:
                trouble[tree.label] = error.message
                continue
            # Two products may have a row in common.
            for row in {row.request: row for row in _rows(context, file, tree)}.values():
                try:
                    spec = spec_of(context, row)
                except RigError as error:
                    trouble[f"{tree.label}, {row.setup}"] = error.message
                    continue
                made.append(_with_history(context.store, connection, row, spec))
    return Plan(rows=tuple(made), jobs=jobs(made, night), trouble=tuple(trouble.items()))


def spec_of(context: Context, row: Row, seed: int = 1) -> RunSpec:
    """What is run. The base is the commit that the plan names, though a branch may have moved."""
    (spec,) = requests.specs(context, replace(row.request, seed=seed))
    known = spec.tree.base
    if row.commit and known.commit != row.commit:
        known = replace(
            known, commit=row.commit, origin=f"git tree {row.request.tree}, {row.commit}"
        )
    spec = replace(spec, tree=replace(spec.tree, base=replace(known, name=row.name or known.name)))
    return replace(spec, image=benchmark.pick(row.bench).image) if row.bench else spec


def jobs(planned: Sequence[Row], night: str) -> tuple[Job, ...]:
    """All runs: by the reason, then each row's first run before any row's second, then the row that
    was not run for longest. So a budget that ends early has seen as many rows as it can."""
    order = list(Why)
    found = [
        (order.index(row.why), number, row.last, row.kernel, place)
        for place, row in enumerate(planned)
        for number in range(row.runs)
    ]
    return tuple(
        Job(
            slot=f"{planned[row].request.arch[0]}-{place:04}",
            row=row,
            seed=_seed(planned[row], night, number),
        )
        for place, (_, number, _, _, row) in enumerate(sorted(found), 1)
    )


def _seed(row: Row, night: str, number: int) -> int:
    """From the night's name: the same if the night is started again, another one every night.

    A benchmark keeps its seeds, since its counts are compared with those of the same seed.
    """
    if row.bench:
        return number + 1
    asked = row.request
    machine = (*asked.arch, asked.schedule, asked.flavour, str(asked.lru_gen), *asked.suites)
    words = [night, asked.target, asked.base, str(asked.tree), *machine, str(number)]
    return int.from_bytes(hashlib.sha256("\0".join(words).encode()).digest()[:8]) % SEEDS


# --- the trees ---------------------------------------------------------------------------------


def _trees(
    context: Context, file: NightFile, trouble: dict[str, str], *, fetch: bool
) -> Iterator[Tree]:
    yield from (Tree(target=name) for name in file.bases)
    for tree in file.git:
        try:
            base.check_tree(tree.path)
            if fetch and tree.fetch:
                with log.step(f"Fetching {tree.fetch} of {tree.path}"):
                    git.fetch(context.store, tree.path, tree.fetch, tags=bool(tree.tags))
        except RigError as error:
            trouble[str(tree.path)] = error.message
            continue
        for branch in tree.branches:
            commit = _fetched(context.store, tree, branch)
            yield Tree(target=commit or branch, tree=tree.path, name=branch if commit else "")
        for pattern in tree.tags:
            if tag := _newest(context.store, tree, pattern):
                commit = _fetched(context.store, tree, f"refs/tags/{tag}")
                yield Tree(target=commit or tag, tree=tree.path, name=pattern)
            else:
                trouble[f"{pattern} of {tree.path}"] = "there is no such tag"
    if shelf := file.shelf:
        commit = _fetched_base(context.store, file)
        named = {"base": commit or shelf.base, "name": shelf.base if commit else ""}
        every = model.names(context.shelves.patches)
        for name in every if "all" in shelf.series else shelf.series:
            numbers = model.revisions(context.shelves.patches, name)
            for number in numbers if shelf.revisions == "all" else numbers[-1:]:
                yield Tree(target=f"{name}@v{number}", tree=shelf.tree, **named)


def _fetched(store: Store, tree: Git, name: str) -> str:
    """The commit of a revision as it was fetched last; empty if the user's tree decides."""
    return git.fetched(store, tree.path, tree.fetch, name) if tree.fetch and name else ""


def _fetched_base(store: Store, file: NightFile) -> str:
    """The commit of the shelf's base, if its tree is fetched, too."""
    for tree in file.git:
        if file.shelf and tree.path == file.shelf.tree:
            with contextlib.suppress(RigError):  # of a tree that vanished
                return _fetched(store, tree, file.shelf.base)
    return ""


def _newest(store: Store, tree: Git, pattern: str) -> str:
    """The newest tag of the tree and of its remote. v6.13 is newer than v6.13-rc7."""
    names = git.text("tag", "--list", "--", pattern, cwd=tree.path).splitlines()
    if tree.fetch:
        names += git.fetched_tags(store, tree.path, tree.fetch, pattern)
    return max(names, key=_in_order, default="")


def _in_order(tag: str) -> list[str | int]:
    """\0 for -rc is before the end, which is before all others."""
    parts = re.split(r"(\d+)", tag.replace("-rc", "\0") + "\1")
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _check_here(context: Context, tree: Tree) -> None:
    """Raise ConfigError for a tree whose base would have to be downloaded."""
    if tree.tree is not None:
        return
    name = tree.base or base.named(tree.target)
    if not name:
        parsed = target.parse(tree.target)
        series = model.load(context.shelves.patches, parsed.series, parsed.revision)
        name = base.named(series.base) or base.DEFAULT
    if not context.store.find("bases", name):
        raise ConfigError(f"{name} is not in the store yet: the night downloads it")


# --- the rows ----------------------------------------------------------------------------------


def _rows(context: Context, file: NightFile, tree: Tree) -> Iterator[Row]:
    for matrix in file.matrix:
        for request in _machines(context, file, matrix, tree):
            for schedule in matrix.schedules:
                runs = matrix.seeds if schedule == "seeded" else matrix.live_runs
                asked = replace(request, schedule=schedule, suites=matrix.suites)
                yield _row(tree, asked, runs)
    if file.bench:
        for request in _machines(context, file, file.matrix[0], tree):
            yield from _benches(file.bench, tree, request)


def _machines(context: Context, file: NightFile, matrix: Matrix, tree: Tree) -> Iterator[Request]:
    for arch in dict.fromkeys(arches.pick(name).name for name in matrix.arch):
        for flavour in dict.fromkeys(matrix.flavours):
            only = flavours.arches(context.shelves.kconfigs, flavour)
            if only and arch not in only:  # arm64-16k of a product with x86_64
                continue
            for lru in dict.fromkeys(matrix.lru):
                machine: dict[str, Any] = {"arch": (arch,), "flavour": flavour, "lru_gen": LRU[lru]}
                yield replace(tree.request, **machine, **file.asked)


def _benches(benches: Bench, tree: Tree, request: Request) -> Iterator[Row]:
    for name in dict.fromkeys(benches.names):
        bench = benchmark.pick(name)
        for schedule in dict.fromkeys(benches.schedules):
            if schedule == "live" or not bench.live_only:
                case = f"{benchmark.SUITE}/{bench.case}"
                asked = replace(
                    request, schedule=schedule, suites=(benchmark.SUITE,), cases=(case,)
                )
                yield _row(tree, asked, benches.rounds, bench=name)


def _row(tree: Tree, request: Request, runs: int, bench: str = "") -> Row:
    words = (request.arch[0], request.schedule, request.flavour)
    return Row(
        request=request, bench=bench, runs=runs, name=tree.name, label=tree.label,
        setup=" ".join(words), commit="", why=Why.CHANGED,
    )  # fmt: skip


def _with_history(store: Store, connection: sqlite3.Connection, row: Row, spec: RunSpec) -> Row:
    """The row, with what it is due for and how long it takes."""
    tree, setup = record.place(spec)
    where = (printable.line(tree.label), tree.source)
    suites = row.request.cases or tuple(row.request.suites) or tuple(suite.standard())
    last = rows.last(connection, where, setup.label, suites)
    # The commit of a series is that of the tree with its patches: its label says what it is. A
    # kernel that was not built has none.
    commits = {"", spec.tree.base.commit}
    changed = last is None or (spec.tree.series is None and last.commit not in commits)
    why = Why.CHANGED if changed else Why.FAILED if last and last.failed else Why.DUE
    return replace(
        row,
        request=spec.request,
        label=tree.label,
        setup=setup.label,
        commit=spec.tree.base.commit if spec.request.tree else "",
        why=why,
        last=last.night if last else "",
        seconds=rows.seconds(connection, where, setup.label, suites),
        build=0.0 if last and last.build and not changed else _build_seconds(store, last),
    )


def _build_seconds(store: Store, last: rows.Last | None) -> float | None:
    """Of the kernel of the last night; None if it has none."""
    try:
        return float(store.manifest("builds", last.build)["seconds"]) if last else None
    except (OSError, ValueError, LookupError):
        return None
