// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a lazyfree folio that is dirty, or has an extra reference, is mapped again as it
//   was: all PTEs of the batch, not only the first. try_to_unmap_one() in mm/rmap.c; commit
//   354dffd29575 ("mm: support batched unmap for lazyfree large folios during reclamation")
//   (in v6.15).
// Killed-By: madv_free/large_partial_redirty
// Not-On: <v6.15: PTEs are cleared and restored one by one
// Files: mm/rmap.c

@@
expression mm, a, p, v, n;
@@
  try_to_unmap_one(...)
  {
  <...
- set_ptes(mm, a, p, v, n);
+ set_ptes(mm, a, p, v, rig_mutant(UNDO_MAPS_ONE_PAGE) ? 1 : n);
  ...>
  }
