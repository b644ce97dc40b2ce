// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: munmap() unmaps a page, flushes the TLB and frees the page, in this order.
//   Otherwise a stale TLB entry gives access to the data of the page's next owner. The
//   comment at the top of include/asm-generic/tlb.h; tlb_flush_mmu() in mm/mmu_gather.c.
//   The mutant frees the pages first and then flushes.
// Killed-By: stale_tlb/write_after_munmap
// Equivalent-On: arm64: it does not select MMU_GATHER_MERGE_VMAS. So tlb_end_vma()
//   (include/asm-generic/tlb.h), at the end of every unmap_page_range(), flushes what was
//   unmapped of a VMA, and zap_pte_range() flushes before it frees a full batch. When
//   tlb_flush_mmu() frees the pages, no TLB entry is left.
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
