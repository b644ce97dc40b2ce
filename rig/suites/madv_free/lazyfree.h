/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The expected content of a lazyfree region: what each page held before MADV_FREE, which of
 * its words was written afterwards, and what was read since.
 */
#ifndef LAZYFREE_H
#define LAZYFREE_H

#include "guest.h"

enum rest {		/* the content of a page, apart from what was written after MADV_FREE */
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
	size_t pages;		/* filled in this generation */
	uint64_t seed;
	uint64_t generation;
	struct lazy_page *page;

	/* Totals of all generations. */
	uint64_t verified;
	uint64_t bad;
	struct vmstat_delta deltas[2];
};

/* No more pages are checked when this many are wrong. */
#define BAD_PAGES_MAX	64

/*
 * Moves this thread to CPU 0 and into a memory cgroup, locks what is mapped so far, maps
 * the region, and starts the counts that lazyfree_report() prints.
 */
void lazyfree_init(struct lazyfree *l, size_t bytes_max, uint64_t seed);

/*
 * Map the region again, and fill `bytes` of it with a new pattern, in folios of `size_kb`
 * (0: order 0).
 */
void lazyfree_refill(struct lazyfree *l, size_t bytes, unsigned int size_kb);

/*
 * MADV_FREE of all that was filled. All its pages are then on the file LRU, where reclaim
 * finds lazyfree pages.
 */
void lazyfree_madv_free(struct lazyfree *l);

/* Write one word of a page. The page is no longer lazyfree then. */
void lazyfree_write(struct lazyfree *l, size_t page, struct rng *rng);

/*
 * Check every page. Apart from the word that was written after MADV_FREE, a page must be
 * either all old or all zero. A page that was zero stays zero. A page that was written
 * stays as it was at the first check. The written word must be there.
 */
void lazyfree_verify(struct lazyfree *l, const char *when);
void lazyfree_verify_page(struct lazyfree *l, size_t page, const char *when);

/* Count a wrong page for which the caller has printed the evidence. */
void lazyfree_mark_bad(struct lazyfree *l, size_t page);

/* Counters pages_verified, pglazyfreed, pswpout and pages_bad; the case's outcome. */
enum outcome lazyfree_report(const struct lazyfree *l);

static inline char *lazyfree_at(const struct lazyfree *l, size_t page)
{
	return l->region + page * page_size();
}

#endif
