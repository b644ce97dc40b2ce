/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own account of what it reclaimed. */
#ifndef VMSTAT_H
#define VMSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value after NAME in a file of "NAME VALUE" lines; 0 when it has none. */
uint64_t stat_file_value(const char *path, const char *name);

/* A line of /proc/vmstat. */
uint64_t vmstat(const char *name);

/*
 * Interrupts of a kind, by its description in /proc/interrupts, on all CPUs. False where
 * there is no such line, as there is none of TLB shootdowns on arm64, whose flushes are
 * broadcast.
 */
bool interrupt_count(const char *description, uint64_t *count);
bool tlb_shootdowns(uint64_t *count);

/* How much a line of /proc/vmstat grew since vmstat_start(). */
struct vmstat_delta {
	const char *name;
	uint64_t before;
};

void vmstat_start(struct vmstat_delta *deltas, size_t count);
uint64_t vmstat_since(const struct vmstat_delta *deltas, size_t count, const char *name);

#endif
