// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a PTE is read and cleared at once when its page is unmapped. The CPU sets the
//   dirty bit on the first write to a clean page without asking anybody: either that is
//   in what was read, or the CPU finds the PTE gone and faults. ptep_get_and_clear() in
//   try_to_unmap_one() (mm/rmap.c), or get_and_clear_ptes() where it takes several.
//   The mutant reads first and clears afterwards. Two milliseconds lie between, as
//   long as an interrupt or a hypervisor may well keep a CPU there: without it the window
//   is a few instructions, and how often it is met says more of the host than of the case.
// Killed-By: stale_tlb/first_write_to_clean
// Files: mm/rmap.c

@@
expression e, mm, addr, pte, n;
@@
  try_to_unmap_one(...)
  {
  <...
(
- e = ptep_get_and_clear(mm, addr, pte);
+ if (rig_mutant(UNMAP_READS_THEN_CLEARS)) {
+ 	u64 until = ktime_get_ns() + 2000000;
+
+ 	e = ptep_get(pte);
+ 	while (ktime_get_ns() < until)
+ 		cpu_relax();
+ 	ptep_get_and_clear(mm, addr, pte);
+ } else {
+ 	e = ptep_get_and_clear(mm, addr, pte);
+ }
|
- e = get_and_clear_ptes(mm, addr, pte, n);
+ if (rig_mutant(UNMAP_READS_THEN_CLEARS)) {
+ 	u64 until = ktime_get_ns() + 2000000;
+
+ 	e = ptep_get(pte);
+ 	while (ktime_get_ns() < until)
+ 		cpu_relax();
+ 	get_and_clear_ptes(mm, addr, pte, n);
+ } else {
+ 	e = get_and_clear_ptes(mm, addr, pte, n);
+ }
)
  ...>
  }
