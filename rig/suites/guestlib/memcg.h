/* SPDX-License-Identifier: GPL-2.0-only */
/* A memory cgroup (v2) of the case's own, gone when the case is. */
#ifndef MEMCG_H
#define MEMCG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Make it and move this process into it. What was touched before stays charged
 * where it was, so set up and mlock() first what must not be reclaimed.
 */
void memcg_enter(void);

/* memory.max; MEMCG_NO_LIMIT takes it away. */
#define MEMCG_NO_LIMIT	SIZE_MAX
void memcg_set_max(size_t bytes);

/* The same by memory.high: who is above it reclaims and is slowed down, and nobody is killed. */
void memcg_set_high(size_t bytes);

/* memory.high, for as long as it takes to come down to it, or to give up; it never kills. */
void memcg_squeeze(size_t bytes);

/* memory.reclaim; false when the kernel could not reclaim that much. */
bool memcg_reclaim(size_t bytes);

/*
 * As memcg_reclaim(), from the file LRUs only, where lazyfree folios are too, so
 * that nothing goes to swap: swappiness=0 ("mm: add swappiness= arg to
 * memory.reclaim") (in v6.9).
 */
bool memcg_reclaim_file(size_t bytes);

uint64_t memcg_current(void);

/* A line of memory.stat, 0 when this kernel does not have it. */
uint64_t memcg_stat(const char *name);

#endif
