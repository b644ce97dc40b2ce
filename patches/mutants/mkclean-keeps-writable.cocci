// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: when writeback cleans a page of a shared file mapping, it makes the PTE
//   read-only, so that the next store faults and makes the folio dirty again: commit
//   d08b3851da41 ("[PATCH] mm: tracking shared dirty pages") (in v2.6.19),
//   page_vma_mkclean_one(). Otherwise only the PTE's dirty bit shows the store, and the
//   next fsync() does not write it.
//   The mutant cleans the PTE and leaves it writable.
// Killed-By: reclaim/file_dirty
// Files: mm/rmap.c

@@
expression E;
@@
  page_vma_mkclean_one(...)
  {
  <...
- E = pte_wrprotect(E);
+ if (!rig_mutant(MKCLEAN_KEEPS_WRITABLE))
+ 	E = pte_wrprotect(E);
  ...>
  }
