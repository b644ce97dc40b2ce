# SPDX-License-Identifier: GPL-2.0-only
"""Threads of one process, on all CPUs, dirtying one region under memcg pressure."""

from rig.bench import Benchmark, Metric

BENCH = Benchmark(
    name="shared_dirty_reclaim",
    summary="threads of one process on all CPUs dirty one region under memcg pressure",
    case="shared_dirty_reclaim",
    work="alloc: 16M   memcg limit: 8M   512 writes x 8 by a thread on each CPU",
    metrics=(
        Metric(name="ops_per_s", title="bogo ops/s", of="bogo_ops", per="nanoseconds",
               factor=1e9, time=True),
        Metric(name="tlb_shootdowns", title="TLB shootdowns", of="tlb_shootdowns"),
        Metric(name="function_call_ipis", title="Function call IPIs", of="function_call_ipis"),
        Metric(name="pgscan_anon", title="pgscan_anon (pages)", of="pgscan_anon"),
        Metric(name="pgsteal_anon", title="pgsteal_anon (pages)", of="pgsteal_anon"),
        Metric(name="tlb_shootdowns_per_page", title="  shootdowns / page", of="tlb_shootdowns",
               per="pgsteal_anon"),
        Metric(name="function_call_ipis_per_page", title="  call IPIs / page",
               of="function_call_ipis", per="pgsteal_anon"),
        Metric(name="efficiency", title="  steal / scan", of="pgsteal_anon", per="pgscan_anon"),
        Metric(name="instructions_per_page", title="  instructions / page", of="instructions",
               per="pgsteal_anon"),
    ),
)  # fmt: skip
