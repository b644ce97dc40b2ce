// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: each page of a large folio has a swap entry of its own, the folio's first plus its
//   index: page_swap_entry() in include/linux/swap.h, used by try_to_unmap_one() in
//   mm/rmap.c.
//   The mutant gives all of them the first one. So that the books of the swap area stay
//   right, and nothing but the data is wrong, the first one's users are counted, and no
//   swap PTE says that it is the only one.
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
