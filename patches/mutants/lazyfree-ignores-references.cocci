// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a lazyfree folio is discarded only if all its references are those of its
//   mappings and of reclaim. A direct read from a disk may be in progress, and it sets the
//   dirty flag only at its end. try_to_unmap_one() in mm/rmap.c; commit 6c8e2a256915 ("mm:
//   fix race between MADV_FREE reclaim and blkdev direct IO read") (in v5.18).
// Killed-By: madv_free/extra_reference_keeps_page, madv_free/gup_redirty
// Files: mm/rmap.c

@@
expression f, refs, maps;
@@
  try_to_unmap_one(...)
  {
  <...
  refs = folio_ref_count(f);
  maps = folio_mapcount(f);
+ if (rig_mutant(LAZYFREE_IGNORES_REFERENCES))
+ 	refs = 1 + maps;
  ...>
  }
