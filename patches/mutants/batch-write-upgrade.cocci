// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: when the unmap of a batch is undone, a PTE that was read-only is read-only again:
//   it may map a page that is shared with a child. One value is written back for all PTEs,
//   so a batch ends where the write bit changes (FPB_RESPECT_WRITE).
//   folio_unmap_pte_batch() in mm/rmap.c; "mm/rmap: fix incorrect pte restoration for
//   lazyfree folios" (in v7.0).
// Killed-By: madv_free/cow_after_failed_unmap
// Not-On: <v7.0: v6.12 has no batches; v6.15 to v6.19 do not have this rule.
// Files: mm/rmap.c

@@
@@
  folio_unmap_pte_batch(...)
  {
  <...
- FPB_RESPECT_WRITE
+ (rig_mutant(BATCH_WRITE_UPGRADE) ? 0 : FPB_RESPECT_WRITE)
  ...>
  }
