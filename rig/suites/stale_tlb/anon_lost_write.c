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

/*
 * A kernel that loses writes lets them land in memory given to somebody else, and
 * the more pages it has freed the sooner it dies of it. So the first rounds take
 * few pages: a kernel as broken as that is found out while it can still be told.
 */
#define GENTLE_ROUNDS	4
#define FIRST_PAGES		8U

/* The LRU changes this many times in a run. */
#define LRU_PHASES	4

struct reclaimer {
	struct writers *w;
	struct rng rng;
	char *other_page;
	uint64_t rounds_classic;
	uint64_t rounds_mglru;
	uint64_t by_pageout;
	uint64_t by_memory_reclaim;
	uint64_t idle_by_pageout;
	uint64_t shootdowns;		/* before */
};

static void page_out_idle(struct reclaimer *r, unsigned int window)
{
	uint64_t before = vmstat("pswpout");

	region_pageout(r->w->region + window * page_size(), r->w->window_pages * page_size());
	r->idle_by_pageout += vmstat("pswpout") - before;
}

static void one_round(struct reclaimer *r, uint64_t round)
{
	struct writers *w = r->w;
	unsigned int previous = atomic_load(&w->window), windows = w->pages / w->window_pages;
	unsigned int pages = round < GENTLE_ROUNDS ? FIRST_PAGES << round : w->window_pages;

	atomic_store(&w->window, rng_below(&r->rng, windows) * w->window_pages);
	atomic_store(&w->busy_cpu, 1 + rng_below(&r->rng, w->count));
	writers_wait(w);
	if (previous != atomic_load(&w->window))
		page_out_idle(r, previous);
	writers_wait(w);
	*(round % 2 ? &r->by_memory_reclaim : &r->by_pageout) +=
		writers_reclaim(w, atomic_load(&w->window), pages * page_size(), !(round % 2));
	if (round % 8 >= 6)
		writers_wait(w);
	flush_pending_batch(r->other_page);
	writers_wait(w);
}

static void all_rounds(struct reclaimer *r, uint64_t rounds)
{
	uint64_t round, phase_rounds = (rounds + LRU_PHASES - 1) / LRU_PHASES;

	for (round = 0; round < rounds && !atomic_load(&r->w->lost); round++) {
		if (round % phase_rounds == 0)
			lru_gen_set(round / phase_rounds % 2);
		if (lru_gen_is_on())
			r->rounds_mglru++;
		else
			r->rounds_classic++;
		one_round(r, round);
	}
}

static void report(const struct reclaimer *r, struct vmstat_delta *deltas, size_t count,
		   uint64_t words)
{
	uint64_t shootdowns;

	counter("rounds_classic", r->rounds_classic);
	counter("rounds_mglru", r->rounds_mglru);
	counter("pswpout", vmstat_since(deltas, count, "pswpout"));
	counter("pswpin", vmstat_since(deltas, count, "pswpin"));
	counter("reclaimed_by_memory_reclaim", r->by_memory_reclaim);
	counter("reclaimed_by_pageout", r->by_pageout);
	counter("reclaimed_idle", r->idle_by_pageout);
	counter("words_verified", words);
	if (tlb_shootdowns(&shootdowns))
		counter("tlb_shootdowns", shootdowns - r->shootdowns);
	writers_report(r->w);
}

static void prepare(struct reclaimer *r)
{
	lock_present();
	memcg_enter();
	r->other_page = locked_alloc(page_size());
	r->w->region = region_map(r->w->pages * page_size(), page_size());
	thp_choose(r->w->region, r->w->pages * page_size(), 0);
}

enum outcome anon_lost_write(const struct guest_args *args)
{
	static struct writers w = { .window_pages = WINDOW_PAGES };
	struct reclaimer r = { .w = &w, .rng = rng_fork(args->seed, 0) };
	struct vmstat_delta deltas[] = { { .name = "pswpout" }, { .name = "pswpin" } };
	uint64_t words = 0;

	if (args->cpus < 2)
		return skip("a writer needs a CPU besides the reclaimer's");
	w.seed = args->seed;
	w.pages = args->pages;
	w.count = args->cpus - 1;
	swap_require(2 * args->pages * page_size());
	pin_self(0);
	prepare(&r);
	vmstat_start(deltas, sizeof(deltas) / sizeof(*deltas));
	tlb_shootdowns(&r.shootdowns);
	writers_start(&w);
	all_rounds(&r, args->iterations);
	writers_join(&w);
	if (!atomic_load(&w.lost)) {
		/* Once more through swap, so that the last word is not a stale entry's. */
		region_pageout(w.region, w.pages * page_size());
		words = writers_verify(&w);
	}
	report(&r, deltas, sizeof(deltas) / sizeof(*deltas), words);
	return atomic_load(&w.lost) ? NOT_OK : OK;
}
