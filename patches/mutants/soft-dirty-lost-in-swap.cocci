// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a page that was written since the soft-dirty bits were cleared is soft-dirty, in
//   swap and after swap-in: Documentation/admin-guide/mm/soft-dirty.rst; commit
//   179ef71cbc08 ("mm: save soft-dirty bits on swapped pages") (in v3.11):
//   try_to_unmap_one() copies the bit to the swap PTE.
//   The mutant does not copy it.
// Killed-By: reclaim/uffd_wp_and_soft_dirty_kept
// Equivalent-On: arm64: it has no soft-dirty bit (no HAVE_ARCH_SOFT_DIRTY):
//   pte_soft_dirty() is 0 (include/linux/pgtable.h), so the branch is never taken.
// Files: mm/rmap.c

@@
identifier pteval;
@@
  try_to_unmap_one(...)
  {
  <...
- pte_soft_dirty(pteval)
+ (pte_soft_dirty(pteval) && !rig_mutant(SOFT_DIRTY_LOST_IN_SWAP))
  ...>
  }
