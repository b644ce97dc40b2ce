// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a batch of PTEs ends at the end of the page table, even if the page behind it in
//   memory looks like matching PTEs. folio_unmap_pte_batch() in mm/rmap.c; commit
//   ddd05742b45b ("mm/rmap: fix potential out-of-bounds page table access during batched
//   unmap") (in v6.16).
//   The mutant is this bug as it was in v6.15: everything else that ends a batch still
//   does, above all the values of the PTEs. pte-batch-overrun does not check these.
// Killed-By: madv_free/straddle_page_table
// Not-On: <v6.16: there is no folio_unmap_pte_batch()
// Files: mm/rmap.c

@@
expression a, e;
@@
  folio_unmap_pte_batch(...)
  {
  <...
- pmd_addr_end(a, e)
+ (rig_mutant(BATCH_PAST_PAGE_TABLE) ? (e) : pmd_addr_end(a, e))
  ...>
  }
