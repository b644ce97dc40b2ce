/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The model a lazyfree region is checked against: what each page held before
 * MADV_FREE, which word of it was written afterwards, and what was seen since.
 */
#ifndef LAZYFREE_H
#define LAZYFREE_H

#include "guest.h"

enum rest {		/* the bytes of a page not written after MADV_FREE */
	REST_UNSEEN,
	REST_OLD,
	REST_ZERO,
	REST_BAD,
};

struct lazy_page {
	uint16_t word;		/* its index */
	bool written;
	enum rest rest;
	uint64_t value;
};

struct lazyfree {
	char *region;
	size_t bytes_max;
	size_t pages;		/* of this generation */
	uint64_t seed;
	uint64_t generation;
	struct lazy_page *page;

	/* All generations together. */
	uint64_t verified;
	uint64_t bad;
	struct vmstat_delta deltas[2];
};

/* More broken pages than that tell nothing new. */
#define BAD_PAGES_MAX	64

/*
 * This thread on CPU 0, in a memory cgroup of its own, with what is mapped so far locked;
 * the region; and a start to count what lazyfree_report() reports.
 */
void lazyfree_init(struct lazyfree *l, size_t bytes_max, uint64_t seed);

/* Map the region anew, and fill `bytes` of it anew with folios of `size_kb` (0: order 0). */
void lazyfree_refill(struct lazyfree *l, size_t bytes, unsigned int size_kb);

/* MADV_FREE of all that was filled, every page of it on the LRU reclaim takes them from. */
void lazyfree_madv_free(struct lazyfree *l);

/* Write one word of a page, which by that is not lazyfree any more. */
void lazyfree_write(struct lazyfree *l, size_t page, struct rng *rng);

/*
 * Check every page: its rest is all old or all zero, and zero for ever once it
 * was zero, and whatever it was for ever once the page was written; the word
 * written is as written.
 */
void lazyfree_verify(struct lazyfree *l, const char *when);
void lazyfree_verify_page(struct lazyfree *l, size_t page, const char *when);

/* One more broken page, of which the caller has told. */
void lazyfree_mark_bad(struct lazyfree *l, size_t page);

/* Counters pages_verified, pglazyfreed, pswpout and pages_bad; the case's outcome. */
enum outcome lazyfree_report(const struct lazyfree *l);

static inline char *lazyfree_at(const struct lazyfree *l, size_t page)
{
	return l->region + page * page_size();
}

#endif
