# SPDX-License-Identifier: GPL-2.0-only
"""128 MiB of lazyfree mTHPs of 64 KiB, reclaimed by MADV_PAGEOUT."""

from rig.benches.benchmark import COUNTED_BY_ICOUNT, Benchmark, Metric

BENCH = Benchmark(
    name="lazyfree_reclaim",
    summary="128 MiB of lazyfree folios of 64 KiB reclaimed by MADV_PAGEOUT",
    case="lazyfree_reclaim",
    work="alloc: 128M in folios of 64K   MADV_FREE   MADV_PAGEOUT",
    metrics=(
        Metric(name="seconds", title="seconds", of="nanoseconds", factor=1e-9, time=True),
        Metric(name="folios_per_s", title="folios/s", of="folios", per="nanoseconds", factor=1e9,
               time=True),
        Metric(name="split_deferred", title="split_deferred", of="split_deferred"),
        Metric(name="instructions_per_folio", title="instructions / folio", of="instructions",
               per="folios", lacking=COUNTED_BY_ICOUNT),
    ),
)  # fmt: skip
