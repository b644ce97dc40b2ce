// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: all pages of a batch of PTEs that was unmapped are flushed, not only the first.
//   set_tlb_ubc_flush_pending() in mm/rmap.c hands the range to
//   arch_tlbbatch_add_pending(); commit 2f4ab3ac10e1 ("mm: support tlbbatch flush for a
//   range of PTEs") (in v6.15).
// Killed-By: stale_tlb/shmem_lost_write
// Equivalent-On: x86_64: arch_tlbbatch_add_pending() does not look at the range, it
//   collects the CPUs of the mm, and arch_tlbbatch_flush() flushes all they have
//   (arch/x86/include/asm/tlbflush.h, arch/x86/mm/tlb.c).
// Not-On: <v6.15: it takes one address, pages are unmapped one by one.
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
