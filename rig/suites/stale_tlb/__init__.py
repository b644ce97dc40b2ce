# SPDX-License-Identifier: GPL-2.0-only
"""Stale TLB entries: does a CPU go on writing through a translation the kernel has taken away?"""

from rig.suite import Case, Suite
from rig.verdict import Floor

SUITE = Suite(
    name="stale_tlb",
    summary="no CPU uses a translation after the kernel has taken it away",
    cases=(
        Case(
            name="anon_lost_write",
            guards="a dirty folio's TLB entries are flushed on every CPU before it is written out "
            "(mm/vmscan.c: shrink_folio_list(), try_to_unmap_flush_dirty())",
            iterations=40,
            seeded_iterations=8,
            floors=(
                Floor(counter="pswpout", at_least=7000),
                Floor(counter="reclaimed_by_memory_reclaim", at_least=1000),
                Floor(counter="reclaimed_by_pageout", at_least=500),
                Floor(counter="writes_raced", at_least=20_000),
                Floor(counter="words_verified", at_least=4000),
            ),
        ),
    ),
)
