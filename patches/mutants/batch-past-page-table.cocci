// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a batch of PTEs ends where the page table ends, even if what is behind it in memory
//   looks as if it went on. folio_unmap_pte_batch() in mm/rmap.c; commit ddd05742b45b
//   ("mm/rmap: fix potential out-of-bounds page table access during batched unmap")
//   (in v6.16). The mutant is that bug as v6.15 had it: all else that ends a batch still
//   does, the PTEs' values first of all. pte-batch-overrun does not look at them.
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
