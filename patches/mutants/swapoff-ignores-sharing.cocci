// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: swapoff() maps a page as exclusive only if its swap PTE says so. Where fork() has
//   copied the entry, another process has the page too, and the first to write must copy
//   it: commit 1493a1913e34 ("mm/swap: remember PG_anon_exclusive via a swp pte bit") (in
//   v5.19), unuse_pte().
//   The mutant treats every page as exclusive.
// Killed-By: reclaim/swapoff_under_load
// Files: mm/swapfile.c

@@
expression P;
@@
  unuse_pte(...)
  {
  <...
- pte_swp_exclusive(P)
+ (pte_swp_exclusive(P) || rig_mutant(SWAPOFF_IGNORES_SHARING))
  ...>
  }
