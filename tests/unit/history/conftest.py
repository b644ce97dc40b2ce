# SPDX-License-Identifier: GPL-2.0-only
"""Runs of nights, without kernels."""

from collections.abc import Callable

import pytest

from rig.history.entries import Result, Run, Setup, Tree

TREE = Tree(label="v6.12", source="", series="", base="v6.12")
SETUP = Setup(
    label="x86_64 tcg live", arch="x86_64", accel="tcg", schedule="live", flavour="base",
    lru_gen=None, cpus=4, memory=1024, zram=512, swap_disk=256, iterations=0, pages=0,
)  # fmt: skip
MakeRun = Callable[..., Run]


def a_run(path: str = "runs/20261128-010203-v6.12/x86_64", **rest: object) -> Run:
    counters = (("pswpout", 4000, 2000), ("lost", 0, None))
    given: dict[str, object] = {
        "path": path, "night": "2026-11-28", "tree": TREE, "setup": SETUP, "mutant": "", "seed": 1,
        "selected": False, "commit": "c0ffee", "build": "b01d", "release": "6.12.0-rig",
        "origin": "Debian", "qemu": "QEMU 7.2", "outcome": "PASS", "reason": "1 case passed",
        "ended": "2026-11-28T01:03:04+00:00", "seconds": 61.0, "boot_seconds": 2.5,
        "results": (Result(suite="stale_tlb", name="anon_lost_write", outcome="PASS", reason="",
                           seconds=4.5, counters=counters),),
    }  # fmt: skip
    return Run(**{**given, **rest})  # type: ignore[arg-type]


@pytest.fixture
def make_run() -> MakeRun:
    return a_run
