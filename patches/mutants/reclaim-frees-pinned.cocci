// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: reclaim does not free a folio that is pinned for DMA; the device would write to
//   memory that is no longer the buffer. Several checks keep this rule, and each of them is
//   enough for anonymous pages: folio_maybe_dma_pinned() before and after the unmapping,
//   and the reference count in pageout() and in __remove_mapping() (mm/vmscan.c),
//   folio_try_share_anon_rmap_pte() in try_to_unmap_one() (mm/rmap.c). To break one of them
//   breaks nothing, so the mutant breaks all of them for pinned folios.
// Killed-By: stale_tlb/dio_pinned
// Files: mm/rmap.c, mm/vmscan.c

@@
expression f, p;
@@
  try_to_unmap_one(...)
  {
  <...
- folio_try_share_anon_rmap_pte(f, p)
+ (folio_try_share_anon_rmap_pte(f, p) &&
+  !(rig_mutant(RECLAIM_FREES_PINNED) && (ClearPageAnonExclusive(p), true)))
  ...>
  }

@@
identifier fn != {is_page_cache_freeable, __remove_mapping};
expression f;
@@
  fn(...)
  {
  <...
- folio_maybe_dma_pinned(f)
+ (!rig_mutant(RECLAIM_FREES_PINNED) && folio_maybe_dma_pinned(f))
  ...>
  }

@@
expression f;
@@
- !is_page_cache_freeable(f)
+ (!is_page_cache_freeable(f) &&
+  !(rig_mutant(RECLAIM_FREES_PINNED) && folio_maybe_dma_pinned(f)))

@@
expression f;
@@
  pageout(...)
  {
  <...
- folio_ref_count(f) != 1 + folio_nr_pages(f)
+ (folio_ref_count(f) != 1 + folio_nr_pages(f) &&
+  !(rig_mutant(RECLAIM_FREES_PINNED) && folio_maybe_dma_pinned(f)))
  ...>
  }

@@
expression f, e;
@@
  __remove_mapping(...)
  {
  <...
- folio_ref_freeze(f, e)
+ folio_ref_freeze(f, rig_mutant(RECLAIM_FREES_PINNED) && folio_maybe_dma_pinned(f) ?
+ 		     folio_ref_count(f) : e)
  ...>
  }
