// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a clean lazyfree folio stays lazyfree when it cannot be discarded because of an
//   extra reference; only a write makes it dirty. If it became swapbacked, it would be
//   swapped out later instead of dropped. try_to_unmap_one() in mm/rmap.c; commit
//   faeb2831b517 ("mm: set folio swapbacked iff folios are dirty in try_to_unmap_one") (in
//   v6.15).
// Killed-By: madv_free/extra_reference_stays_lazyfree
// Not-On: <v6.15: older kernels make it swapbacked.
// Files: mm/rmap.c

@@
expression f, refs, maps;
@@
  try_to_unmap_one(...)
  {
  <...
  refs = folio_ref_count(f);
  maps = folio_mapcount(f);
+ if (rig_mutant(LAZYFREE_EXTRA_REF_SWAPBACKED) && refs != 1 + maps)
+ 	folio_set_swapbacked(f);
  ...>
  }
