// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: unmapping a dirty PTE makes its folio dirty; otherwise the folio is not written
//   out. try_to_unmap_one() in mm/rmap.c. On a filesystem that counts dirty pages the folio
//   is dirty already, because the first write faults (vma_wants_writenotify() in mm/mmap.c
//   or mm/vma.c). On tmpfs it is not: a hole that is read first is mapped clean and
//   writable, and a later write sets only the PTE's dirty bit.
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
