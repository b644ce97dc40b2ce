// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: a PTE that is write-protected by userfaultfd is still so when its page is in
//   swap, and after swap-in. try_to_unmap_one() copies the bit to the swap PTE, and
//   do_swap_page() copies it back: commit f45ec5ff16a7 ("userfaultfd: wp: support swap and
//   page migration") (in v5.7).
//   The mutant does not copy it to the swap PTE.
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
