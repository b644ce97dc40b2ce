// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: the owner of a DMA pin marks the page dirty. No PTE shows what a device has
//   written, and reclaim drops a page that is clean in the swap cache.
//   Documentation/core-api/pin_user_pages.rst; block/bio.c: bio_set_pages_dirty() before
//   the I/O, bio_check_pages_dirty() after it.
//   The mutant does neither.
// Killed-By: stale_tlb/dio_pinned
// Files: block/bio.c

@@
expression f;
@@
  bio_set_pages_dirty(...)
  {
  <...
- folio_mark_dirty(f);
+ if (!rig_mutant(DIO_NOT_DIRTIED))
+ 	folio_mark_dirty(f);
  ...>
  }

@@
expression f;
@@
  bio_check_pages_dirty(...)
  {
  <...
- if (!folio_test_dirty(f))
+ if (!rig_mutant(DIO_NOT_DIRTIED) && !folio_test_dirty(f))
  	goto defer;
  ...>
  }
