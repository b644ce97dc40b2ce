// SPDX-License-Identifier: GPL-2.0-only
/*
 * anon_lost_write: no write by another CPU is lost across unmap, pageout, free
 * and swap-in.
 *
 * The rule: between the unmapping of a page and the moment its content is taken
 * for good (written to swap) or its memory is given away (freed), every CPU's TLB
 * entry for it must be gone. Reclaim batches these flushes, so the rule is kept in
 * two halves: set_tlb_ubc_flush_pending() notes who has to be flushed, and
 * try_to_unmap_flush_dirty() (before pageout) and try_to_unmap_flush() (before the
 * free) do it. commit d950c9477d51 ("mm: defer flush of writable TLB entries") (in
 * v4.3); commit 43b3dfdd0455 ("arm64: support batched/deferred tlb shootdown during
 * page reclamation/migration") (in v6.6).
 *
 * One round, so that reclaim meets warm TLB entries on both architectures:
 *
 * 1. All writers go to another window; the previous one, now idle, is paged out,
 *    its translations still in their TLBs.
 * 2. Each writer makes whole passes over the window: the pages are in, on the
 *    LRU, and in every writer's TLB.
 * 3. Reclaim takes the window while they write. By turns with MADV_PAGEOUT,
 *    which does not ask whether a page is in use, and with memory.reclaim,
 *    which does, so the accessed bits are cleared first (lru_make_idle()).
 * 4. Sometimes whole passes again: a writer with a stale entry writes to a page
 *    which is not the region's any more, and reads that back as if all were well.
 *    Not each time: on a broken kernel these writes land in memory that is somebody
 *    else's by now, and it should live to hear of it.
 * 5. mprotect() of some other page makes the kernel flush this mm if a batched
 *    flush may be pending (flush_tlb_batched_pending()): a clean kernel does
 *    nothing that matters, on a broken one stale entries are gone.
 * 6. Whole passes: what had been lost is seen.
 */
#include "stale_tlb.h"
#include "writers.h"

/*
 * Small enough to be in the TLB of any CPU we know: 256 entries is QEMU's least for a busy
 * guest. There are many of them, so that reclaim has pages to choose from.
 */
#define WINDOW_PAGES	128

/* The LRU changes this many times in a run. */
#define LRU_PHASES	4

struct reclaimer {
	struct writers *w;
	uint64_t idle_by_pageout;
	uint64_t shootdowns;		/* before */
};

static void page_out_idle(struct reclaimer *r, unsigned int window)
{
	uint64_t before = vmstat("pswpout");

	region_pageout(r->w->region + window * page_size(), r->w->window_pages * page_size());
	r->idle_by_pageout += vmstat("pswpout") - before;
}

static void one_round(void *arg, uint64_t round)
{
	struct reclaimer *r = arg;
	struct writers *w = r->w;
	unsigned int previous = atomic_load(&w->window), windows = w->pages / w->window_pages;
	size_t bytes = writers_gentle_pages(w, round) * page_size();

	atomic_store(&w->window, rng_below(&w->rng, windows) * w->window_pages);
	writers_choose_busy_cpu(w);
	writers_wait(w);
	if (previous != atomic_load(&w->window))
		page_out_idle(r, previous);
	writers_wait(w);
	writers_reclaim(w, atomic_load(&w->window), bytes, !(round % 2));
	writers_end_round(w, round);
}

static enum outcome report(const struct reclaimer *r, uint64_t words)
{
	uint64_t shootdowns;

	writers_report_rounds(r->w);
	counter("reclaimed_idle", r->idle_by_pageout);
	if (tlb_shootdowns(&shootdowns))
		counter("tlb_shootdowns", shootdowns - r->shootdowns);
	return writers_report_swap(r->w, words);
}

enum outcome anon_lost_write(const struct guest_args *args)
{
	static struct writers w = { .window_pages = WINDOW_PAGES };
	struct reclaimer r = { .w = &w };

	if (!writers_init(&w, args))
		return SKIPPED;
	writers_map_anon(&w);
	writers_count_swap(&w);
	tlb_shootdowns(&r.shootdowns);
	writers_start(&w);
	writers_run_rounds(&w, args->iterations, LRU_PHASES, one_round, &r);
	writers_join(&w);
	return report(&r, writers_verify_after_swap(&w));
}
