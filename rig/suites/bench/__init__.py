# SPDX-License-Identifier: GPL-2.0-only
"""Programs that do a fixed amount of work and count what reclaim costs; rig/benches judges them."""

from rig.suites.suite import Case, Suite
from rig.verdict.floors import floors

SUITE = Suite(
    name="bench",
    summary="the cost of reclaim, in counts, by which `rig bench` compares two kernels",
    on_request=True,
    cases=(
        Case(
            name="shared_dirty_reclaim",
            guards="nothing: threads of one process dirty memory beyond their cgroup's limit",
            iterations=8,
            floors=floors(pgsteal_anon=4000, pswpout=4000, bogo_ops=16_000),
        ),
        Case(
            name="shared_clean_reclaim",
            guards="nothing: threads of one process read a mapped file beyond their cgroup's limit",
            iterations=8,
            floors=floors(pgsteal_file=4000, bogo_ops=16_000),
        ),
        Case(
            name="dirty_reclaim",
            guards="nothing: stress-ng --vm beyond its cgroup's limit, for a number of seconds",
            iterations=8,
            floors=floors(pgsteal_anon=1000),
            live_only="stress-ng runs for a time, not for a number of operations",
        ),
        Case(
            name="lazyfree_reclaim",
            guards="nothing: MADV_PAGEOUT of lazyfree folios of 64 KiB",
            iterations=16,
            floors=floors(folios=1900, pglazyfreed=30_000),
        ),
        Case(
            name="lazyfree_redirtied",
            guards="nothing: MADV_PAGEOUT of PMD-mapped lazyfree folios, each written to again",
            iterations=16,
            floors=floors(folios=60),
        ),
    ),
)
