// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a lazyfree folio is dirty if its own flag is set, not only if the PTE is dirty:
//   direct I/O writes without the page tables and sets only the folio's flag.
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
