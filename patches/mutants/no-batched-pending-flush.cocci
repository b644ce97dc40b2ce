// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: munmap(), mprotect(), mremap() and madvise() find no PTE where reclaim has
//   cleared it, so they flush nothing for it; if reclaim has not flushed either, they
//   must, or a thread can still write when they have returned.
//   flush_tlb_batched_pending() in mm/rmap.c; commit 3ea277194daa ("mm, mprotect:
//   flush TLB if potentially racing with a parallel reclaim leaving stale TLB
//   entries") (in v4.13).
// Killed-By: stale_tlb/write_after_munmap, stale_tlb/write_after_mprotect,
//   stale_tlb/write_after_mremap
// Equivalent-On: arm64: arch_tlbbatch_add_pending() sends the TLBI to all CPUs while
//   try_to_unmap_one() holds the page table lock, under which
//   flush_tlb_batched_pending() is called: it is never earlier than that TLBI, and
//   what it waits for is only its completion, which in the emulator comes before the
//   next instruction of the CPU that sent it.
// Files: mm/rmap.c

@@
identifier pending, flushed;
@@
  flush_tlb_batched_pending(...)
  {
  <...
- if (pending != flushed)
+ if (!rig_mutant(NO_BATCHED_PENDING_FLUSH) && pending != flushed)
  	{ ... }
  ...>
  }
