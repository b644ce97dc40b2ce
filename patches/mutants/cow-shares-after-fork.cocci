// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: after fork() parent and child each keep their own data: a page that both map is
//   copied before one of them writes to it. wp_can_reuse_anon_folio() in mm/memory.c
//   decides by the number of references to the folio, including that of the swap cache;
//   commit 09854ba94c6a ("mm: do_wp_page() simplification") (in v5.9), commit 53a05ad9f21d
//   ("mm: optimize do_wp_page() for exclusive pages in the swapcache") (in v5.18).
//   The mutant writes to the shared page. Only in anonymous mappings of at least 64
//   pages, so that the stacks and the data of the guest's own programs are not damaged.
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
