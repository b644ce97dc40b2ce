// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: munmap(), mprotect(), mremap() and madvise() find no PTE where reclaim has
//   cleared it, so they have nothing to flush there. If reclaim's flush is still pending,
//   they must do it; otherwise a thread can still write after the call has returned.
//   flush_tlb_batched_pending() in mm/rmap.c; commit 3ea277194daa ("mm, mprotect: flush TLB
//   if potentially racing with a parallel reclaim leaving stale TLB entries") (in v4.13).
// Killed-By: stale_tlb/write_after_munmap, stale_tlb/write_after_mprotect,
//   stale_tlb/write_after_mremap
// Equivalent-On: arm64: arch_tlbbatch_add_pending() sends the TLBI to all CPUs while
//   try_to_unmap_one() holds the page table lock. flush_tlb_batched_pending() is called
//   under the same lock, so it comes after that TLBI. It only waits for the completion,
//   which in the emulator comes before the next instruction of the CPU that sent the TLBI.
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
