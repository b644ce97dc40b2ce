// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: unmapping a dirty PTE sets tlb_ubc->writable. try_to_unmap_flush_dirty() checks
//   only this flag before I/O starts: if it is not set, the TLB entries that can still
//   write are not flushed. set_tlb_ubc_flush_pending() in mm/rmap.c; commit d950c9477d51
//   ("mm: defer flush of writable TLB entries") (in v4.3).
// Killed-By: stale_tlb/anon_lost_write, stale_tlb/anon_lost_write_large
// Equivalent-On: arm64: tlb_ubc->writable only decides whether try_to_unmap_flush_dirty()
//   calls arch_tlbbatch_flush(), which is a DSB. arch_tlbbatch_add_pending() has sent the
//   TLBI to all CPUs already, dirty or not, and the emulator completes it before the next
//   instruction.
// Files: mm/rmap.c

@@
expression e;
identifier writable;
@@
  set_tlb_ubc_flush_pending(...)
  {
  <...
- bool writable = pte_dirty(e);
+ bool writable = !rig_mutant(UBC_NEVER_WRITABLE) && pte_dirty(e);
  ...>
  }
