// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: what was written after MADV_FREE stays: when the PTE or the folio itself is
//   dirty, a lazyfree folio is mapped again and becomes swapbacked. try_to_unmap_one() in
//   mm/rmap.c; commit 802a3a92ad7a ("mm: reclaim MADV_FREE pages") (in v4.12); madvise(2),
//   MADV_FREE.
// Killed-By: madv_free/old_or_zero_redirty_kept, madv_free/large_partial_redirty,
//   madv_free/shared_after_fork
// Files: mm/rmap.c

@@
expression f;
@@
  try_to_unmap_one(...)
  {
  <...
- folio_test_dirty(f)
+ (!rig_mutant(LAZYFREE_DISCARDS_DIRTY) && folio_test_dirty(f))
  ...>
  }
