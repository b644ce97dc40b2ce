/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the page tables of this process contain, read without touching the pages
 * (Documentation/admin-guide/mm/pagemap.rst).
 */
#ifndef PAGEMAP_H
#define PAGEMAP_H

#include <stddef.h>
#include <stdint.h>

#define PAGEMAP_PFN		((1ULL << 55) - 1)
#define PAGEMAP_SOFT_DIRTY	(1ULL << 55)
#define PAGEMAP_UFFD_WP		(1ULL << 57)
#define PAGEMAP_SWAPPED		(1ULL << 62)
#define PAGEMAP_PRESENT		(1ULL << 63)

/* Read the entries of `pages` pages that start at `address`. */
void pagemap_read(const void *address, size_t pages, uint64_t *entries);

uint64_t pagemap_entry(const void *address);

/* The number of pages, of `pages` that start at `address`, with one of `bits` set. */
size_t pagemap_count(const void *address, size_t pages, uint64_t bits);

#endif
