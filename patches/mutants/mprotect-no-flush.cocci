// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: after mprotect() has removed write permission, no thread can write. The PTEs that
//   lost it are passed to the mmu_gather, which flushes them before the call returns:
//   tlb_flush_pte_range() in change_pte_range(), mm/mprotect.c; commit 4a18419f71cd
//   ("mm/mprotect: use mmu_gather") (in v6.0). mprotect-no-flush-pmd is the same for PMDs.
// Killed-By: stale_tlb/write_after_mprotect
// Files: mm/mprotect.c

@@
expression list args;
@@
- tlb_flush_pte_range(args);
+ if (!rig_mutant(MPROTECT_NO_FLUSH))
+ 	tlb_flush_pte_range(args);
