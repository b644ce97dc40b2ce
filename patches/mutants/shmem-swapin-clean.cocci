// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a shmem folio that was swapped in is dirty though nobody has written to it,
//   because its swap entry is freed and it holds the only copy: the call of
//   folio_mark_dirty() at the end of shmem_swapin_folio(), since that function's
//   beginnings in shmem_unuse() (commit 54cb8821de07 ("mm: merge populate and nopage
//   into fault (fixes nonlinear)") (in v2.6.23) and before). A clean one is dropped
//   by the next reclaim.
//   The mutant leaves it clean.
// Killed-By: reclaim/shmem_roundtrip, reclaim/swapoff_under_load
// Files: mm/shmem.c

@@
expression F;
@@
  shmem_swapin_folio(...)
  {
  <...
- folio_mark_dirty(F);
+ if (!rig_mutant(SHMEM_SWAPIN_CLEAN))
+ 	folio_mark_dirty(F);
  ...>
  }
