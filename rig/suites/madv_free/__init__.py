# SPDX-License-Identifier: GPL-2.0-only
"""MADV_FREE: is every page all old or all zero, and is a later write kept?"""

from rig.suites.suite import Case, Suite
from rig.verdict.floors import floors

SUITE = Suite(
    name="madv_free",
    summary="after MADV_FREE a page is all old or all zero, and a later write is kept",
    cases=(
        Case(
            name="old_or_zero_redirty_kept",
            guards="a lazyfree page is dropped only if it is clean, and a write after MADV_FREE is "
            "kept (madvise(2); mm/rmap.c: try_to_unmap_one())",
            iterations=9,
            # 9 rounds cover every folio size, every method and both LRUs.
            floors=floors(
                pglazyfreed=1200,
                pages_freed_zero=1200,
                pages_kept_old=500,
                pages_redirtied=120,
                pages_redirtied_racing=120,
                writes_raced=40,
            ),
        ),
        Case(
            name="large_partial_redirty",
            guards="one written word keeps a whole lazyfree folio, except for pages that were "
            "unmapped before (mm/rmap.c: try_to_unmap_one(); mm/huge_memory.c: "
            "__discard_anon_folio_pmd_locked())",
            iterations=8,
            floors=floors(
                folios_written=80, pages_kept=1500, pages_left_zero=2500, pglazyfreed=1200
            ),
        ),
        Case(
            name="straddle_page_table",
            guards="walks and batches of a folio's PTEs end at the end of the page table "
            "(mm/page_vma_mapped.c; mm/rmap.c: folio_unmap_pte_batch())",
            iterations=14,
            floors=floors(
                folios_whole=35, pages_dropped=2000, pglazyfreed=1800, decoys_read_back=70
            ),
        ),
        Case(
            name="vma_split",
            guards="each part of a lazyfree folio obeys its own mapping: locked pages are kept, "
            "read-only pages stay read-only (mm/rmap.c: try_to_unmap_one(), VM_LOCKED)",
            iterations=8,
            floors=floors(
                folios_part_unmapped=25,
                pages_locked=250,
                pages_still_read_only=120,
                pages_zero=1200,
                pglazyfreed=500,
            ),
        ),
        Case(
            name="gup_redirty",
            guards="what a device reads into a lazyfree page stays: references and the folio's "
            "dirty flag are checked after the PTEs are cleared (mm/rmap.c: try_to_unmap_one())",
            iterations=12,
            floors=floors(
                pages_read=1100, pages_in_the_moment=70, reclaims_raced=10, pglazyfreed=150
            ),
        ),
        Case(
            name="extra_reference_keeps_page",
            guards="a lazyfree page is not dropped while somebody else holds a reference to it "
            "(mm/rmap.c: try_to_unmap_one())",
            iterations=9,
            floors=floors(pages_pinned=1500, others_dropped=1500, pglazyfreed=1500),
        ),
        Case(
            name="extra_reference_stays_lazyfree",
            guards="a reference does not make a clean lazyfree folio swapbacked: without the "
            "reference it is dropped (mm/rmap.c: try_to_unmap_one(); since v6.15)",
            iterations=9,
            floors=floors(pages_pinned=1500, unpinned_dropped=1500, pglazyfreed=1500),
        ),
        Case(
            name="shared_after_fork",
            guards="MADV_FREE applies to one mapping of a shared folio: a process that did not "
            "call it keeps its data (mm/rmap.c: try_to_unmap_one(); mm/madvise.c)",
            iterations=9,
            floors=floors(pages_written=90, parent_zero=2500, child_old=1500, pglazyfreed=700),
        ),
        Case(
            name="cow_after_failed_unmap",
            guards="a read-only PTE is read-only again when the unmapping of its folio is undone "
            "(mm/rmap.c: folio_unmap_pte_batch())",
            iterations=10,
            floors=floors(folios=80, folios_put_back=60, pages_copied=1300, child_old=800),
        ),
        Case(
            name="droppable",
            guards="MAP_DROPPABLE memory is dropped in whole pages, dirty or not, and never "
            "swapped (mm/rmap.c: try_to_unmap_one())",
            iterations=9,
            floors=floors(pages_written=3000, pages_dropped=3000, forks_wiped=1),
        ),
        Case(
            name="split_deferred_zero",
            guards="reclaim of a lazyfree folio does not queue it for a deferred split "
            "(mm/rmap.c: try_to_unmap_one(); since v6.16)",
            iterations=8,
            floors=floors(folios=150, pages_zero=2500, pglazyfreed=2500),
        ),
    ),
)
