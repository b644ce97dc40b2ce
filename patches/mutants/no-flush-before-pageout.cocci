// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: the dirty TLB entries of an unmapped page are flushed before I/O on it starts. A
//   write through a stale entry would come after the page was copied to swap, and would be
//   lost. shrink_folio_list() in mm/vmscan.c calls try_to_unmap_flush_dirty() before
//   pageout(); a series that batches pageout calls it where it starts the I/O
//   (pageout_batch() of batch-dirty-tlb-flush). commit 72b252aed506 ("mm: send one IPI per
//   CPU to TLB flush all entries after unmapping pages") (in v4.3); commit d950c9477d51
//   ("mm: defer flush of writable TLB entries") (in v4.3).
// Killed-By: stale_tlb/anon_lost_write, stale_tlb/anon_lost_write_large
// Equivalent-On: arm64: arch_tlbbatch_add_pending() sends the TLBI for the page to every
//   CPU of the inner shareable domain when the PTE is cleared
//   (arch/arm64/include/asm/tlbflush.h). arch_tlbbatch_flush() only executes the DSB that
//   waits for its completion. Without the DSB a CPU keeps an entry only until the TLBI
//   reaches it, and the emulator completes a TLBI on all CPUs before the next instruction
//   of the CPU that sent it.
// Files: mm/vmscan.c

@@
@@
- try_to_unmap_flush_dirty();
+ if (!rig_mutant(NO_FLUSH_BEFORE_PAGEOUT))
+ 	try_to_unmap_flush_dirty();
