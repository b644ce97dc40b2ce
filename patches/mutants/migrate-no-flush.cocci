// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a migrating page is copied only after all TLB entries for its old place were
//   flushed; a write to the old place after the copy is lost. try_to_migrate_one() in
//   mm/rmap.c notes the flush for try_to_unmap_flush() in mm/migrate.c; commit 7e12beb8ca2a
//   ("migrate_pages: batch flushing TLB") (in v6.3).
//   A folio that could not be migrated in a batch is migrated alone, with
//   ptep_clear_flush(). No case sees that flush missing, so the mutant leaves it as it is.
// Killed-By: stale_tlb/migration_lost_write
// Files: mm/rmap.c

@@
expression list args;
@@
  try_to_migrate_one(...)
  {
  <...
- set_tlb_ubc_flush_pending(args);
+ if (!rig_mutant(MIGRATE_NO_FLUSH))
+ 	set_tlb_ubc_flush_pending(args);
  ...>
  }
