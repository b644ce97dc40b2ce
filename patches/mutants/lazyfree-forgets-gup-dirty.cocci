// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: whether a lazyfree folio was written to is asked of the folio, not of the PTE
//   alone: direct I/O writes past the page tables, and makes the folio dirty only.
//   try_to_unmap_one() in mm/rmap.c; commit 6c8e2a256915 ("mm: fix race between MADV_FREE
//   reclaim and blkdev direct IO read") (in v5.18).
// Killed-By: madv_free/gup_redirty
// Files: mm/rmap.c

@@
expression f;
@@
  try_to_unmap_one(...)
  {
  <...
- folio_test_dirty(f)
+ (rig_mutant(LAZYFREE_FORGETS_GUP_DIRTY) ? pte_dirty(pteval) : folio_test_dirty(f))
  ...>
  }
