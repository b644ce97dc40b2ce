// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: dirty TLB entries are gone before I/O starts on a page that was unmapped:
//   a write through a stale one would come after the page was copied to swap, and be
//   lost with the page. That is what try_to_unmap_flush_dirty() is called for in
//   mm/vmscan.c: in shrink_folio_list() before pageout(), and by a series that
//   batches pageout wherever it starts it (pageout_batch() of
//   batch-dirty-tlb-flush).
//   commit 72b252aed506 ("mm: send one IPI per CPU to TLB flush all entries after
//   unmapping pages") (in v4.3); commit d950c9477d51 ("mm: defer flush of writable
//   TLB entries") (in v4.3).
// Killed-By: stale_tlb/anon_lost_write, stale_tlb/anon_lost_write_large
// Equivalent-On: arm64: arch_tlbbatch_add_pending() sends the TLBI for the page
//   itself, to every CPU of the inner shareable domain, when the PTE is cleared
//   (arch/arm64/include/asm/tlbflush.h); all arch_tlbbatch_flush() has left to do is the
//   DSB that waits for its completion. Without it no CPU keeps an entry for longer
//   than its TLBI is on the way, and the emulator completes a TLBI on all CPUs
//   before the next instruction of the one that sent it.
// Files: mm/vmscan.c

@@
@@
- try_to_unmap_flush_dirty();
+ if (!rig_mutant(NO_FLUSH_BEFORE_PAGEOUT))
+ 	try_to_unmap_flush_dirty();
