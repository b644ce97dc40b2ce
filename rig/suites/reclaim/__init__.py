# SPDX-License-Identifier: GPL-2.0-only
"""Reclaim: does memory come back as it went out?"""

from rig.suite import Case, Suite
from rig.verdict import Floor

SUITE = Suite(
    name="reclaim",
    summary="what is reclaimed comes back byte for byte",
    cases=(
        Case(
            name="anon_roundtrip",
            guards="anonymous memory of every folio size survives swap-out and swap-in "
            "(mm/vmscan.c, mm/page_io.c, mm/memory.c: do_swap_page())",
            iterations=2,
            floors=(
                Floor(counter="pages_verified", at_least=20_000),
                Floor(counter="pswpout", at_least=20_000),
                Floor(counter="pswpin", at_least=20_000),
                Floor(counter="mthp_folios", at_least=500),
                Floor(counter="mthp_swapped_out_whole", at_least=500),
            ),
        ),
    ),
)
