/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the page tables say of this process's pages, without touching them
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

/* The entries of `pages` pages from `address` on. */
void pagemap_read(const void *address, size_t pages, uint64_t *entries);

uint64_t pagemap_entry(const void *address);

/* How many of `pages` pages from `address` on have one of `bits`. */
size_t pagemap_count(const void *address, size_t pages, uint64_t bits);

#endif
