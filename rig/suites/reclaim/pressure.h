/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Global pressure without using memory up: the watermarks go up instead, until what
 * is free lies between "min", where allocations fail or reclaim for themselves, and
 * "low", where they wake kswapd and go on.
 */
#ifndef PRESSURE_H
#define PRESSURE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Before memory.reclaim or memory.max: what this CPU faulted in is on the LRU, what
 * this process has mapped looks idle, and the kernel knows how much there is. Its
 * counts of a memory cgroup may be four seconds old, and the classic LRU, when it
 * believes there are no active pages, looks at none (mm/vmscan.c: inactive_is_low();
 * mm/memcontrol.c: mem_cgroup_flush_stats_ratelimited(), memcg_vmstats_needs_flush()).
 * Not under memory.max: it takes some memory and gives it back.
 */
void pressure_prepare(void);

/* The memory of [address, address + size) comes from node 0, where pressure_on() is felt. */
void pressure_bind(void *address, size_t size);

/* False when the watermarks cannot be put around what is free. */
bool pressure_on(void);
void pressure_off(void);

#endif
