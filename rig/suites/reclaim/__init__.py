# SPDX-License-Identifier: GPL-2.0-only
"""Reclaim: does memory come back as it was?"""

from rig.suites.suite import Case, Suite
from rig.verdict.floors import floors, floors_unless

FOLIOS = (4, 8, 16, 32, 64, 128, 256, 512)
"""The sizes of anonymous folios in pages; with pages of 4 KiB, the last one is mapped by a PMD."""
CELLS = tuple(
    f"{swap}_{lru}_{method}"
    for swap in ("zram", "disk")
    for lru in ("classic", "mglru")
    for method in ("reclaim", "max" if swap == "zram" else "high", "pageout", "kswapd")
)

SUITE = Suite(
    name="reclaim",
    summary="reclaimed memory comes back byte for byte",
    cases=(
        Case(
            name="anon_roundtrip",
            guards="anonymous memory of every folio size survives swap-out and swap-in "
            "(mm/vmscan.c, mm/page_io.c, mm/memory.c: do_swap_page())",
            iterations=2,
            floors=floors(
                pages_verified=4400,
                order0_pages=340,
                pswpout=6700,
                pswpin=5500,
                **{f"folios_of_{pages}": max(1, 170 // pages) for pages in FOLIOS},
            )
            + floors_unless(
                "no_thp_swap", **{f"whole_of_{pages}": max(1, 170 // pages) for pages in FOLIOS}
            ),
        ),
        Case(
            name="file_dirty",
            guards="what was written to a file is on the disk after fsync(2), also when reclaim "
            "and writeback were active before (mm/rmap.c: folio_mkclean(), try_to_unmap_one(); "
            "mm/page-writeback.c: folio_clear_dirty_for_io())",
            iterations=6,
            floors=floors(
                pages_from_disk=2000,
                pages_reclaimed=150,
                pages_written_back=900,
                stores=300,
                pwrites=200,
                finished_late=200,
            ),
        ),
        Case(
            name="shmem_roundtrip",
            guards="shared memory survives swap-out and swap-in, written by store or write(2), "
            "read by load or read(2) (mm/shmem.c: shmem_swapin_folio(); mm/rmap.c: "
            "try_to_unmap_one())",
            iterations=2,
            floors=floors(
                pages_verified=2000,
                written_after_read=200,
                pswpout_written=600,
                pswpout_unwritten=900,
                pswpin=1500,
                pages_punched=60,
                large_folios=4,
            ),
        ),
        Case(
            name="fork_cow",
            guards="after fork(2) parent and child each keep their own data, also through swap "
            "(mm/memory.c: do_wp_page(), do_swap_page(), copy_nonpresent_pte())",
            iterations=1,
            floors=floors(
                in_swap_at_fork=170,
                in_memory_at_fork=250,
                parent_writes_from_swap=100,
                child_writes_from_swap=100,
                parent_writes_from_memory=100,
                child_writes_from_memory=100,
                pages_verified=3000,
                pswpout=800,
            ),
        ),
        Case(
            name="swapoff_under_load",
            guards="swapoff(2) brings every page back to its owner, also while it is in use "
            "(mm/swapfile.c: try_to_unuse(), unuse_pte(); mm/shmem.c: shmem_unuse())",
            iterations=4,
            floors=floors(
                swapoffs=4,
                pages_in_swap_before=1000,
                forked_in_swap=80,
                pages_used_meanwhile=100,
                pages_verified=600,
            ),
        ),
        Case(
            name="mlock_stays",
            guards="a page that is locked in memory stays there (mlock(2); mm/mlock.c: "
            "mlock_folio(), mm/rmap.c: try_to_unmap_one())",
            iterations=1,
            floors=floors(
                locked_present=400,
                unlocked_gone=300,
                out_after_munlock=400,
                large_folios=5,
                # Pages of folios that are locked in part: reclaim has tried to unmap these folios.
                unlocked_gone_of_large=17,
            ),
        ),
        Case(
            name="uffd_wp_and_soft_dirty_kept",
            guards="the uffd-wp and soft-dirty bits of a PTE survive swap-out and swap-in "
            "(mm/rmap.c: try_to_unmap_one(), pte_install_uffd_wp_if_needed(); mm/memory.c: "
            "do_swap_page())",
            iterations=2,
            # No floor for soft-dirty bits: arm64 does not have them (counter soft_dirty_tested).
            floors=floors(
                uffd_wp_kept_out=500,
                uffd_wp_kept_in=500,
                uffd_writes_noticed=500,
                pages_verified=500,
                pswpout=500,
            ),
        ),
        Case(
            name="pressure_matrix",
            guards="anonymous memory survives every way into reclaim, on both LRUs, to zram and to "
            "a disk (mm/vmscan.c: user_proactive_reclaim(), try_to_free_mem_cgroup_pages(), "
            "reclaim_pages(), balance_pgdat())",
            iterations=1,
            floors=floors(
                **dict.fromkeys(CELLS, 40),
                stolen_by_kswapd=200,
                pages_verified=1400,
            ),
        ),
    ),
)
