# SPDX-License-Identifier: GPL-2.0-only
"""Debian's stress-ng --vm in a memcg of half of its memory: a benchmark of cover letters."""

from rig.benches.benchmark import Benchmark, of_reclaim

BENCH = Benchmark(
    name="dirty_reclaim",
    summary="stress-ng --vm, one worker per CPU, in a memcg of half of what they write to",
    case="dirty_reclaim",
    work="memcg limit: 16M   alloc: 32M   workers: one on each CPU   duration: 8s",
    metrics=of_reclaim("anon"),
    image="bench",
)
