// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: after mprotect() has removed write permission, no thread can write, also not to a
//   huge page. The PMD that lost it is passed to the mmu_gather, which flushes it before the
//   call returns: tlb_flush_pmd_range() in change_huge_pmd(), mm/huge_memory.c; commit
//   4a18419f71cd ("mm/mprotect: use mmu_gather") (in v6.0). mprotect-no-flush is the same for
//   PTEs.
// Killed-By: stale_tlb/write_after_mprotect
// Equivalent-On: arm64: change_huge_pmd() calls pmdp_invalidate_ad() before. Only x86 has one
//   that does not flush (arch/x86/mm/pgtable.c); the generic one is pmdp_invalidate(), which
//   flushes the range (mm/pgtable-generic.c).
// Files: mm/huge_memory.c

@@
expression list args;
@@
- tlb_flush_pmd_range(args);
+ if (!rig_mutant(MPROTECT_NO_FLUSH_PMD))
+ 	tlb_flush_pmd_range(args);
