// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: no TLB entry for a page is left when reclaim frees it, a clean one either:
//   its next owner's bytes would be readable through it. try_to_unmap_flush() in
//   mm/vmscan.c, before every free_unref_folios() there.
//   commit 72b252aed506 ("mm: send one IPI per CPU to TLB flush all entries after
//   unmapping pages") (in v4.3).
// Killed-By: stale_tlb/read_after_free, stale_tlb/shared_file_lost_write
// Equivalent-On: arm64: arch_tlbbatch_add_pending() sends the TLBI for the page
//   itself, to every CPU of the inner shareable domain, when the PTE is cleared
//   (arch/arm64/include/asm/tlbflush.h); all arch_tlbbatch_flush() has left to do is the
//   DSB that waits for its completion. Without it no CPU keeps an entry for longer
//   than its TLBI is on the way, and the emulator completes a TLBI on all CPUs
//   before the next instruction of the one that sent it.
// Files: mm/vmscan.c

@@
@@
- try_to_unmap_flush();
+ if (!rig_mutant(NO_FLUSH_BEFORE_FREE))
+ 	try_to_unmap_flush();
