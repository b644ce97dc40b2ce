// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: unhook the page, flush the TLB, free the page, in this order: else its next
//   owner's bytes can be read, and written, through what is left in the TLB. The
//   comment on top of include/asm-generic/tlb.h; tlb_flush_mmu() in mm/mmu_gather.c.
//   The mutant frees the pages first and then flushes.
// Killed-By: stale_tlb/write_after_munmap
// Equivalent-On: arm64: it does not select MMU_GATHER_MERGE_VMAS, so tlb_end_vma()
//   (include/asm-generic/tlb.h), which ends every unmap_page_range(), flushes what was
//   unmapped of a VMA, and zap_pte_range() does before it frees a full batch: when
//   tlb_flush_mmu() comes to free pages nothing is left in the TLB.
// Files: mm/mmu_gather.c

@@
identifier tlb;
@@
  tlb_flush_mmu(struct mmu_gather *tlb)
  {
+ 	if (rig_mutant(MUNMAP_FREE_BEFORE_FLUSH))
+ 		tlb_batch_pages_flush(tlb);
  	tlb_flush_mmu_tlbonly(tlb);
  	...
  }
