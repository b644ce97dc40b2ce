// SPDX-License-Identifier: GPL-2.0-only
/*
 * first_write_to_clean: the first write to a clean page is kept, even if the page is
 * unmapped at the same moment.
 *
 * A page that is swapped in by a read is mapped writable and clean (mm/memory.c,
 * do_swap_page()). Its first write causes no fault: the CPU sets the dirty bit. Three
 * things keep this write:
 *
 * - The PTE is read and cleared in one step (ptep_get_and_clear()). So either the dirty bit
 *   is in the value that was read, or the CPU finds the PTE cleared and faults: "If the
 *   entry was previously clean then the architecture must guarantee that a clear->dirty
 *   transition on a cached TLB entry is written through and traps if the PTE is unmapped"
 *   (mm/rmap.c, try_to_unmap_one()). x86, and arm64 with hardware-managed dirty state
 *   (FEAT_HAFDBS), use a locked update of the PTE.
 * - The dirty bit goes to the folio (folio_mark_dirty()). So a clean folio of the swap
 *   cache is written again instead of dropped.
 * - The TLB entries of a dirty PTE are flushed before the page is written, those of a clean
 *   PTE before it is freed: set_tlb_ubc_flush_pending().
 *
 * commit d950c9477d51 ("mm: defer flush of writable TLB entries") (in v4.3) does not flush
 * clean PTEs before pageout, so it relies on the first point. This was discussed when
 * batching was introduced: "We can lose data if we unmap a writable but not dirty pte from
 * a file page, and the task writes before we flush the TLB" (Rik van Riel on "[PATCH 2/4]
 * mm: Send a single IPI to TLB flush multiple pages when unmapping", 2015-04-15).
 *
 * One round: the window is swapped in by reads, so it is clean and in every writer's TLB.
 * Then reclaim takes it page by page, and announces each page before it takes it. The
 * page's writer writes to it at about this time, however busy the host is. With swap on the
 * disk, a clean page is dropped and the disk keeps its content; with zram, v6.12 writes
 * each clean page again.
 */
#include "stale_tlb.h"
#include "writers.h"

#define WINDOW_PAGES	64

/* Swap on disk and on zram, each with both LRUs. */
#define PHASES		4

/*
 * Pages per MADV_PAGEOUT call. This is how close a first write comes to the unmapping of
 * its page. With 8, unmap-reads-then-clears survived two of eight runs on arm64; with 1,
 * one of 28.
 */
#define CHUNK_PAGES	1

#define PACE_NS_FIRST	20000U
#define PACE_NS_MAX	20000000U

struct clean {
	struct writers w;
	uint64_t rounds_disk;
	uint64_t rounds_zram;
	uint64_t dropped_clean;
};

static void pageout_behind_front(struct writers *w, unsigned int window, unsigned int pages)
{
	uint64_t before = vmstat("pswpout"), time = now_ns();
	unsigned int page, end = window + pages;

	atomic_store(&w->reclaiming, true);
	for (page = window; page < end; page += CHUNK_PAGES) {
		atomic_store(&w->front, page + CHUNK_PAGES);
		region_pageout(w->region + page * page_size(), CHUNK_PAGES * page_size());
	}
	atomic_store(&w->reclaiming, false);
	time = (now_ns() - time) / (pages / CHUNK_PAGES);
	atomic_store(&w->pace_ns, time < PACE_NS_MAX ? (uint32_t)time : PACE_NS_MAX);
	w->by_pageout += vmstat("pswpout") - before;
}

/* Reclaim and first writes at the same time; reclaim leads. */
static void race(struct clean *c, uint64_t round, unsigned int window)
{
	struct writers *w = &c->w;
	unsigned int pages = writers_gentle_pages(w, round);
	bool pageout = round % 8 != 7;

	atomic_store(&w->front, pageout ? 0 : window + pages);
	writers_set(w, WRITE_PACED);
	if (pageout)
		pageout_behind_front(w, window, pages);
	else
		writers_reclaim(w, window, pages * page_size(), false);
}

/*
 * With page-cluster 0, each page that is swapped in was reclaimed before: it was either
 * written to swap or dropped clean. So the difference of the counts is what was dropped
 * clean.
 */
static void one_round(struct clean *c, uint64_t round)
{
	struct vmstat_delta deltas[] = { { .name = "pswpout" }, { .name = "pswpin" } };
	const size_t count = sizeof(deltas) / sizeof(*deltas);
	unsigned int window = rng_below(&c->w.rng, c->w.pages / WINDOW_PAGES) * WINDOW_PAGES;
	struct writers *w = &c->w;
	uint64_t in, out;

	writers_read_window(w, window);
	vmstat_start(deltas, count);
	race(c, round, window);
	atomic_store(&w->front, UINT32_MAX);
	if (round % 2)
		writers_set(w, READ_ONLY);
	if (round % 8 >= 6)
		writers_wait(w);
	flush_pending_batch(w->other_page);
	writers_set(w, READ_ONLY);
	writers_wait(w);
	in = vmstat_since(deltas, count, "pswpin");
	out = vmstat_since(deltas, count, "pswpout");
	c->dropped_clean += in > out ? in - out : 0;
}

/*
 * swapoff has swapped in all pages. They have no swap slot now, so they are not clean: page
 * them out.
 */
static void move_to_swap_on(struct clean *c, const char *kind)
{
	if (!swap_only(kind))
		bail("no swap on %s", kind);
	writers_set(&c->w, PARKED);
	region_pageout(c->w.region, c->w.pages * page_size());
}

static void one_phase(struct clean *c, unsigned int phase, uint64_t first, uint64_t rounds)
{
	bool disk = phase < PHASES / 2;
	uint64_t round;

	if (phase % (PHASES / 2) == 0)
		move_to_swap_on(c, disk ? "disk" : "zram");
	lru_gen_set(phase % 2);
	for (round = first; round < first + rounds && !atomic_load(&c->w.lost); round++)
		one_round(c, round);
	*(disk ? &c->rounds_disk : &c->rounds_zram) += rounds;
}

static void prepare(struct writers *w)
{
	w->window_pages = WINDOW_PAGES;
	atomic_store(&w->pace_ns, PACE_NS_FIRST);
	writers_set(w, READ_ONLY);
	writers_map_anon(w);
	set_file("/proc/sys/vm/page-cluster", "0");
}

enum outcome first_write_to_clean(const struct guest_args *args)
{
	static struct clean c;
	uint64_t words, rounds = (args->iterations + PHASES - 1) / PHASES;
	unsigned int phase;

	if (!writers_init(&c.w, args))
		return SKIPPED;
	prepare(&c.w);
	writers_count_swap(&c.w);
	writers_start(&c.w);
	for (phase = 0; phase < PHASES && !atomic_load(&c.w.lost); phase++)
		one_phase(&c, phase, phase * rounds, rounds);
	writers_join(&c.w);
	words = writers_verify_after_swap(&c.w);
	counter("rounds_disk", c.rounds_disk);
	counter("rounds_zram", c.rounds_zram);
	counter("dropped_clean", c.dropped_clean);
	return writers_report_swap(&c.w, words);
}
