/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two things keep reclaim away from a page that a case wants reclaimed:
 *
 * - A folio that was just faulted in is not on the LRU yet. It sits in a batch of up to 31
 *   folios of the CPU that took the fault, and nobody can isolate it until that CPU drains
 *   the batch (mm/swap.c, lru_add_drain()).
 * - A page whose accessed bit is set is kept (mm/vmscan.c, folio_check_references()). x86
 *   clears the bit without a TLB flush, so a page that is in use through a warm TLB entry
 *   looks idle afterwards. arm64 flushes (ptep_clear_flush_young()), so the next access
 *   sets the bit again.
 */
#ifndef LRU_H
#define LRU_H

#include <stdbool.h>

/* Move this CPU's batches to the LRU. Cheap; does not disturb other CPUs. */
void lru_drain_local(void);

/*
 * Clear the accessed bits of all that this process has mapped, without a TLB flush on any
 * architecture (fs/proc/task_mmu.c, clear_refs_pte_range()). The pages look idle while the
 * CPUs keep their TLB entries.
 */
bool lru_make_idle(void);

/* Switch the multi-generational LRU on or off. False when this kernel cannot switch. */
bool lru_gen_set(bool on);
bool lru_gen_is_on(void);

#endif
