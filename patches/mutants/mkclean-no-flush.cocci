// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: when writeback makes a file's PTE clean and read-only, it flushes the writable
//   TLB entries. A write through such an entry causes no fault and no dirty PTE, so the
//   page would not be written out again. page_vma_mkclean_one() in mm/rmap.c, called by
//   folio_clear_dirty_for_io(); commit d08b3851da41 ("[PATCH] mm: tracking shared dirty
//   pages") (in v2.6.19).
// Killed-By: stale_tlb/shared_file_lost_write
// Files: mm/rmap.c

@@
expression vma, addr, pte, e;
@@
  page_vma_mkclean_one(...)
  {
  <...
- e = ptep_clear_flush(vma, addr, pte);
+ if (rig_mutant(MKCLEAN_NO_FLUSH))
+ 	e = ptep_get_and_clear(vma->vm_mm, addr, pte);
+ else
+ 	e = ptep_clear_flush(vma, addr, pte);
  ...>
  }
