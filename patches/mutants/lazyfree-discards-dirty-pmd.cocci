// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: what was written after MADV_FREE stays, also when the folio is mapped by a PMD:
//   one written byte keeps the whole folio. __discard_anon_folio_pmd_locked() in
//   mm/huge_memory.c, called by try_to_unmap_one(); commit 735ecdfaf4e8 ("mm/vmscan: avoid
//   split lazyfree THP during shrink_folio_list()") (in v6.11).
// Killed-By: madv_free/large_partial_redirty
// Not-On: v6.12: in its stable releases try_to_unmap_one() does not call
//   unmap_huge_pmd_locked(). It splits the PMD, and lazyfree-discards-dirty covers that.
// Files: mm/huge_memory.c

@@
expression f, p;
@@
  __discard_anon_folio_pmd_locked(...)
  {
  <...
(
- folio_test_dirty(f)
+ (!rig_mutant(LAZYFREE_DISCARDS_DIRTY_PMD) && folio_test_dirty(f))
|
- pmd_dirty(p)
+ (!rig_mutant(LAZYFREE_DISCARDS_DIRTY_PMD) && pmd_dirty(p))
)
  ...>
  }
