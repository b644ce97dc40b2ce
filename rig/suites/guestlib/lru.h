/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which pages reclaim can get at, and whether they look idle to it.
 *
 * - A folio just faulted in sits in a batch (31 folios) of the CPU that took the
 *   fault, off the LRU: nobody can isolate it until that CPU drains the batch
 *   (mm/swap.c, lru_add_drain()).
 * - A page whose accessed bit is set is kept (mm/vmscan.c,
 *   folio_check_references()). x86 clears the bit without a TLB flush, so a busy
 *   page with a warm TLB entry looks idle; arm64 flushes
 *   (ptep_clear_flush_young()), so it looks busy again at the next access.
 */
#ifndef LRU_H
#define LRU_H

#include <stdbool.h>

/* Put this CPU's batches on the LRU. Cheap, without touching other CPUs. */
void lru_drain_local(void);

/*
 * Clear the accessed bits of all this process has mapped, without a TLB flush,
 * on any architecture (fs/proc/task_mmu.c, clear_refs_pte_range()): its pages
 * look idle while the CPUs' entries for them stay warm.
 */
bool lru_make_idle(void);

/* Multi-generational LRU on or off; false when this kernel has no choice. */
bool lru_gen_set(bool on);
bool lru_gen_is_on(void);

#endif
