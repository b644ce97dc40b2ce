# SPDX-License-Identifier: GPL-2.0-only
"""Stale TLB entries: does a CPU go on writing through a translation the kernel has taken away?"""

from rig.suite import DISK, Case, Suite
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
                Floor(counter="pswpout", at_least=4000),
                Floor(counter="reclaimed_by_memory_reclaim", at_least=400),
                Floor(counter="reclaimed_by_pageout", at_least=100),
                Floor(counter="writes_raced", at_least=20_000),
                Floor(counter="words_verified", at_least=4000),
            ),
        ),
        Case(
            name="anon_lost_write_large",
            guards="every PTE of a large folio is flushed before the folio is written out, and "
            "each page has its own swap entry (mm/rmap.c: try_to_unmap_one(); mm/vmscan.c: "
            "shrink_folio_list())",
            iterations=4,
            floors=(
                Floor(counter="mthp_sizes_used", at_least=6),
                Floor(counter="mthp_folios", at_least=250),
                Floor(counter="mthp_swapped_out_whole", at_least=280),
                Floor(counter="pswpout", at_least=3000),
                Floor(counter="reclaimed_by_memory_reclaim", at_least=300),
                Floor(counter="reclaimed_by_pageout", at_least=50),
                Floor(counter="writes_raced", at_least=20_000),
                Floor(counter="words_verified", at_least=14_000),
            ),
        ),
        Case(
            name="first_write_to_clean",
            live_only=DISK,
            guards="the first write to a clean page is kept while the page is unmapped "
            "(mm/rmap.c: try_to_unmap_one(), the dirty bit set by hardware)",
            iterations=24,
            floors=(
                Floor(counter="pswpout", at_least=600),
                Floor(counter="pswpin", at_least=500),
                Floor(counter="dropped_clean", at_least=50),
                Floor(counter="writes", at_least=150),
                Floor(counter="writes_raced", at_least=15),
                Floor(counter="words_verified", at_least=3000),
            ),
        ),
        Case(
            name="read_after_free",
            live_only=DISK,
            guards="no CPU has a translation, not even a clean one, for a page that is freed "
            "(mm/vmscan.c: try_to_unmap_flush() before free_unref_folios())",
            iterations=16,
            floors=(
                Floor(counter="pswpout", at_least=600),
                Floor(counter="pswpin", at_least=600),
                Floor(counter="frames_reused", at_least=30),
                Floor(counter="writes_raced", at_least=50_000),
                Floor(counter="words_verified", at_least=3000),
            ),
        ),
        Case(
            name="migration_lost_write",
            guards="a migrating folio's TLB entries are flushed before it is copied "
            "(mm/migrate.c: migrate_pages_batch(), try_to_unmap_flush())",
            iterations=12,
            floors=(
                Floor(counter="sizes_used", at_least=2),
                Floor(counter="migrated_by_move_pages", at_least=1000),
                Floor(counter="migrated_by_compaction", at_least=100),
                Floor(counter="thp_migration_success", at_least=1),
                Floor(counter="writes_raced", at_least=20_000),
                Floor(counter="words_verified", at_least=3000),
            ),
        ),
        Case(
            name="dio_pinned",
            live_only=DISK,
            guards="a page pinned for DMA is not reclaimed, and is dirty afterwards "
            "(mm/vmscan.c: folio_maybe_dma_pinned(); block/bio.c: bio_set_pages_dirty())",
            iterations=96,
            floors=(
                Floor(counter="pswpout", at_least=150),
                Floor(counter="reclaimed_by_pageout", at_least=30),
                Floor(counter="reclaimed_by_memory_reclaim", at_least=10),
                Floor(counter="pageouts_in_reads", at_least=1),
                Floor(counter="reads", at_least=50),
                Floor(counter="pages_verified", at_least=1200),
            ),
        ),
        Case(
            name="shared_file_lost_write",
            live_only=DISK,
            guards="a store through a shared mapping of a file is on the disk after fsync: "
            "writeback and reclaim leave no TLB entry behind (mm/rmap.c: page_vma_mkclean_one(); "
            "mm/vmscan.c: shrink_folio_list(), try_to_unmap_flush())",
            iterations=16,
            floors=(
                Floor(counter="pages_written", at_least=600),
                Floor(counter="dirty_unmapped", at_least=200),
                Floor(counter="clean_freed", at_least=40),
                Floor(counter="words_on_disk", at_least=9000),
                Floor(counter="words_verified", at_least=6000),
                Floor(counter="writes_raced", at_least=20_000),
            ),
        ),
        Case(
            name="shmem_lost_write",
            guards="tmpfs: TLB entries are flushed before the page is written to swap, and the "
            "PTE's dirty bit, all that is known of a store, becomes the folio's at the unmapping "
            "(mm/rmap.c: try_to_unmap_one(); mm/vmscan.c: shrink_folio_list())",
            iterations=16,
            floors=(
                Floor(counter="pswpout", at_least=700),
                Floor(counter="rounds_holes", at_least=8),
                Floor(counter="large_folios", at_least=10),
                Floor(counter="reclaimed_by_memory_reclaim", at_least=100),
                Floor(counter="reclaimed_by_pageout", at_least=40),
                Floor(counter="words_verified", at_least=12_000),
                Floor(counter="writes_raced", at_least=20_000),
            ),
        ),
        Case(
            name="write_after_mprotect",
            live_only=DISK,
            guards="no thread's store lands once mprotect(PROT_READ) has returned, nor where "
            "reclaim owes a flush (mm/mprotect.c: change_pte_range(), flush_tlb_batched_pending())",
            iterations=48,
            floors=(
                Floor(counter="stores_refused", at_least=100),
                Floor(counter="calls_in_time", at_least=1),
                Floor(counter="reclaimed", at_least=100),
                Floor(counter="migrated", at_least=1000),
            ),
        ),
        Case(
            name="write_after_mremap",
            live_only=DISK,
            guards="no thread's store to the old address lands once mremap() has returned, nor "
            "where reclaim owes a flush (mm/mremap.c: move_ptes(), flush_tlb_batched_pending())",
            iterations=48,
            floors=(
                Floor(counter="stores_refused", at_least=100),
                Floor(counter="calls_in_time", at_least=1),
                Floor(counter="reclaimed", at_least=100),
                Floor(counter="migrated", at_least=1000),
            ),
        ),
        Case(
            name="write_after_munmap",
            live_only=DISK,
            guards="no thread's store lands once munmap() has returned, nor in a page it has freed "
            "(mm/memory.c: zap_pte_range(), flush_tlb_batched_pending(); mm/mmu_gather.c: "
            "tlb_flush_mmu())",
            iterations=96,
            floors=(
                Floor(counter="stores_refused", at_least=200),
                Floor(counter="calls_in_time", at_least=1),
                Floor(counter="reclaimed", at_least=50),
                Floor(counter="migrated", at_least=500),
                Floor(counter="in_time_unmap_anon", at_least=4),
            ),
        ),
    ),
)
