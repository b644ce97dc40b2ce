/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Global memory pressure without filling the memory: raises the watermarks instead, until
 * the free memory lies between "min", where allocations fail or reclaim directly, and
 * "low", where they wake kswapd and continue.
 */
#ifndef PRESSURE_H
#define PRESSURE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Call before memory.reclaim or memory.max. It moves to the LRU what this CPU has faulted
 * in, makes the pages of this process look idle, and updates the kernel's counts of the
 * memory cgroup. These counts may be four seconds old, and the classic LRU does not scan
 * the active list when it believes that the list is empty (mm/vmscan.c: inactive_is_low();
 * mm/memcontrol.c: mem_cgroup_flush_stats_ratelimited(), memcg_vmstats_needs_flush()).
 * Allocates some memory and frees it again, so do not call it while memory.max is set.
 */
void pressure_prepare(void);

/* Bind [address, address + size) to node 0, whose watermarks pressure_on() raises. */
void pressure_bind(void *address, size_t size);

/* False when there is not enough free memory above the watermarks. */
bool pressure_on(void);
void pressure_off(void);

#endif
