// SPDX-License-Identifier: GPL-2.0-only
/*
 * split_deferred_zero: reclaim of aligned lazyfree large folios queues none of them for a
 * deferred split.
 *
 * The rule: split_deferred counts folios of which the user has unmapped a part. A lazyfree
 * folio is dropped as a whole: since v6.16 all its PTEs are cleared before it is removed
 * from the rmap, in one step (mm/rmap.c: try_to_unmap_one(), folio_unmap_pte_batch()), so
 * __folio_remove_rmap() never sees it partially mapped. Before, each of these folios was
 * queued, which cost a lock and a reference and made the counter useless (the cover letter
 * of "mm: batched unmap lazyfree large folios during reclamation"). On such a kernel the
 * counters show this, and the case is skipped.
 */
#include "madv_free.h"
#include "sizes.h"

#include <inttypes.h>

struct deferred {
	struct lazyfree l;
	uint64_t folios, zero, queued, smaller;
};

static void one_round(struct deferred *d, unsigned int size_kb, bool pageout)
{
	bool whole = refill_whole(&d->l, ROUND_BYTES, size_kb);
	uint64_t before, queued;
	size_t page;

	lazyfree_madv_free(&d->l);
	before = thp_stat(size_kb, "split_deferred");
	if (pageout)
		region_pageout(d->l.region, ROUND_BYTES);
	else
		memcg_reclaim_file(ROUND_BYTES);
	queued = thp_stat(size_kb, "split_deferred") - before;
	lazyfree_verify(&d->l, "after reclaim");
	for (page = 0; page < d->l.pages; page++)
		d->zero += d->l.page[page].rest == REST_ZERO;
	d->folios += d->l.pages / folio_pages(size_kb);
	d->smaller += !whole;
	d->queued += queued;
	if (!queued || !kernel_batches())
		return;
	evidence("reclaim of %zu lazyfree folios of %u kB queued %" PRIu64 " for a split",
		 d->l.pages / folio_pages(size_kb), size_kb, queued);
}

enum outcome split_deferred_zero(const struct guest_args *args)
{
	static struct deferred d;
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t sizes = sizes_large(LARGE_KB, sizes_kb);
	uint64_t round;

	if (!sizes)
		return skip_no_large_folios();
	lazyfree_init(&d.l, ROUND_BYTES, args->seed);
	for (round = 0; round < args->iterations && !d.l.bad && !evidence_count(); round++) {
		lru_gen_set(round / 2 % 2);
		one_round(&d, sizes_kb[round % sizes], (round + round / sizes) % 2);
	}
	counter("folios", d.folios);
	counter("rounds_with_smaller_folios", d.smaller);
	counter("pages_zero", d.zero);
	counter("split_deferred", d.queued);
	if (lazyfree_report(&d.l) != OK || evidence_count())
		return NOT_OK;
	if (!kernel_batches())
		return skip("before v6.16 a lazyfree folio is unmapped page by page: %" PRIu64
			    " folios queued", d.queued);
	return OK;
}
