// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a PTE that is dirty when it is unmapped makes its folio dirty. A page that is
//   swapped in by a read stays in the swap cache, clean and mapped writable, and its first
//   write sets only the PTE's dirty bit. If this bit is lost, reclaim drops the folio,
//   because swap has an (old) copy. try_to_unmap_one() in mm/rmap.c.
//   The mutant drops the dirty bit of anonymous pages (lost-dirty-bit: that of all
//   others).
// Killed-By: stale_tlb/first_write_to_clean
// Files: mm/rmap.c

@@
expression p, f;
@@
  try_to_unmap_one(...)
  {
  <...
+ if (rig_mutant(LOST_ANON_DIRTY_BIT) && folio_test_anon(f))
+ 	p = pte_mkclean(p);
  if (pte_dirty(p))
  	folio_mark_dirty(f);
  ...>
  }
