// SPDX-License-Identifier: GPL-2.0-only
/*
 * extra_reference_keeps_page: a lazyfree page to which somebody else holds a reference is
 * not dropped, and keeps its content.
 *
 * extra_reference_stays_lazyfree: when the reference is gone, the page is still lazyfree,
 * and is dropped, not swapped out.
 *
 * The first rule: the holder of a reference may write to the page and mark it dirty only
 * later. So a lazyfree folio is dropped only if all its references are known: one for each
 * mapping and one of the isolation (mm/rmap.c: try_to_unmap_one(), mm/huge_memory.c:
 * __discard_anon_folio_pmd_locked()). commit 6c8e2a256915 ("mm: fix race between MADV_FREE
 * reclaim and blkdev direct IO read") (in v5.18).
 *
 * The second rule: a reference, which may be a speculative one, does not mean that the
 * folio's content has changed. Only dirty folios become swapbacked. commit faeb2831b517
 * ("mm: set folio swapbacked iff folios are dirty in try_to_unmap_one") (in v6.15).
 *
 * A round fills a region with folios of one size, calls MADV_FREE, pins one half for
 * reading (mm/gup_test.c), and reclaims all of it: the pinned half must be as it was. Then
 * that half is unpinned and reclaimed again, and pagemap shows for each page whether it was
 * dropped or swapped out.
 */
#include "gup.h"
#include "madv_free.h"
#include "place.h"
#include "sizes.h"

#include <inttypes.h>

struct extra {
	struct lazyfree l;
	struct rng rng;
	bool must_drop;
	uint64_t rounds;
	uint64_t pinned, other_dropped;
	uint64_t kept, dropped, swapped;	/* of the pinned pages, after the unpin */
};

static void check_pinned(struct extra *e, size_t first, size_t end)
{
	size_t page;

	for (page = 0; page < e->l.pages && e->l.bad < BAD_PAGES_MAX; page++) {
		bool pinned = page >= first && page < end;

		lazyfree_verify_page(&e->l, page, pinned ? "while pinned" : "beside a pin");
		if (!pinned) {
			e->other_dropped += e->l.page[page].rest == REST_ZERO;
			continue;
		}
		e->pinned++;
		if (e->l.page[page].rest != REST_ZERO)
			continue;
		evidence("page %zu was dropped while it was pinned", page);
		lazyfree_mark_bad(&e->l, page);
	}
}

static void check_unpinned(struct extra *e, size_t first, size_t end)
{
	uint64_t swapped = e->swapped;
	size_t page;

	for (page = first; page < end; page++) {
		struct place place = place_of(lazyfree_at(&e->l, page));

		if (place.swapped)
			e->swapped++;
		else if (place.present)
			e->kept++;
		else
			e->dropped++;
		if (place.swapped && e->must_drop) {
			evidence("page %zu, lazyfree and clean, was swapped out after it was "
				 "unpinned", page);
			lazyfree_mark_bad(&e->l, page);
		}
	}
	if (e->swapped != swapped && e->must_drop)
		diag("%" PRIu64 " of %zu pages were swapped out", e->swapped - swapped,
		     end - first);
}

static void one_round(struct extra *e, unsigned int size_kb)
{
	size_t half = ROUND_BYTES / page_size() / 2;
	size_t first = rng_below(&e->rng, 2) * half;
	char *pinned;

	e->rounds++;
	refill_whole(&e->l, ROUND_BYTES, size_kb);
	lazyfree_madv_free(&e->l);
	pinned = lazyfree_at(&e->l, first);
	gup_pin(pinned, half * page_size(), rng_below(&e->rng, 2));
	region_pageout(e->l.region, ROUND_BYTES);
	check_pinned(e, first, first + half);
	gup_unpin();
	if (e->l.bad)
		return;
	region_pageout(pinned, half * page_size());
	check_unpinned(e, first, first + half);
	lazyfree_verify(&e->l, "after the unpin");
}

static enum outcome extra_reference(const struct guest_args *args, bool must_drop)
{
	static struct extra e;
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t size, sizes = sizes_large(LARGE_KB, sizes_kb) + 1;
	uint64_t round;

	if (!gup_available())
		return skip("this kernel has no CONFIG_GUP_TEST");
	swap_require(2 * ROUND_BYTES);
	e.must_drop = must_drop;
	e.rng = rng_fork(args->seed, 0);
	lazyfree_init(&e.l, ROUND_BYTES, args->seed);
	for (round = 0; round < args->iterations && !e.l.bad; round++) {
		size = round % sizes;
		lru_gen_set(round / 2 % 2);
		one_round(&e, size ? sizes_kb[sizes - 1 - size] : 0);
	}
	counter("rounds", e.rounds);
	counter("pages_pinned", e.pinned);
	counter("others_dropped", e.other_dropped);
	counter("unpinned_dropped", e.dropped);
	counter("unpinned_swapped", e.swapped);
	counter("unpinned_kept", e.kept);
	return lazyfree_report(&e.l);
}

enum outcome extra_reference_keeps_page(const struct guest_args *args)
{
	return extra_reference(args, false);
}

enum outcome extra_reference_stays_lazyfree(const struct guest_args *args)
{
	if (!kernel_at_least(6, 15) && !promised("extra_reference_stays_lazyfree"))
		return skip("before v6.15 any extra reference makes a folio swapbacked");
	return extra_reference(args, true);
}
