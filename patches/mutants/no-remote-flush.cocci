// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: after reclaim has unmapped a page, every CPU's TLB entry for it is flushed before
//   the page is written to swap or freed. try_to_unmap_one() only notes the flush:
//   set_tlb_ubc_flush_pending() passes it to the architecture with
//   arch_tlbbatch_add_pending(), and try_to_unmap_flush{,_dirty}() executes it. commit
//   72b252aed506 ("mm: send one IPI per CPU to TLB flush all entries after unmapping
//   pages") (in v4.3); commit 43b3dfdd0455 ("arm64: support batched/deferred tlb shootdown
//   during page reclamation/migration") (in v6.6).
//   The mutant does not call arch_tlbbatch_add_pending(). On x86-64 that call collects
//   the CPUs to flush and increments the mm's TLB generation: without it
//   arch_tlbbatch_flush() finds an empty cpumask and flushes nothing. On arm64 that call
//   is itself the (broadcast) TLBI: without it arch_tlbbatch_flush() has nothing to wait
//   for.
// Killed-By: stale_tlb/anon_lost_write, stale_tlb/shared_file_lost_write,
//   stale_tlb/shmem_lost_write
// Files: mm/rmap.c

@@
expression list args;
@@
  set_tlb_ubc_flush_pending(...)
  {
  <...
- arch_tlbbatch_add_pending(args);
+ if (!rig_mutant(NO_REMOTE_FLUSH))
+ 	arch_tlbbatch_add_pending(args);
  ...>
  }
