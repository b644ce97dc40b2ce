/* SPDX-License-Identifier: GPL-2.0-only */
/* A memory cgroup (v2) for the case. It is removed when the case ends. */
#ifndef MEMCG_H
#define MEMCG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Create the cgroup and move this process into it. Memory that was touched before stays
 * charged to the old cgroup: set up and mlock() first what must not be reclaimed.
 */
void memcg_enter(void);

/* Set memory.max. MEMCG_NO_LIMIT removes the limit. */
#define MEMCG_NO_LIMIT	SIZE_MAX
void memcg_set_max(size_t bytes);

/* Set memory.high. A process above it has to reclaim and is slowed down; nothing is killed. */
void memcg_set_high(size_t bytes);

/*
 * Lower memory.high to `bytes`, wait until reclaim has succeeded or given up, and remove
 * the limit again. Nothing is killed.
 */
void memcg_squeeze(size_t bytes);

/* Write `bytes` to memory.reclaim. False when the kernel could not reclaim that much. */
bool memcg_reclaim(size_t bytes);

/*
 * As memcg_reclaim(), but only from the file LRUs. Lazyfree folios are on these too, so
 * they are reclaimed and nothing goes to swap. Uses swappiness=0 ("mm: add swappiness= arg
 * to memory.reclaim") (in v6.9).
 */
bool memcg_reclaim_file(size_t bytes);

uint64_t memcg_current(void);

/* A line of memory.stat; 0 when this kernel does not have it. */
uint64_t memcg_stat(const char *name);

#endif
