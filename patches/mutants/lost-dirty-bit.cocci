// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: unmapping a PTE that is dirty makes its folio dirty, or nobody writes it out.
//   try_to_unmap_one() in mm/rmap.c. Where a filesystem counts dirty pages the folio
//   is dirty already: the first write faults (vma_wants_writenotify() in mm/mmap.c or
//   mm/vma.c). tmpfs does not: a hole that is read first is mapped clean and writable,
//   and from then on the PTE is all that knows of a write.
//   The mutant drops the dirty bit of file folios.
// Killed-By: stale_tlb/shmem_lost_write, reclaim/shmem_roundtrip
// Files: mm/rmap.c

@@
expression p, f;
@@
  try_to_unmap_one(...)
  {
  <...
- if (pte_dirty(p))
+ if (pte_dirty(p) && (!rig_mutant(LOST_DIRTY_BIT) || folio_test_anon(f)))
  	folio_mark_dirty(f);
  ...>
  }
