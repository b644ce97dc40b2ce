// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: when reclaim frees a page, no TLB entry for it is left, not even a clean one; the
//   data of the page's next owner could be read through it. try_to_unmap_flush() in
//   mm/vmscan.c, before every free_unref_folios() there. commit 72b252aed506 ("mm: send one
//   IPI per CPU to TLB flush all entries after unmapping pages") (in v4.3).
//   The mutant breaks both calls. The one at the end of shrink_folio_list() is enough for
//   both cases, although in fewer guests. The one in the loop, which frees 31 folios at a
//   time, is not: the flush at the end soon does what it left out, and no case sees it alone.
// Killed-By: stale_tlb/read_after_free, stale_tlb/shared_file_lost_write
// Equivalent-On: arm64: arch_tlbbatch_add_pending() sends the TLBI for the page to every
//   CPU of the inner shareable domain when the PTE is cleared
//   (arch/arm64/include/asm/tlbflush.h). arch_tlbbatch_flush() only executes the DSB that
//   waits for its completion. Without the DSB a CPU keeps an entry only until the TLBI
//   reaches it, and the emulator completes a TLBI on all CPUs before the next instruction
//   of the CPU that sent it.
// Files: mm/vmscan.c

@@
@@
- try_to_unmap_flush();
+ if (!rig_mutant(NO_FLUSH_BEFORE_FREE))
+ 	try_to_unmap_flush();
