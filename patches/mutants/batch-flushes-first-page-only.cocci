// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: when a batch of PTEs is unmapped, all its pages are flushed, not only the first.
//   set_tlb_ubc_flush_pending() in mm/rmap.c passes the range to
//   arch_tlbbatch_add_pending(); commit 2f4ab3ac10e1 ("mm: support tlbbatch flush for a
//   range of PTEs") (in v6.15).
// Killed-By: stale_tlb/shmem_lost_write
// Equivalent-On: x86_64: arch_tlbbatch_add_pending() ignores the range. It collects the
//   CPUs of the mm, and arch_tlbbatch_flush() flushes everything on them
//   (arch/x86/include/asm/tlbflush.h, arch/x86/mm/tlb.c).
// Not-On: <v6.15: the function takes one address; pages are unmapped one by one.
// Files: mm/rmap.c

@@
expression a, mm, start, end;
@@
  set_tlb_ubc_flush_pending(...)
  {
  <...
- arch_tlbbatch_add_pending(a, mm, start, end);
+ arch_tlbbatch_add_pending(a, mm, start,
+ 			  rig_mutant(BATCH_FLUSHES_FIRST_PAGE_ONLY) ? start + PAGE_SIZE : end);
  ...>
  }
