// SPDX-License-Identifier: GPL-2.0-only
/*
 * lazyfree_reclaim: MADV_PAGEOUT of lazyfree folios of 64 KiB, CHUNK_BYTES per iteration.
 * This is the benchmark of "mm: batched unmap lazyfree large folios during reclamation".
 * Its cover letter says that 128 MiB of them (16 iterations) are reclaimed 2.5 times as
 * fast, and that split_deferred goes from 2048 to 0.
 *
 * lazyfree_redirtied: PMD-mapped folios, one word of each written after MADV_FREE. Reclaim
 * has to give up on each of them; the same cover letter says that this is 3.5 times as
 * fast.
 */
#include "bench.h"

#include <sys/mman.h>

#define CHUNK_BYTES	(2048 * page_size())

static void *fill(size_t bytes, unsigned int size_kb)
{
	char *chunk = region_map(bytes, FOLIO_LARGE * page_size());
	size_t page;

	thp_choose(chunk, bytes, size_kb);
	for (page = 0; page < bytes / page_size(); page++)
		*(volatile uint64_t *)(chunk + page * page_size()) = page + 1;
	/* Split and MADV_FREE both need the folios on the LRU, not in this CPU's batches. */
	lru_drain_local();
	if (!region_advise(chunk, bytes, MADV_FREE))
		bail("no MADV_FREE");
	return chunk;
}

static enum outcome reclaim_all(const struct guest_args *args, unsigned int size_kb, bool redirty)
{
	const size_t bytes = args->iterations * CHUNK_BYTES;
	uint64_t allocated = thp_stat(size_kb, "anon_fault_alloc"), split, deferred;
	size_t page, folio = (size_t)size_kb << 10;
	char *chunk;

	pin_self(0);
	lock_present();
	memcg_enter();
	chunk = fill(bytes, size_kb);
	for (page = 0; redirty && page < bytes; page += folio)
		*(volatile uint64_t *)(chunk + page) = 7;
	lru_drain_local();
	split = thp_stat(size_kb, "split");
	deferred = thp_stat(size_kb, "split_deferred");
	bench_start();
	region_pageout(chunk, bytes);
	bench_stop();
	counter("folios", thp_stat(size_kb, "anon_fault_alloc") - allocated);
	counter("split", thp_stat(size_kb, "split") - split);
	counter("split_deferred", thp_stat(size_kb, "split_deferred") - deferred);
	bench_report();
	return OK;
}

enum outcome lazyfree_reclaim(const struct guest_args *args)
{
	return reclaim_all(args, folio_kb(FOLIO_SMALL), false);
}

enum outcome lazyfree_redirtied(const struct guest_args *args)
{
	return reclaim_all(args, folio_kb(FOLIO_LARGE), true);
}
