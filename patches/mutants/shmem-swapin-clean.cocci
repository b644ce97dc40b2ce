// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a shmem folio that was swapped in is dirty although it was not written: its swap
//   entry is freed, so it holds the only copy. folio_mark_dirty() at the end of
//   shmem_swapin_folio() does this, as shmem_unuse() did before (commit 54cb8821de07 ("mm:
//   merge populate and nopage into fault (fixes nonlinear)") (in v2.6.23) and earlier). The
//   next reclaim drops a clean folio.
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
