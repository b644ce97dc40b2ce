# SPDX-License-Identifier: GPL-2.0-only
"""What history keeps of a stored run, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    label: str
    source: str
    """Path of the user's git tree; empty for a release."""
    series: str
    """SERIES@vN under test, or nothing."""
    base: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """Where results are comparable (outcome rule 6)."""

    label: str
    arch: str
    accel: str
    schedule: str
    flavour: str
    lru_gen: bool | None
    cpus: int
    memory: int
    zram: int
    swap_disk: int
    iterations: int
    pages: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One case."""

    suite: str
    name: str
    outcome: str
    reason: str
    seconds: float
    counters: tuple[tuple[str, int, int | None], ...] = ()
    """Name, value, and the floor, if it has one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    bench: str
    metric: str
    value: float
    judged: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One kernel on one machine: a result.json, or one seed of `rig explore`."""

    path: str
    """Its directory, below the store."""
    night: str
    tree: Tree
    setup: Setup
    mutant: str
    seed: int
    selected: bool
    """--case chose some of the cases."""
    commit: str
    build: str
    release: str
    origin: str
    qemu: str
    outcome: str
    reason: str
    ended: str
    seconds: float
    boot_seconds: float
    results: tuple[Result, ...] = ()
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """One mutant of a `rig mutate`."""

    path: str
    night: str
    tree: Tree
    setup: Setup
    mutant: str
    fate: str
    reason: str


Entry = Run | Fate
