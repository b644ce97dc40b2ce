// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: each page of a large folio has its own swap entry, the folio's first one plus the
//   page's index: page_swap_entry() in include/linux/swap.h, used by try_to_unmap_one() in
//   mm/rmap.c.
//   The mutant gives the first entry to all pages. It also counts the users of that
//   entry, and marks no swap PTE as exclusive, so that the swap area's accounting stays
//   correct and only the data is wrong.
// Killed-By: reclaim/anon_roundtrip, reclaim/pressure_matrix, stale_tlb/anon_lost_write_large
// Files: mm/rmap.c

@@
identifier entry, swp_pte;
expression p;
@@
  try_to_unmap_one(struct folio *folio, ...)
  {
  <...
(
- swp_entry_t entry = page_swap_entry(p);
+ swp_entry_t entry = rig_mutant(SWAP_ENTRY_OF_HEAD) ? folio->swap : page_swap_entry(p);
|
- folio_dup_swap(folio, p)
+ folio_dup_swap(folio, rig_mutant(SWAP_ENTRY_OF_HEAD) ? &folio->page : p)
|
- folio_put_swap(folio, p)
+ folio_put_swap(folio, rig_mutant(SWAP_ENTRY_OF_HEAD) ? &folio->page : p)
|
- if (anon_exclusive)
+ if (anon_exclusive && !(rig_mutant(SWAP_ENTRY_OF_HEAD) && folio_test_large(folio)))
  	swp_pte = pte_swp_mkexclusive(swp_pte);
)
  ...>
  }
