// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: who has pinned a page for DMA into it marks it dirty, for no PTE knows of what a
//   device writes, and a page the swap cache holds as clean is dropped by reclaim.
//   Documentation/core-api/pin_user_pages.rst; block/bio.c: bio_set_pages_dirty() before,
//   bio_check_pages_dirty() after the I/O.
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
