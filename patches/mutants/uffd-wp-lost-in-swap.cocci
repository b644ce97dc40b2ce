// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a PTE write-protected by userfaultfd is still so when its page is in swap,
//   and when it is back. try_to_unmap_one() puts the bit into the swap PTE, from
//   where do_swap_page() takes it: commit f45ec5ff16a7 ("userfaultfd: wp: support
//   swap and page migration") (in v5.7).
//   The mutant leaves it out of the swap PTE of a page that was present.
// Killed-By: reclaim/uffd_wp_and_soft_dirty_kept
// Files: mm/rmap.c

@@
identifier pteval;
@@
  try_to_unmap_one(...)
  {
  <...
- pte_uffd_wp(pteval)
+ (pte_uffd_wp(pteval) && !rig_mutant(UFFD_WP_LOST_IN_SWAP))
  ...>
  }
