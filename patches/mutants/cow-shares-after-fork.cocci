// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: after fork() parent and child each keep their own bytes: what both map is copied
//   before one of them writes to it. wp_can_reuse_anon_folio() in mm/memory.c decides
//   by the references to the folio, that of the swap cache included; commit
//   09854ba94c6a ("mm: do_wp_page() simplification") (in v5.9), commit 53a05ad9f21d
//   ("mm: optimize do_wp_page() for exclusive pages in the swapcache") (in v5.18).
//   The mutant writes to the page itself. Only in anonymous mappings of 64 pages and
//   more: the stacks and the data of the guest's own programs live on.
// Killed-By: reclaim/fork_cow, madv_free/shared_after_fork
// Files: mm/memory.c

@@
identifier folio, vma;
@@
  wp_can_reuse_anon_folio(struct folio *folio, struct vm_area_struct *vma)
  {
+ 	if (rig_mutant(COW_SHARES_AFTER_FORK) && vma_is_anonymous(vma) &&
+ 	    vma_pages(vma) >= 64)
+ 		return true;
  	...
  }
