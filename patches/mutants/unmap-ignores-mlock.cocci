// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: reclaim does not unmap pages of an mlock()ed mapping, not even when they are a
//   part of a large folio whose other pages may be unmapped. try_to_unmap_one() in
//   mm/rmap.c (VM_LOCKED); commit 1acbc3f93614 ("mm: handle large folio when large folio in
//   VM_LOCKED VMA range") (in v6.7).
// Killed-By: reclaim/mlock_stays, madv_free/vma_split
// Files: mm/rmap.c

@@
expression f;
@@
  try_to_unmap_one(...)
  {
  <...
- !(f & TTU_IGNORE_MLOCK)
+ !rig_mutant(UNMAP_IGNORES_MLOCK) && !(f & TTU_IGNORE_MLOCK)
  ...>
  }
