// SPDX-License-Identifier: GPL-2.0-only
/*
 * anon_roundtrip: anonymous memory comes back from swap byte for byte, whatever the size of
 * the folio.
 *
 * The rule: the content of a page belongs to one address of one process until that process
 * overwrites it. On the way through swap this depends on the swap entry of each page of a
 * folio (consecutive, one per subpage: mm/rmap.c, try_to_unmap_one()), on the split of
 * folios that cannot be swapped out as a whole, on the swap cache, and on swap-in of one
 * page or of many. commit 5ed890ce5147 ("mm: vmscan: avoid split during
 * shrink_folio_list()") (in v6.10) swaps out mTHP as a whole.
 *
 * For order 0 and for each folio size that the kernel offers, one CPU fills a region,
 * memory.reclaim takes it, and another CPU reads all of it back. Each iteration uses
 * another pattern, and overwrites pages of which half are in swap. For each size it counts
 * the folios, and those that were swapped out as a whole.
 *
 * memory.max is not used: in a small memory cgroup the classic LRU may have all pages on
 * the active list without knowing it (pressure.h), and then the OOM killer runs.
 */
#include "reclaim.h"
#include "pressure.h"

#include <inttypes.h>
#include <stdio.h>

/* At least four folios. */
#define REGION_BYTES	(512 * page_size())
#define REGION_FOLIOS	4

/* With larger pages there are larger folios too. */
#define FOLIO_MAX	(FOLIO_LARGE * page_size())
#define SWAP_BYTES	(4 * REGION_FOLIOS * FOLIO_MAX)

/* No more pages are checked when this many are wrong. */
#define BAD_PAGES_MAX	64

struct roundtrip {
	char *region;
	size_t pages;
	unsigned int cpus;
	unsigned int cpu;		/* of the next walk */
	unsigned int size_kb;
	uint64_t seed;
	uint64_t generation;
	uint64_t pages_verified;
	uint64_t pages_bad;
	uint64_t bytes_bad;
	uint64_t order0_pages;
	uint64_t folios;
	uint64_t sizes_used;
	uint64_t swapped_out_whole;
};

static uint64_t page_key(const struct roundtrip *r, size_t page)
{
	return pattern_key(r->seed, r->generation, page);
}

/*
 * Each walk runs on another CPU, so that nothing depends on where a page was faulted in.
 * Only one CPU is busy at a time: with several, each page that is reclaimed on x86-64 waits
 * for an interrupt on all of them, and an emulated machine spends its time on that
 * (measured: 1,000 pages per second, and many times more with one).
 */
static void next_cpu(struct roundtrip *r)
{
	/* Up to 31 folios in this CPU's batches stay charged to the cgroup, mapped or not. */
	lru_drain_local();
	pin_self(r->cpu++ % r->cpus);
}

static void fill(struct roundtrip *r)
{
	size_t page;

	next_cpu(r);
	for (page = 0; page < r->pages; page++)
		pattern_fill(r->region + page * page_size(), page_size(), page_key(r, page));
}

static void verify_page(struct roundtrip *r, size_t page)
{
	const char *start = r->region + page * page_size();
	struct pattern_fault fault;

	if (!pattern_first_fault(start, page_size(), page_key(r, page), &fault))
		return;
	evidence("page %zu of a region of %u kB folios, offset %zu: wrote 0x%" PRIx64
		 ", read back 0x%" PRIx64 " (pattern %" PRIu64 ")", page,
		 shown_kb(r->size_kb), fault.offset,
		 fault.wrote, fault.read, r->generation);
	r->pages_bad++;
	r->bytes_bad += pattern_bad_bytes(start, page_size(), page_key(r, page));
}

/*
 * Check the last page of each folio first. A kernel that mixes up the pages of a folio
 * gives one page the content of another. It crashes when both are faulted in (mm/rmap.c,
 * __page_check_anon_rmap()), and the wrong content must be reported before that.
 */
static bool verify_last_pages(struct roundtrip *r)
{
	size_t pages = ((size_t)r->size_kb << 10) / page_size(), page;

	for (page = pages - 1; pages > 1 && page < r->pages; page += pages)
		verify_page(r, page);
	return !r->pages_bad;
}

static void verify(struct roundtrip *r)
{
	size_t page;

	next_cpu(r);
	if (!verify_last_pages(r))
		return;
	for (page = 0; page < r->pages && r->pages_bad < BAD_PAGES_MAX; page++)
		verify_page(r, page);
	r->pages_verified += page;
}

static void note_folios(struct roundtrip *r, uint64_t allocated, uint64_t swapped_out)
{
	size_t pages = ((size_t)r->size_kb << 10) / page_size();
	char name[32];

	snprintf(name, sizeof(name), "folios_of_%zu", pages);
	counter(name, allocated);
	snprintf(name, sizeof(name), "whole_of_%zu", pages);
	counter(name, swapped_out);
	r->folios += allocated;
	r->sizes_used += allocated > 0;
	r->swapped_out_whole += swapped_out;
}

static void one_size(struct roundtrip *r, unsigned int size_kb, uint64_t passes)
{
	size_t bytes = ((size_t)size_kb << 10) * REGION_FOLIOS;
	uint64_t allocated, swapped_out, verified = r->pages_verified, pass;

	bytes = bytes > REGION_BYTES ? bytes : REGION_BYTES;
	r->size_kb = size_kb;
	r->pages = bytes / page_size();
	r->region = region_map(bytes, bytes);
	thp_choose(r->region, bytes, size_kb);
	allocated = thp_stat(size_kb, "anon_fault_alloc");
	swapped_out = thp_stat(size_kb, "swpout");
	for (pass = 0; pass < passes && !r->pages_bad; pass++) {
		r->generation++;
		fill(r);
		pressure_prepare();
		memcg_reclaim(bytes);
		verify(r);
		pressure_prepare();
		memcg_reclaim(bytes / 2);
	}
	if (size_kb)
		note_folios(r, thp_stat(size_kb, "anon_fault_alloc") - allocated,
			    thp_stat(size_kb, "swpout") - swapped_out);
	else
		r->order0_pages = r->pages_verified - verified;
	region_unmap(r->region, bytes);
}

enum outcome anon_roundtrip(const struct guest_args *args)
{
	static struct roundtrip r;
	struct vmstat_delta deltas[] = { { .name = "pswpout" }, { .name = "pswpin" } };
	const size_t count = sizeof(deltas) / sizeof(*deltas);
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t i, sizes = thp_sizes(sizes_kb);

	r.seed = args->seed;
	r.cpus = args->cpus;
	swap_require(SWAP_BYTES);
	lock_present();
	memcg_enter();
	vmstat_start(deltas, count);
	for (i = 0; i < sizes; i++)
		if ((size_t)sizes_kb[i] << 10 <= FOLIO_MAX && !r.pages_bad)
			one_size(&r, sizes_kb[i], args->iterations);
	if (!r.pages_bad)
		one_size(&r, 0, args->iterations);
	counter("pages_verified", r.pages_verified);
	counter("order0_pages", r.order0_pages);
	thp_report_limits();
	counter("mthp_sizes_offered", sizes);
	counter("mthp_sizes_used", r.sizes_used);
	counter("mthp_folios", r.folios);
	counter("mthp_swapped_out_whole", r.swapped_out_whole);
	counter("pswpout", vmstat_since(deltas, count, "pswpout"));
	counter("pswpin", vmstat_since(deltas, count, "pswpin"));
	counter("pages_bad", r.pages_bad);
	counter("bytes_bad", r.bytes_bad);
	return r.pages_bad ? NOT_OK : OK;
}
