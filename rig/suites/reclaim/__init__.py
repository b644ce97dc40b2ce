# SPDX-License-Identifier: GPL-2.0-only
"""Reclaim: does memory come back as it went out?"""

from rig.suite import DISK, Case, Suite
from rig.verdict import Floor

FOLIOS_KB = (16, 32, 64, 128, 256, 512, 1024, 2048)
"""The sizes of anonymous folios with pages of 4 KiB, the last of them mapped by a PMD."""
CELLS = tuple(
    f"{swap}_{lru}_{method}"
    for swap in ("zram", "disk")
    for lru in ("classic", "mglru")
    for method in ("reclaim", "max" if swap == "zram" else "high", "pageout", "kswapd")
)

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
                Floor(counter="pages_verified", at_least=4400),
                Floor(counter="order0_pages", at_least=340),
                Floor(counter="pswpout", at_least=6700),
                Floor(counter="pswpin", at_least=5500),
                *(Floor(counter=f"folios_{kb}k", at_least=max(1, 680 // kb)) for kb in FOLIOS_KB),
                *(Floor(counter=f"whole_{kb}k", at_least=max(1, 680 // kb)) for kb in FOLIOS_KB),
            ),
        ),
        Case(
            name="file_dirty",
            live_only=DISK,
            guards="what was written to a file is on the disk after fsync(2), whatever reclaim and "
            "writeback did before (mm/rmap.c: folio_mkclean(), try_to_unmap_one(); "
            "mm/page-writeback.c: folio_clear_dirty_for_io())",
            iterations=6,
            floors=(
                Floor(counter="pages_from_disk", at_least=2000),
                Floor(counter="pages_reclaimed", at_least=150),
                Floor(counter="pages_written_back", at_least=900),
                Floor(counter="stores", at_least=300),
                Floor(counter="pwrites", at_least=200),
                Floor(counter="finished_late", at_least=200),
            ),
        ),
        Case(
            name="shmem_roundtrip",
            guards="shared memory survives swap-out and swap-in, written by store or write(2), "
            "read by load or read(2) (mm/shmem.c: shmem_swapin_folio(); mm/rmap.c: "
            "try_to_unmap_one())",
            iterations=2,
            floors=(
                Floor(counter="pages_verified", at_least=2000),
                Floor(counter="written_after_read", at_least=200),
                Floor(counter="pswpout_written", at_least=600),
                Floor(counter="pswpout_unwritten", at_least=900),
                Floor(counter="pswpin", at_least=1500),
                Floor(counter="pages_punched", at_least=60),
                Floor(counter="large_folios", at_least=4),
            ),
        ),
        Case(
            name="fork_cow",
            guards="after fork(2) parent and child each keep their own bytes, through swap as well "
            "(mm/memory.c: do_wp_page(), do_swap_page(), copy_nonpresent_pte())",
            iterations=1,
            floors=(
                Floor(counter="in_swap_at_fork", at_least=170),
                Floor(counter="in_memory_at_fork", at_least=250),
                Floor(counter="parent_writes_from_swap", at_least=100),
                Floor(counter="child_writes_from_swap", at_least=100),
                Floor(counter="parent_writes_from_memory", at_least=100),
                Floor(counter="child_writes_from_memory", at_least=100),
                Floor(counter="pages_verified", at_least=3000),
                Floor(counter="pswpout", at_least=800),
            ),
        ),
        Case(
            name="swapoff_under_load",
            live_only=DISK,
            guards="swapoff(2) gives every page back to whom it belongs, while it is in use "
            "(mm/swapfile.c: try_to_unuse(), unuse_pte(); mm/shmem.c: shmem_unuse())",
            iterations=4,
            floors=(
                Floor(counter="swapoffs", at_least=4),
                Floor(counter="pages_in_swap_before", at_least=1000),
                Floor(counter="forked_in_swap", at_least=80),
                Floor(counter="pages_used_meanwhile", at_least=100),
                Floor(counter="pages_verified", at_least=600),
            ),
        ),
        Case(
            name="mlock_stays",
            guards="a page locked in memory stays there (mlock(2); mm/mlock.c: mlock_folio(), "
            "mm/rmap.c: try_to_unmap_one())",
            iterations=1,
            floors=(
                Floor(counter="locked_present", at_least=400),
                Floor(counter="unlocked_gone", at_least=300),
                Floor(counter="out_after_munlock", at_least=400),
                Floor(counter="large_folios", at_least=5),
                # The folios only a look at VM_LOCKED protects: reclaim has tried to unmap them.
                Floor(counter="unlocked_gone_of_large", at_least=17),
            ),
        ),
        Case(
            name="uffd_wp_and_soft_dirty_kept",
            guards="the uffd-wp and soft-dirty bits of a PTE go to swap and back with the page "
            "(mm/rmap.c: try_to_unmap_one(), pte_install_uffd_wp_if_needed(); mm/memory.c: "
            "do_swap_page())",
            iterations=2,
            # No floor for soft-dirty bits: arm64 has none, see the counter soft_dirty_tested.
            floors=(
                Floor(counter="uffd_wp_kept_out", at_least=500),
                Floor(counter="uffd_wp_kept_in", at_least=500),
                Floor(counter="uffd_writes_noticed", at_least=500),
                Floor(counter="pages_verified", at_least=500),
                Floor(counter="pswpout", at_least=500),
            ),
        ),
        Case(
            name="pressure_matrix",
            live_only=DISK,
            guards="anonymous memory survives every way into reclaim, on both LRUs, to zram and to "
            "a disk (mm/vmscan.c: user_proactive_reclaim(), try_to_free_mem_cgroup_pages(), "
            "reclaim_pages(), balance_pgdat())",
            iterations=1,
            floors=(
                *(Floor(counter=cell, at_least=40) for cell in CELLS),
                Floor(counter="stolen_by_kswapd", at_least=200),
                Floor(counter="pages_verified", at_least=1400),
            ),
        ),
    ),
)
