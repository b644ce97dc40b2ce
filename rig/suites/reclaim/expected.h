/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What should be in each page of some memory or file, kept in locked memory
 * beside it, and what was found instead.
 */
#ifndef BOOK_H
#define BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct book {
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
#define BOOK_BAD_MAX	32

/* A book of memory that is all zeroes. `seed` must be no other book's. */
void book_open(struct book *b, const char *what, char *region, size_t bytes, uint64_t seed);

/* Another region, no bigger than the first, of zeroes again; what was counted stays. */
void book_reopen(struct book *b, const char *what, char *region, size_t bytes);

char *book_page(const struct book *b, size_t page);

/* The page is to hold something new; whoever calls this has to put it there. */
uint64_t book_next(struct book *b, size_t page);

/* The page is to be zero. */
void book_zero(struct book *b, size_t page);

/* Something new, stored into the page. */
void book_write(struct book *b, size_t page);

/* Whether the page, or a copy of it got `how`, holds what it should. */
bool book_verify(struct book *b, size_t page);
bool book_verify_copy(struct book *b, size_t page, const void *copy, const char *how);

/* The last page of each folio of so many pages: see anon_roundtrip.c. */
void book_verify_last(struct book *b, size_t from, size_t folio_pages);

/* All pages, unless too many are broken already. */
void book_verify_all(struct book *b);

bool book_is_hopeless(const struct book *b);

/* Counters pages_verified, pages_bad and bytes_bad. */
void book_report(const struct book *b);

#endif
