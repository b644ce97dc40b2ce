// SPDX-License-Identifier: GPL-2.0-only
/*
 * droppable: memory mapped with MAP_DROPPABLE may be dropped, dirty or not, in whole pages.
 * It is never written to swap, and a child does not inherit it.
 *
 * The rule: commit 9651fcedf7b9 ("mm: add MAP_DROPPABLE for designating always lazily
 * freeable mappings") (in v6.11): a page of such a mapping reads as zero after it was
 * dropped; it is never written to swap (folio_add_new_anon_rmap() does not make it
 * swapbacked; try_to_unmap_one() drops it although it is dirty, and never makes it
 * swapbacked); and it is wiped on fork.
 *
 * A round fills such a mapping with folios of one size and reclaims it with MADV_PAGEOUT or
 * memory.reclaim. Then pagemap must show no swap entry, and each page must be all as
 * written or all zero.
 */
#include "madv_free.h"
#include "place.h"
#include "sizes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE	0x08
#endif

#define PAGES		(ROUND_BYTES / page_size())

struct droppable {
	char *region;
	uint64_t seed, round;
	uint64_t written, zero, old, swapped, bad;
	uint64_t wiped_on_fork;
};

static uint64_t page_key(const struct droppable *d, size_t page)
{
	return pattern_key(d->seed, d->round, page);
}

static bool map(char *start, size_t size, int fixed)
{
	return mmap(start, size, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS | fixed, -1,
		    0) != MAP_FAILED;
}

static void fill(struct droppable *d, unsigned int size_kb)
{
	size_t page;

	d->round++;
	/* Mapped again, without a page table, so that a folio can be mapped by a PMD. */
	if (!map(d->region, ROUND_BYTES, MAP_FIXED))
		bail("cannot map it again: %s", strerror(errno));
	thp_choose(d->region, ROUND_BYTES, size_kb);
	for (page = 0; page < PAGES; page++)
		pattern_fill(d->region + page * page_size(), page_size(), page_key(d, page));
	d->written += PAGES;
	lru_drain_local();
}

static void verify(struct droppable *d, const char *when)
{
	struct pattern_fault fault;
	size_t page;

	for (page = 0; page < PAGES && d->bad < BAD_PAGES_MAX; page++) {
		const char *start = d->region + page * page_size();

		if (place_of(start).swapped) {
			evidence("page %zu of a droppable mapping is in swap (%s)", page, when);
			d->swapped++;
			d->bad++;
		} else if (!pattern_first_fault(start, page_size(), page_key(d, page), &fault)) {
			d->old++;
		} else if (page_is_zero(start, page_size())) {
			d->zero++;
		} else {
			evidence("page %zu, offset %zu: wrote 0x%" PRIx64 ", read back 0x%" PRIx64
				 ", and the page is not zero (%s)", page, fault.offset,
				 fault.wrote, fault.read, when);
			d->bad++;
		}
	}
}

/* The child only checks the mapping and exits. */
static void check_fork(struct droppable *d)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		bail("fork: %s", strerror(errno));
	if (!pid)
		_exit(!page_is_zero(d->region, ROUND_BYTES));
	if (waitpid(pid, &status, 0) != pid)
		bail("waitpid: %s", strerror(errno));
	d->wiped_on_fork += !status;
	if (!status)
		return;
	evidence("a child inherited a droppable mapping, or died (status 0x%x)", status);
	d->bad++;
}

static void one_round(struct droppable *d, unsigned int size_kb, bool pageout)
{
	fill(d, size_kb);
	if (d->round % 4 == 1)
		check_fork(d);
	if (!lru_make_idle())
		bail("no /proc/self/clear_refs: %s", strerror(errno));
	if (pageout)
		region_pageout(d->region, ROUND_BYTES);
	else
		memcg_reclaim(ROUND_BYTES / 2);
	verify(d, pageout ? "after MADV_PAGEOUT" : "after memory.reclaim");
	if (d->bad)
		return;
	/*
	 * A page that was not dropped may have become swapbacked: a second reclaim shows
	 * it.
	 */
	region_pageout(d->region, ROUND_BYTES);
	verify(d, "after a second reclaim");
}

enum outcome droppable(const struct guest_args *args)
{
	static struct droppable d;
	struct vmstat_delta deltas[] = { { .name = "pglazyfreed" }, { .name = "pswpout" } };
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t size, sizes = sizes_large(LARGE_KB, sizes_kb) + 1;
	uint64_t round;

	d.seed = args->seed;
	d.region = region_map(ROUND_BYTES, ROUND_BYTES);
	if (!map(d.region, ROUND_BYTES, MAP_FIXED))
		return skip("no MAP_DROPPABLE: %s", strerror(errno));
	swap_require(2 * ROUND_BYTES);
	pin_self(0);
	lock_present();
	memcg_enter();
	vmstat_start(deltas, 2);
	for (round = 0; round < args->iterations && !d.bad; round++) {
		size = round % sizes;
		lru_gen_set(round / 2 % 2);
		one_round(&d, size ? sizes_kb[size - 1] : 0, (round + round / sizes) % 2);
	}
	counter("pages_written", d.written);
	counter("pages_dropped", d.zero);
	counter("pages_as_written", d.old);
	counter("pages_swapped", d.swapped);
	counter("forks_wiped", d.wiped_on_fork);
	counter("pglazyfreed", vmstat_since(deltas, 2, "pglazyfreed"));
	counter("pswpout", vmstat_since(deltas, 2, "pswpout"));
	counter("pages_bad", d.bad);
	return d.bad ? NOT_OK : OK;
}
