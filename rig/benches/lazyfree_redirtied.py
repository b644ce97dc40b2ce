# SPDX-License-Identifier: GPL-2.0-only
"""128 MiB of lazyfree folios of a PMD, each written to since: reclaim gives up on all of them."""

from rig.benches.benchmark import COUNTED_BY_ICOUNT, Benchmark, Metric

BENCH = Benchmark(
    name="lazyfree_redirtied",
    summary="128 MiB of lazyfree folios of a PMD, redirtied, and MADV_PAGEOUT",
    case="lazyfree_redirtied",
    work="alloc: 128M in folios of 2M   MADV_FREE   a write to each   MADV_PAGEOUT",
    metrics=(
        Metric(name="seconds", title="seconds", of="nanoseconds", factor=1e-9, time=True),
        Metric(name="split", title="split", of="split"),
        Metric(name="instructions_per_folio", title="instructions / folio", of="instructions",
               per="folios", lacking=COUNTED_BY_ICOUNT),
    ),
)  # fmt: skip
