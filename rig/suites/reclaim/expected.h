/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The content that is expected in each page of a region or a file, kept in locked memory,
 * and the differences that were found.
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
	uint64_t *before;	/* the key before that: tells old content from foreign content */
	uint64_t verified;
	uint64_t bad;
	uint64_t bad_bytes;
};

/* No more pages are checked when this many are wrong. */
#define EXPECTED_BAD_MAX	32

/* Expects zeroes everywhere. `seed` must differ from that of every other struct expected. */
void expected_init(struct expected *e, const char *what, char *region, size_t bytes,
		   uint64_t seed);

/* Expects zeroes in another region, which is not larger than the first. The counts stay. */
void expected_reset(struct expected *e, const char *what, char *region, size_t bytes);

char *expected_page(const struct expected *e, size_t page);

/* Expect a new pattern in the page, and return its key. The caller must write it. */
uint64_t expected_next(struct expected *e, size_t page);

/* Expect zeroes in the page. */
void expected_zero(struct expected *e, size_t page);

/* Expect a new pattern in the page, and store it there. */
void expected_write(struct expected *e, size_t page);

/*
 * True when the page, or a copy of it that was read as `how` says, has the expected
 * content.
 */
bool expected_verify(struct expected *e, size_t page);
bool expected_verify_copy(struct expected *e, size_t page, const void *copy, const char *how);

/* Check the last page of each folio of `folio_pages` pages; see anon_roundtrip.c for why. */
void expected_verify_last(struct expected *e, size_t from, size_t folio_pages);

/* Check all pages, until too many are wrong. */
void expected_verify_all(struct expected *e);

bool expected_many_bad(const struct expected *e);

/* Counters pages_verified, pages_bad and bytes_bad. */
void expected_report(const struct expected *e);

#endif
