# SPDX-License-Identifier: GPL-2.0-only
"""Threads of one process, on all CPUs, dirtying one region under memcg pressure."""

from rig.benches.benchmark import Benchmark, of_reclaim

BENCH = Benchmark(
    name="shared_dirty_reclaim",
    summary="threads of one process on all CPUs dirty one region under memcg pressure",
    case="shared_dirty_reclaim",
    work="alloc: 16M   memcg limit: 8M   512 writes x 8 by a thread on each CPU",
    metrics=of_reclaim("anon"),
)
