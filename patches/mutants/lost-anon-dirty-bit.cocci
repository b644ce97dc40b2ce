// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a PTE that is dirty when it is unmapped makes its folio dirty. A page swapped in
//   by a read stays in the swap cache, clean and mapped writable, and of its first write
//   nobody knows but the PTE: if its dirty bit goes, reclaim drops the folio, for swap
//   has it, and the write with it. try_to_unmap_one() in mm/rmap.c.
//   The mutant drops the dirty bit of anonymous pages (lost-dirty-bit that of the others).
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
