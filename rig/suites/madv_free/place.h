/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a page of this process is: in memory, in swap, or nowhere
 * (Documentation/admin-guide/mm/pagemap.rst).
 */
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stdint.h>

struct place {
	bool present;
	bool swapped;
	uint64_t pfn;		/* of a present page */
};

/* Reads only the page table: nothing is faulted in. */
struct place place_of(const void *address);

#endif
