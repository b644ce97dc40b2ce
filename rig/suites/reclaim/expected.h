/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What should be in each page of some memory or file, kept in locked memory
 * beside it, and what was found instead.
 */
#ifndef EXPECTED_H
#define EXPECTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct expected {
	const char *what;	/* for evidence() */
	char *region;
	size_t pages;
	uint64_t seed;
	uint64_t writes;
	uint64_t *key;		/* of each page's pattern; 0 is a page of zeroes */
	uint64_t *before;	/* the key before that, to tell old content from foreign */
	uint64_t verified;
	uint64_t bad;
	uint64_t bad_bytes;
};

/* Once this many pages are broken, more say nothing more. */
#define EXPECTED_BAD_MAX	32

/* A book of memory that is all zeroes. `seed` must be no other book's. */
void expected_init(struct expected *e, const char *what, char *region, size_t bytes, uint64_t seed);

/* Another region, no bigger than the first, of zeroes again; what was counted stays. */
void expected_reset(struct expected *e, const char *what, char *region, size_t bytes);

char *expected_page(const struct expected *e, size_t page);

/* The page is to hold something new; whoever calls this has to put it there. */
uint64_t expected_next(struct expected *e, size_t page);

/* The page is to be zero. */
void expected_zero(struct expected *e, size_t page);

/* Something new, stored into the page. */
void expected_write(struct expected *e, size_t page);

/* Whether the page, or a copy of it got `how`, holds what it should. */
bool expected_verify(struct expected *e, size_t page);
bool expected_verify_copy(struct expected *e, size_t page, const void *copy, const char *how);

/* The last page of each folio of so many pages: see anon_roundtrip.c. */
void expected_verify_last(struct expected *e, size_t from, size_t folio_pages);

/* All pages, unless too many are broken already. */
void expected_verify_all(struct expected *e);

bool expected_many_bad(const struct expected *e);

/* Counters pages_verified, pages_bad and bytes_bad. */
void expected_report(const struct expected *e);

#endif
