// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: shared memory that is write-protected by userfaultfd is still so after reclaim
//   has unmapped it. Its PTE would be empty, so a marker replaces it: commit 999dad824c39
//   ("mm/shmem: persist uffd-wp bit across zapping for file-backed") (in v5.19),
//   pte_install_uffd_wp_if_needed() in try_to_unmap_one().
//   The mutant installs no marker.
// Killed-By: reclaim/uffd_wp_and_soft_dirty_kept
// Files: mm/rmap.c

@@
expression list args;
@@
  try_to_unmap_one(...)
  {
  <...
- pte_install_uffd_wp_if_needed(args);
+ if (!rig_mutant(UFFD_WP_MARKER_LOST))
+ 	pte_install_uffd_wp_if_needed(args);
  ...>
  }
