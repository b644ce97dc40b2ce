# SPDX-License-Identifier: GPL-2.0-only
"""Stale TLB entries: can a CPU still use a page after the kernel has unmapped it?"""

from rig.suites.suite import Case, Suite
from rig.verdict.floors import floors, floors_unless

SUITE = Suite(
    name="stale_tlb",
    summary="no CPU uses a page through a stale TLB entry",
    cases=(
        Case(
            name="anon_lost_write",
            guards="a dirty folio's TLB entries are flushed on every CPU before it is written out "
            "(mm/vmscan.c: shrink_folio_list(), try_to_unmap_flush_dirty())",
            pages=4096,
            iterations=16,
            seeded_iterations=4,
            floors=floors(
                pswpout=3000,
                reclaimed_by_memory_reclaim=80,
                reclaimed_by_pageout=12,
                writes_raced=20_000,
                words_verified=4000,
            ),
        ),
        Case(
            name="anon_lost_write_large",
            guards="every PTE of a large folio is flushed before the folio is written out, and "
            "each page has its own swap entry (mm/rmap.c: try_to_unmap_one(); mm/vmscan.c: "
            "shrink_folio_list())",
            iterations=4,
            floors=floors(
                mthp_sizes_used=6,
                mthp_folios=250,
                pswpout=3000,
                reclaimed_by_memory_reclaim=300,
                reclaimed_by_pageout=50,
                writes_raced=20_000,
                words_verified=14_000,
            )
            + floors_unless("no_thp_swap", mthp_swapped_out_whole=280),
        ),
        Case(
            name="first_write_to_clean",
            guards="the first write to a clean page is kept, also if the page is just being "
            "unmapped (mm/rmap.c: try_to_unmap_one(), the dirty bit set by hardware)",
            pages=1024,
            iterations=16,
            floors=floors(
                pswpout=600,
                pswpin=500,
                dropped_clean=50,
                writes=150,
                writes_raced=15,
                words_verified=3000,
            ),
        ),
        Case(
            name="read_after_free",
            guards="no CPU has a TLB entry, not even a clean one, for a page that is freed "
            "(mm/vmscan.c: try_to_unmap_flush() before free_unref_folios())",
            pages=1024,
            iterations=16,
            floors=floors(
                pswpout=600,
                pswpin=600,
                frames_reused=30,
                writes_raced=50_000,
                words_verified=3000,
            ),
        ),
        Case(
            name="migration_lost_write",
            guards="a migrating folio's TLB entries are flushed before it is copied "
            "(mm/migrate.c: migrate_pages_batch(), try_to_unmap_flush())",
            iterations=12,
            floors=floors(
                sizes_used=2,
                migrated_by_move_pages=1000,
                migrated_by_compaction=100,
                writes_raced=20_000,
                words_verified=3000,
            )
            + floors_unless("no_pmd_folios", thp_migration_success=1),
        ),
        Case(
            name="dio_pinned",
            guards="a page that is pinned for DMA is not reclaimed, and is dirty afterwards "
            "(mm/vmscan.c: folio_maybe_dma_pinned(); block/bio.c: bio_set_pages_dirty())",
            iterations=96,
            floors=floors(
                pswpout=150,
                reclaimed_by_pageout=30,
                reclaimed_by_memory_reclaim=10,
                pageouts_in_reads=1,
                reads=50,
                pages_verified=1200,
            ),
        ),
        Case(
            name="shared_file_lost_write",
            guards="a store through a shared mapping of a file is on the disk after fsync: "
            "writeback and reclaim leave no TLB entry behind (mm/rmap.c: page_vma_mkclean_one(); "
            "mm/vmscan.c: shrink_folio_list(), try_to_unmap_flush())",
            pages=2048,
            iterations=16,
            floors=floors(
                pages_written=600,
                dirty_unmapped=200,
                clean_freed=40,
                words_on_disk=7000,
                words_verified=6000,
                writes_raced=20_000,
            ),
        ),
        Case(
            name="shmem_lost_write",
            guards="tmpfs: TLB entries are flushed before the page is written to swap, and the "
            "unmapping moves the PTE's dirty bit, the only trace of a store, to the folio "
            "(mm/rmap.c: try_to_unmap_one(); mm/vmscan.c: shrink_folio_list())",
            pages=4096,
            iterations=16,
            floors=floors(
                pswpout=700,
                rounds_holes=8,
                large_folios=10,
                reclaimed_by_memory_reclaim=100,
                reclaimed_by_pageout=40,
                words_verified=12_000,
                writes_raced=20_000,
            ),
        ),
        Case(
            name="write_after_mprotect",
            guards="no thread's store lands after mprotect(PROT_READ) has returned, also where "
            "reclaim's flush is still pending (mm/mprotect.c: change_pte_range(), "
            "flush_tlb_batched_pending(); mm/huge_memory.c: change_huge_pmd())",
            iterations=48,
            floors=floors(
                stores_refused=100,
                calls_in_time=1,
                reclaimed=40,
                migrated=1000,
            )
            + floors_unless("no_pmd_folios", pmds_taken=3),
        ),
        Case(
            name="write_after_mremap",
            guards="no thread's store to the old address lands after mremap() has returned, also "
            "where reclaim's flush is still pending (mm/mremap.c: move_ptes(), "
            "flush_tlb_batched_pending())",
            iterations=48,
            floors=floors(
                stores_refused=100,
                calls_in_time=1,
                reclaimed=40,
                migrated=1000,
                calls_dontunmap=20,
            ),
        ),
        Case(
            name="write_after_munmap",
            guards="no thread's store lands after munmap() has returned, nor in a page it freed "
            "(mm/memory.c: zap_pte_range(), flush_tlb_batched_pending(); mm/mmu_gather.c: "
            "tlb_flush_mmu())",
            iterations=96,
            floors=floors(
                stores_refused=200,
                calls_in_time=1,
                reclaimed=50,
                migrated=500,
                in_time_unmap_anon=4,
            ),
        ),
    ),
)
