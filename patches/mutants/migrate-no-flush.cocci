// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a migrating page is copied only after all TLB entries for its old place were
//   flushed; a write to the old place after the copy is lost. try_to_migrate_one() in
//   mm/rmap.c flushes, or notes the flush for try_to_unmap_flush() in mm/migrate.c; commit
//   7e12beb8ca2a ("migrate_pages: batch flushing TLB") (in v6.3).
//   The mutant does neither.
// Killed-By: stale_tlb/migration_lost_write
// Files: mm/rmap.c

@@
expression list args;
expression vma, addr, pte, e;
@@
  try_to_migrate_one(...)
  {
  <...
(
- set_tlb_ubc_flush_pending(args);
+ if (!rig_mutant(MIGRATE_NO_FLUSH))
+ 	set_tlb_ubc_flush_pending(args);
|
- e = ptep_clear_flush(vma, addr, pte);
+ if (rig_mutant(MIGRATE_NO_FLUSH))
+ 	e = ptep_get_and_clear(vma->vm_mm, addr, pte);
+ else
+ 	e = ptep_clear_flush(vma, addr, pte);
)
  ...>
  }
