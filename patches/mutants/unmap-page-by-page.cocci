// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: all PTEs of a lazyfree folio are cleared before the folio is removed from the
//   rmap, in one step. Page by page it would look partially mapped: it is queued for a
//   split and counted in split_deferred, and an extra reference makes it swapbacked
//   meanwhile. folio_unmap_pte_batch() in mm/rmap.c; commit 354dffd29575 ("mm: support
//   batched unmap for lazyfree large folios during reclamation") (in v6.15).
// Killed-By: madv_free/split_deferred_zero
// Not-On: <v6.16: there is no folio_unmap_pte_batch()
// Files: mm/rmap.c

@@
expression list args;
@@
  folio_unmap_pte_batch(...)
  {
  <...
- return folio_pte_batch_flags(args);
+ if (rig_mutant(UNMAP_PAGE_BY_PAGE))
+ 	return 1;
+ return folio_pte_batch_flags(args);
  ...>
  }
