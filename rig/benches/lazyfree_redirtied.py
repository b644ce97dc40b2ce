# SPDX-License-Identifier: GPL-2.0-only
"""128 MiB of PMD-mapped lazyfree folios, each written after MADV_FREE: reclaim keeps them all."""

from rig.benches.benchmark import COUNTED_BY_ICOUNT, Benchmark, Metric

BENCH = Benchmark(
    name="lazyfree_redirtied",
    summary="128 MiB of PMD-mapped lazyfree folios, each written again, then MADV_PAGEOUT",
    case="lazyfree_redirtied",
    work="alloc: 128M in folios of 2M   MADV_FREE   a write to each   MADV_PAGEOUT",
    metrics=(
        Metric(name="seconds", title="seconds", of="nanoseconds", factor=1e-9, time=True),
        Metric(name="split", title="split", of="split"),
        Metric(name="instructions_per_folio", title="instructions / folio", of="instructions",
               per="folios", lacking=COUNTED_BY_ICOUNT),
    ),
)  # fmt: skip
