// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: mremap() finds no PTE where reclaim has cleared it, so it has nothing to flush
//   there. If the flush of reclaim is still pending, mremap() must do it; otherwise a thread
//   can still write to the old address after the call has returned. move_ptes() in
//   mm/mremap.c calls flush_tlb_batched_pending(); commit 3ea277194daa ("mm, mprotect: flush
//   TLB if potentially racing with a parallel reclaim leaving stale TLB entries") (in
//   v4.13). Without MREMAP_DONTUNMAP the munmap() of the old addresses does it too.
// Killed-By: stale_tlb/write_after_mremap
// Equivalent-On: arm64: arch_tlbbatch_add_pending() sends the TLBI to all CPUs while
//   try_to_unmap_one() holds the page table lock. flush_tlb_batched_pending() is called
//   under the same lock, so it comes after that TLBI. It only waits for the completion,
//   which in the emulator comes before the next instruction of the CPU that sent the TLBI.
// Files: mm/mremap.c

@@
expression mm;
@@
  move_ptes(...)
  {
  <...
- flush_tlb_batched_pending(mm);
+ if (!rig_mutant(MREMAP_NO_PENDING_FLUSH))
+ 	flush_tlb_batched_pending(mm);
  ...>
  }
