// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a page of a MAP_DROPPABLE mapping never becomes swapbacked and is dropped
//   although it is dirty: it is never written to swap. try_to_unmap_one() in mm/rmap.c;
//   commit 9651fcedf7b9 ("mm: add MAP_DROPPABLE for designating always lazily freeable
//   mappings") (in v6.11).
// Killed-By: madv_free/droppable
// Files: mm/rmap.c

@@
expression v;
@@
  try_to_unmap_one(...)
  {
  <...
- (v->vm_flags & VM_DROPPABLE)
+ (!rig_mutant(DROPPABLE_SWAPBACKED) && (v->vm_flags & VM_DROPPABLE))
  ...>
  }
