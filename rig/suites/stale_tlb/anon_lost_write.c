// SPDX-License-Identifier: GPL-2.0-only
/*
 * anon_lost_write: no write by another CPU is lost when reclaim unmaps a page, writes it to
 * swap and frees it, and the page is swapped in again.
 *
 * The rule: after a page was unmapped, every CPU's TLB entry for it must be flushed before
 * its content is written to swap and before its memory is freed. Reclaim batches these
 * flushes in two steps: set_tlb_ubc_flush_pending() notes what has to be flushed, and
 * try_to_unmap_flush_dirty() (before pageout) and try_to_unmap_flush() (before the free)
 * flush it. commit d950c9477d51 ("mm: defer flush of writable TLB entries") (in v4.3);
 * commit 43b3dfdd0455 ("arm64: support batched/deferred tlb shootdown during page
 * reclamation/migration") (in v6.6).
 *
 * A round makes reclaim meet warm TLB entries on both architectures:
 *
 * 1. All writers go to another window. The previous window, now idle, is paged out while
 *    its translations are still in their TLBs.
 * 2. Each writer makes whole passes over the new window. Its pages are now in memory, on
 *    the LRU, and in every writer's TLB.
 * 3. Reclaim takes the window while they write: in turn with MADV_PAGEOUT, which does not
 *    check whether a page is in use, and with memory.reclaim, which does. Before the latter
 *    the accessed bits are cleared (lru_make_idle()).
 * 4. In two rounds of eight, whole passes again. A writer with a stale entry writes to a
 *    page that no longer belongs to the region, and reads back what it wrote. Not in every
 *    round: on a broken kernel these writes land in somebody else's memory, and the kernel
 *    must live long enough to report the loss.
 * 5. mprotect() of another page makes the kernel flush this mm if a batched flush may be
 *    pending (flush_tlb_batched_pending()). On a correct kernel this changes nothing; on a
 *    broken one the stale entries are gone.
 * 6. Whole passes: now every lost write is seen.
 */
#include "stale_tlb.h"
#include "writers.h"

/*
 * Fits into the TLB of any CPU we know; QEMU's TLB of a busy guest has at least 256
 * entries. The region has many windows, so that reclaim can choose among pages.
 */
#define WINDOW_PAGES	128

/* The case runs in this many phases, on each LRU in turn. */
#define LRU_PHASES	4

struct reclaimer {
	struct writers *w;
	uint64_t idle_by_pageout;
	uint64_t shootdowns;		/* at the start of the case */
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
