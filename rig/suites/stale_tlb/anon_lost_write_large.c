// SPDX-License-Identifier: GPL-2.0-only
/*
 * anon_lost_write_large: no write by another CPU is lost when the page belongs to a large
 * folio: an mTHP of each size that the kernel offers, mapped by PTEs, or a THP mapped by a
 * PMD.
 *
 * The rule is that of anon_lost_write. A large folio has more ways to break it:
 *
 * - The PTEs of a folio are cleared one by one or several at once, and all of them must be
 *   flushed: mm/rmap.c, try_to_unmap_one(). A huge PMD is split first, while the writers
 *   use it (TTU_SPLIT_HUGE_PMD, split_huge_pmd_locked()), and then its PTEs are cleared as
 *   others are.
 * - One try_to_unmap_flush_dirty() covers the whole folio, and then the folio is written as
 *   a whole. So its first page stays unmapped and not flushed until its last page is
 *   unmapped too (mm/vmscan.c, shrink_folio_list()). commit 5ed890ce5147 ("mm: vmscan:
 *   avoid split during shrink_folio_list()") (in v6.10).
 * - Each page has its own swap entry; those of one folio are consecutive: page_swap_entry()
 *   (include/linux/swap.h).
 *
 * Each size is a small anon_lost_write of its own. Swap-in brings back single pages, or
 * folios of a size that the kernel chooses. So every round begins with new memory for a
 * window. CPU 0 writes the expected counts into it while the writers are in another window.
 */
#include "stale_tlb.h"
#include "writers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define REGION_BYTES	(2 * FOLIO_LARGE * page_size())

/* This many consecutive pages fit into the TLB of any CPU we know, see anon_lost_write.c. */
#define WALKED_PAGES	128

/* The first round takes only this much of its window, see writers_gentle_pages(). */
#define GENTLE_BYTES	(16 * page_size())

struct large {
	struct writers w;
	unsigned int size_kb;
	uint64_t folios;
	uint64_t swapped_out_whole;
	uint64_t sizes_used;
	uint64_t words;
};

/*
 * Replace the memory of a window that no writer uses, after checking it. Mapped again,
 * because MADV_DONTNEED would leave the page table, and then no huge PMD could be mapped
 * there.
 */
static void renew(struct large *l, unsigned int window)
{
	struct writers *w = &l->w;
	char *start = w->region + window * page_size();
	const size_t size = w->window_pages * page_size();

	l->words += writers_verify_pages(w, window, w->window_pages);
	if (mmap(start, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != start)
		bail("cannot map a window again: %s", strerror(errno));
	region_advise(start, size, MADV_HUGEPAGE);
	writers_rewrite(w, window, w->window_pages);
}

static unsigned int other_window(struct large *l)
{
	unsigned int windows = l->w.pages / l->w.window_pages;
	unsigned int now = atomic_load(&l->w.window) / l->w.window_pages;

	return (now + 1 + rng_below(&l->w.rng, windows - 1)) % windows * l->w.window_pages;
}

static void one_round(struct large *l, uint64_t round)
{
	struct writers *w = &l->w;
	unsigned int window = other_window(l);
	size_t bytes = round ? w->window_pages * page_size() : GENTLE_BYTES;

	if (bytes < (size_t)l->size_kb << 10)
		bytes = (size_t)l->size_kb << 10;
	writers_set(w, PARKED);
	renew(l, window);
	atomic_store(&w->window, window);
	writers_choose_busy_cpu(w);
	writers_set(w, WRITE_ALWAYS);
	writers_wait(w);
	writers_reclaim(w, window, bytes, round % 2 == 0);
	if (round % 4 >= 2)
		writers_wait(w);
	flush_pending_batch(w->other_page);
	writers_wait(w);
}

static void note_folios(struct large *l, uint64_t allocated, uint64_t swapped_out)
{
	char name[32];

	snprintf(name, sizeof(name), "folios_of_%zu", ((size_t)l->size_kb << 10) / page_size());
	counter(name, allocated);
	l->folios += allocated;
	l->sizes_used += allocated > 0;
	l->swapped_out_whole += swapped_out;
}

/*
 * Send one folio through swap, before any race: its last page has the folio's last swap
 * entry, so this one read shows a wrong entry. The other pages of such a folio are not
 * read, because a kernel with CONFIG_DEBUG_VM would crash.
 */
static bool last_page_comes_back(struct large *l)
{
	const size_t pages = ((size_t)l->size_kb << 10) / page_size();
	const size_t words = page_size() / sizeof(uint64_t);
	volatile uint64_t *folio = (volatile uint64_t *)l->w.region;
	uint64_t read;
	size_t page;

	for (page = 0; page < pages; page++)
		folio[page * words] = page + 1;
	lru_drain_local();
	region_pageout(l->w.region, pages * page_size());
	read = folio[(pages - 1) * words];
	if (read == pages)
		return true;
	evidence("page %zu of a folio of %u kB: wrote %zu, read back %" PRIu64
		 " (after swap, no other CPU involved)", pages - 1, l->size_kb, pages, read);
	atomic_fetch_add(&l->w.lost, 1);
	return false;
}

static void all_rounds(struct large *l, uint64_t rounds)
{
	struct writers *w = &l->w;
	uint64_t round;

	writers_start(w);
	for (round = 0; round < rounds && !atomic_load(&w->lost); round++)
		one_round(l, round);
	writers_join(w);
	l->words += writers_verify_after_swap(w);
}

static void one_size(struct large *l, const struct guest_args *args)
{
	struct writers *w = &l->w;
	uint64_t allocated = thp_stat(l->size_kb, "anon_fault_alloc");
	uint64_t swapped_out = thp_stat(l->size_kb, "swpout");

	w->seed = mix64(args->seed + l->size_kb);
	w->window_pages = (unsigned int)(((size_t)l->size_kb << 10) / page_size());
	if (w->window_pages < WALKED_PAGES)
		w->window_pages = WALKED_PAGES;
	w->walked = WALKED_PAGES;
	atomic_store(&w->window, 0);
	w->region = region_map(REGION_BYTES, REGION_BYTES);
	thp_choose(w->region, REGION_BYTES, l->size_kb);
	if (last_page_comes_back(l))
		all_rounds(l, args->iterations);
	note_folios(l, thp_stat(l->size_kb, "anon_fault_alloc") - allocated,
		    thp_stat(l->size_kb, "swpout") - swapped_out);
	region_unmap(w->region, REGION_BYTES);
}

enum outcome anon_lost_write_large(const struct guest_args *args)
{
	static struct large l;
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t i, sizes = thp_sizes(sizes_kb);

	if (!writers_init(&l.w, args))
		return SKIPPED;
	if (!sizes)
		return skip("this kernel has no large anonymous folios");
	l.w.pages = (unsigned int)(REGION_BYTES / page_size());
	swap_require(4 * REGION_BYTES);
	pin_self(0);
	lock_present();
	memcg_enter();
	l.w.other_page = locked_alloc(page_size());
	writers_count_swap(&l.w);
	for (i = 0; i < sizes && !atomic_load(&l.w.lost); i++) {
		l.size_kb = sizes_kb[i];
		if ((size_t)l.size_kb << 10 <= REGION_BYTES / 2)
			one_size(&l, args);
	}
	thp_report_limits();
	counter("mthp_sizes_offered", sizes);
	counter("mthp_sizes_used", l.sizes_used);
	counter("mthp_folios", l.folios);
	counter("mthp_swapped_out_whole", l.swapped_out_whole);
	return writers_report_swap(&l.w, l.words);
}
