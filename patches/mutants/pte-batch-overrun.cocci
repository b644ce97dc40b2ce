// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a batch of PTEs ends at the end of the VMA, at the end of the page table, and
//   where the PTEs no longer map consecutive pages of the folio. folio_unmap_pte_batch() in
//   mm/rmap.c; commit 354dffd29575 ("mm: support batched unmap for lazyfree large folios
//   during reclamation") (in v6.15) did not check for the end of the page table, commit
//   ddd05742b45b ("mm/rmap: fix potential out-of-bounds page table access during batched
//   unmap") (in v6.16) does.
//   The mutant takes as many PTEs as the folio has pages from here on.
// Killed-By: madv_free/vma_split, madv_free/straddle_page_table
// Not-On: <v6.16: there is no folio_unmap_pte_batch()
// Files: mm/rmap.c

@@
identifier folio, pvmw, flags, pte;
expression list args;
@@
  folio_unmap_pte_batch(struct folio *folio, struct page_vma_mapped_walk *pvmw,
  			enum ttu_flags flags, pte_t pte)
  {
  <...
- return folio_pte_batch_flags(args);
+ if (rig_mutant(PTE_BATCH_OVERRUN))
+ 	return folio_pfn(folio) + folio_nr_pages(folio) - pte_pfn(pte);
+ return folio_pte_batch_flags(args);
  ...>
  }
