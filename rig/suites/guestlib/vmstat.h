/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own counters. */
#ifndef VMSTAT_H
#define VMSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value after `name` in a file of "NAME VALUE" lines; 0 when there is no such line. */
uint64_t stat_file_value(const char *path, const char *name);

/* A line of /proc/vmstat. pswpout and pswpin include those of zswap. */
uint64_t vmstat(const char *name);

/*
 * Interrupts of one kind on all CPUs, found by its description in /proc/interrupts. False
 * when there is no such line: arm64 has none for TLB shootdowns, because its flushes are
 * broadcast by hardware.
 */
bool interrupt_count(const char *description, uint64_t *count);
bool tlb_shootdowns(uint64_t *count);

/* How much a line of /proc/vmstat has grown since vmstat_start(). */
struct vmstat_delta {
	const char *name;
	uint64_t before;
};

void vmstat_start(struct vmstat_delta *deltas, size_t count);
uint64_t vmstat_since(const struct vmstat_delta *deltas, size_t count, const char *name);

#endif
