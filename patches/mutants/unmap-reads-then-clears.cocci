// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a PTE is read and cleared in one step when its page is unmapped. The CPU sets the
//   dirty bit at the first write to a clean page without a fault: either the bit is in the
//   value that was read, or the CPU finds the PTE cleared and faults. ptep_get_and_clear()
//   in try_to_unmap_one() (mm/rmap.c), or get_and_clear_ptes() for several.
//   The mutant reads first and clears two milliseconds later, which is a delay that an
//   interrupt or a hypervisor can cause. Without the delay the window is a few
//   instructions, and the result depends more on the host than on the case.
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
