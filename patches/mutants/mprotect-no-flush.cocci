// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: after mprotect() has removed write permission, no thread can write. The PTEs and
//   PMDs that lost it are passed to the mmu_gather, which flushes them before the call
//   returns: tlb_flush_pte_range() in mm/mprotect.c, tlb_flush_pmd_range() in
//   mm/huge_memory.c; commit 4a18419f71cd ("mm/mprotect: use mmu_gather") (in v6.0).
// Killed-By: stale_tlb/write_after_mprotect
// Files: mm/mprotect.c, mm/huge_memory.c

@@
expression list args;
@@
(
- tlb_flush_pte_range(args);
+ if (!rig_mutant(MPROTECT_NO_FLUSH))
+ 	tlb_flush_pte_range(args);
|
- tlb_flush_pmd_range(args);
+ if (!rig_mutant(MPROTECT_NO_FLUSH))
+ 	tlb_flush_pmd_range(args);
)
