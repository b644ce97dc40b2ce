# SPDX-License-Identifier: GPL-2.0-only
"""Threads of one process, on all CPUs, reading one mapped file under memcg pressure."""

from rig.benches.benchmark import Benchmark, of_reclaim

BENCH = Benchmark(
    name="shared_clean_reclaim",
    summary="threads of one process on all CPUs read one mapped file under memcg pressure",
    case="shared_clean_reclaim",
    work="file: 16M   memcg limit: 8M   512 reads x 8 by a thread on each CPU",
    metrics=of_reclaim("file"),
)
