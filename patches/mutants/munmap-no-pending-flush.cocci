// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: munmap() finds no PTE where reclaim has cleared it, so it has nothing to flush
//   there. If the flush of reclaim is still pending, munmap() must do it; otherwise a thread
//   can still write after the call has returned. zap_pte_range() in mm/memory.c calls
//   flush_tlb_batched_pending(); commit 3ea277194daa ("mm, mprotect: flush TLB if
//   potentially racing with a parallel reclaim leaving stale TLB entries") (in v4.13).
// Killed-By: stale_tlb/write_after_munmap
// Equivalent-On: arm64: arch_tlbbatch_add_pending() sends the TLBI to all CPUs while
//   try_to_unmap_one() holds the page table lock. flush_tlb_batched_pending() is called
//   under the same lock, so it comes after that TLBI. It only waits for the completion,
//   which in the emulator comes before the next instruction of the CPU that sent the TLBI.
// Files: mm/memory.c

@@
expression mm;
@@
  zap_pte_range(...)
  {
  <...
- flush_tlb_batched_pending(mm);
+ if (!rig_mutant(MUNMAP_NO_PENDING_FLUSH))
+ 	flush_tlb_batched_pending(mm);
  ...>
  }
