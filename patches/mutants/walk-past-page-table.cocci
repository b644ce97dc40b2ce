// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: at the end of a page table, the walk over a folio's PTEs continues in the next
//   table: behind the table in memory is somebody else's page. page_vma_mapped_walk() in
//   mm/page_vma_mapped.c; commit ace71a19cec5 ("mm: introduce page_vma_mapped_walk()") (in
//   v4.11).
// Killed-By: madv_free/straddle_page_table
// Files: mm/page_vma_mapped.c

@@
expression a;
@@
  page_vma_mapped_walk(...)
  {
  <...
- ((a & (PMD_SIZE - PAGE_SIZE)) == 0)
+ (!rig_mutant(WALK_PAST_PAGE_TABLE) && (a & (PMD_SIZE - PAGE_SIZE)) == 0)
  ...>
  }
