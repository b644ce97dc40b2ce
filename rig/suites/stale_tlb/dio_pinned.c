// SPDX-License-Identifier: GPL-2.0-only
/*
 * dio_pinned: after an O_DIRECT read, the buffer holds what the disk holds, although its
 * pages were being reclaimed at the same time; and it still does after a swap-out and
 * swap-in.
 *
 * The rule: while a page is pinned for DMA (FOLL_PIN, as by O_DIRECT), its content may
 * change at any time without a trace in any PTE. So
 *
 * - Reclaim does not take the page: it checks folio_maybe_dma_pinned() before and after the
 *   unmapping (mm/vmscan.c, shrink_folio_list()), PageAnonExclusive and the pin count under
 *   the page table lock (folio_try_share_anon_rmap_pte()), and at last the reference count
 *   (__remove_mapping()). Code that unlocks a folio between these checks, as batching may,
 *   must check again: "some checks seem missing in the batch check? eg.
 *   folio_maybe_dma_pinned" (Kairui Song on "[PATCH 2/2] mm, vmscan: flush TLB for every 31
 *   folios evictions", 2026-03-09).
 * - The owner of the pin marks the page dirty (Documentation/core-api/pin_user_pages.rst;
 *   block/bio.c, bio_set_pages_dirty()). Otherwise a page that is clean in the swap cache
 *   is dropped, and the data that DMA has written is lost.
 *
 * Readers on all CPUs but CPU 0 read runs of blocks into runs of pages of their own slice,
 * and never write there: the content comes only from the disk. Before each read they check
 * the pages, which have been swapped out since and are clean. CPU 0 reclaims the pages of a
 * read that is under way.
 */
#include "stale_tlb.h"
#include "writers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCKS		512
#define SLICE_PAGES	64
#define RUN_PAGES_MAX	16
#define BAD_MAX		32

/*
 * The readers rest between reads, for the reason in writers.c: CPU 0 must be able to
 * reclaim.
 */
#define REST_NS_MAX	1000000

/* How often CPU 0 checks whether a read has begun. */
#define LOOKS_MAX	100000

/* Swap on disk and on zram, each with both LRUs. */
#define PHASES		4

/*
 * A read takes little time, and a busy host may not run both CPUs at once. In each phase
 * this many MADV_PAGEOUT calls must fall into a read; the phase goes on for that, up to a
 * multiple of its rounds.
 */
#define CALLS_IN_READS		2
#define ROUNDS_FACTOR		4

/* Every sixteenth call is memory.reclaim, which chooses the pages itself. */
#define MEMORY_RECLAIM_EVERY	16

struct dio;

struct reader {
	struct dio *dio;
	pthread_t thread;
	unsigned int cpu;
	char *slice;
	char *other_page;
	uint16_t *blocks;		/* per page: which block it holds */
	uint64_t reads;
	uint64_t pages_read;
	uint64_t pages_verified;
	uint64_t stale;			/* pages that were wrong until a pending flush was done */
	uint64_t swap_ins;
	/* The current read: its number, which is odd while it is under way, and its pages. */
	_Atomic uint32_t number CACHE_ALIGNED;
	_Atomic uint32_t first;
	_Atomic uint32_t pages;
} CACHE_ALIGNED;

struct dio {
	struct rng rng;
	uint64_t seed;
	unsigned int count;
	int file;
	char *region;
	uint64_t by_pageout;
	uint64_t by_memory_reclaim;
	uint64_t calls_on_reads;	/* MADV_PAGEOUT calls begun during a read of these pages */
	uint64_t calls_in_reads;	/* and ended during the same read */
	atomic_bool stop CACHE_ALIGNED;
	_Atomic uint32_t bad;
	_Atomic uint32_t reads_done;
	struct reader reader[THREADS_MAX];
};

static uint64_t block_key(const struct dio *d, unsigned int block)
{
	return pattern_key(d->seed, 0, block);
}

static void verify(struct reader *me, unsigned int page, const char *when)
{
	struct dio *d = me->dio;
	const char *start = me->slice + page * page_size();
	struct pattern_fault fault;

	me->pages_verified++;
	if (!pattern_first_fault(start, page_size(), block_key(d, me->blocks[page]), &fault))
		return;
	/*
	 * A stale TLB entry of this CPU is another case's rule: reclaim has unmapped and
	 * freed a clean page, and the page was swapped in again before reclaim's flush. So
	 * check again after a flush.
	 */
	flush_pending_batch(me->other_page);
	if (!pattern_first_fault(start, page_size(), block_key(d, me->blocks[page]), &fault)) {
		me->stale++;
		return;
	}
	evidence("page %u of CPU %u, offset %zu %s: block %u of the disk has 0x%" PRIx64
		 ", the buffer 0x%" PRIx64, page, me->cpu, fault.offset, when,
		 me->blocks[page], fault.wrote, fault.read);
	if (atomic_fetch_add(&d->bad, 1) + 1 >= BAD_MAX)
		atomic_store(&d->stop, true);
}

static void read_blocks(struct reader *me, unsigned int page, unsigned int pages,
			unsigned int block)
{
	const size_t size = pages * page_size();
	ssize_t got;
	unsigned int i;

	atomic_store(&me->first, page);
	atomic_store(&me->pages, pages);
	atomic_fetch_add(&me->number, 1);
	got = pread(me->dio->file, me->slice + page * page_size(), size,
		    (off_t)(block * page_size()));
	atomic_fetch_add(&me->number, 1);
	if (got != (ssize_t)size)
		bail("O_DIRECT read of %zu KiB: %s", size >> 10,
		     got < 0 ? strerror(errno) : "short");
	for (i = 0; i < pages; i++)
		me->blocks[page + i] = (uint16_t)(block + i);
	me->reads++;
	me->pages_read += pages;
}

static void one_read(struct reader *me, struct rng *rng)
{
	unsigned int pages = 1 + rng_below(rng, RUN_PAGES_MAX), page, block, i;

	page = rng_below(rng, SLICE_PAGES - pages + 1);
	block = rng_below(rng, BLOCKS - pages + 1);
	for (i = 0; i < pages; i++)
		verify(me, page + i, "after swap");
	read_blocks(me, page, pages, block);
	for (i = 0; i < pages; i++)
		verify(me, page + i, "after the read");
	lru_drain_local();
}

static void *read_on(void *arg)
{
	struct reader *me = arg;
	struct dio *d = me->dio;
	struct rng rng = rng_fork(d->seed, me->cpu);

	while (!atomic_load(&d->stop)) {
		one_read(me, &rng);
		atomic_fetch_add(&d->reads_done, 1);
		futex_wake_all(&d->reads_done);
		sleep_ns(rng_below(&rng, REST_NS_MAX));
	}
	me->swap_ins = thread_major_faults();
	return NULL;
}

/* Reclaim the pages of a read that is under way, so that reclaim meets pinned pages. */
static void reclaim_pages_of_read(struct dio *d, struct reader *r)
{
	uint64_t before = vmstat("pswpout");
	unsigned int first, pages, look;
	uint32_t number;

	for (look = 0; look < LOOKS_MAX && atomic_load(&r->number) % 2 == 0; look++)
		;
	number = atomic_load(&r->number);
	first = atomic_load(&r->first);
	pages = atomic_load(&r->pages);
	region_pageout(r->slice + first * page_size(), pages * page_size());
	d->calls_on_reads += number % 2;
	d->calls_in_reads += number % 2 && number == atomic_load(&r->number);
	/* Reading /proc/vmstat takes longer than a read of the disk. */
	d->by_pageout += vmstat("pswpout") - before;
}

/* Reclaim a whole slice: pages that are not pinned any more and that no PTE shows as dirty. */
static void reclaim_slice(struct dio *d, const struct reader *r)
{
	uint64_t before = vmstat("pswpout");

	region_pageout(r->slice, SLICE_PAGES * page_size());
	d->by_pageout += vmstat("pswpout") - before;
}

/* Wait for a read by any reader: a busy host may starve one of them. */
static void wait_for_read(struct dio *d, uint32_t done)
{
	while (atomic_load(&d->reads_done) == done && !atomic_load(&d->stop))
		futex_wait(&d->reads_done, done);
}

static struct reader *random_reader(struct dio *d)
{
	return &d->reader[rng_below(&d->rng, d->count)];
}

static void one_reclaim(struct dio *d)
{
	uint32_t done = atomic_load(&d->reads_done);

	reclaim_pages_of_read(d, random_reader(d));
	wait_for_read(d, done);
}

static void one_round(struct dio *d, uint64_t round)
{
	struct reader *r = random_reader(d);
	uint32_t done = atomic_load(&d->reads_done);
	uint64_t before;

	if (round % MEMORY_RECLAIM_EVERY == MEMORY_RECLAIM_EVERY - 1) {
		before = vmstat("pswpout");
		if (!lru_make_idle())
			bail("no /proc/self/clear_refs: %s", strerror(errno));
		memcg_reclaim(RUN_PAGES_MAX * page_size());
		d->by_memory_reclaim += vmstat("pswpout") - before;
	} else if (round % 4 == 1) {
		reclaim_slice(d, r);
	} else {
		reclaim_pages_of_read(d, r);
	}
	wait_for_read(d, done);
}

static void one_phase(struct dio *d, unsigned int phase, uint64_t rounds)
{
	const char *kind = phase < PHASES / 2 ? "disk" : "zram";
	uint64_t round;

	if (phase % (PHASES / 2) == 0 && !swap_only(kind))
		bail("no swap on %s", kind);
	lru_gen_set(phase % 2);
	for (round = 0; round < rounds && !atomic_load(&d->bad); round++)
		one_round(d, round);
	for (; round < ROUNDS_FACTOR * rounds && !atomic_load(&d->bad) &&
	       d->calls_in_reads < (phase + 1) * CALLS_IN_READS; round++)
		one_reclaim(d);
}

static void write_file_of_blocks(struct dio *d)
{
	char *block = locked_alloc(page_size()), path[64];
	unsigned int i;

	snprintf(path, sizeof(path), "%s/dio_pinned.%d", data_dir(), (int)getpid());
	d->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
	if (d->file < 0)
		bail("%s: %s", path, strerror(errno));
	unlink(path);
	for (i = 0; i < BLOCKS; i++) {
		pattern_fill(block, page_size(), block_key(d, i));
		if (pwrite(d->file, block, page_size(), (off_t)(i * page_size())) !=
		    (ssize_t)page_size())
			bail("%s: %s", path, strerror(errno));
	}
	if (fsync(d->file))
		bail("%s: %s", path, strerror(errno));
}

static void readers_start(struct dio *d)
{
	unsigned int k, page;

	for (k = 0; k < d->count; k++) {
		struct reader *r = &d->reader[k];

		r->dio = d;
		r->cpu = k + 1;
		r->slice = d->region + k * SLICE_PAGES * page_size();
		r->other_page = locked_alloc(page_size());
		r->blocks = locked_alloc(SLICE_PAGES * sizeof(*r->blocks));
		for (page = 0; page < SLICE_PAGES; page += RUN_PAGES_MAX)
			read_blocks(r, page, RUN_PAGES_MAX, page);
	}
	lru_drain_local();
	region_pageout(d->region, d->count * SLICE_PAGES * page_size());
	for (k = 0; k < d->count; k++)
		d->reader[k].thread = thread_on(k + 1, read_on, &d->reader[k]);
}

static void readers_finish(struct dio *d)
{
	unsigned int k, page;

	atomic_store(&d->stop, true);
	for (k = 0; k < d->count; k++)
		thread_join(d->reader[k].thread);
	if (atomic_load(&d->bad))
		return;
	region_pageout(d->region, d->count * SLICE_PAGES * page_size());
	for (k = 0; k < d->count; k++)
		for (page = 0; page < SLICE_PAGES; page++)
			verify(&d->reader[k], page, "at the end");
}

static void report(const struct dio *d)
{
	uint64_t reads = 0, pages_read = 0, verified = 0, stale = 0, swap_ins = 0;
	unsigned int k;

	for (k = 0; k < d->count; k++) {
		reads += d->reader[k].reads;
		pages_read += d->reader[k].pages_read;
		verified += d->reader[k].pages_verified;
		stale += d->reader[k].stale;
		swap_ins += d->reader[k].swap_ins;
	}
	counter("reads", reads);
	counter("pages_read", pages_read);
	counter("pages_verified", verified);
	counter("pages_stale_until_flushed", stale);
	counter("reader_swap_ins", swap_ins);
	counter("pageouts_on_reads", d->calls_on_reads);
	counter("pageouts_in_reads", d->calls_in_reads);
	counter("reclaimed_by_pageout", d->by_pageout);
	counter("reclaimed_by_memory_reclaim", d->by_memory_reclaim);
	counter("pages_bad", atomic_load(&d->bad));
}

enum outcome dio_pinned(const struct guest_args *args)
{
	static struct dio d;
	struct vmstat_delta deltas[] = { { .name = "pswpout" }, { .name = "pswpin" } };
	const size_t count = sizeof(deltas) / sizeof(*deltas);
	uint64_t rounds = (args->iterations + PHASES - 1) / PHASES;
	unsigned int phase;

	if (args->cpus < 2)
		return skip("the readers need a CPU besides CPU 0");
	d.seed = args->seed;
	d.rng = rng_fork(args->seed, 0);
	d.count = args->cpus - 1;
	swap_require(8 * d.count * SLICE_PAGES * page_size());
	write_file_of_blocks(&d);
	pin_self(0);
	lock_present();
	memcg_enter();
	d.region = region_map(d.count * SLICE_PAGES * page_size(), page_size());
	thp_choose(d.region, d.count * SLICE_PAGES * page_size(), 0);
	set_file("/proc/sys/vm/page-cluster", "0");
	vmstat_start(deltas, count);
	readers_start(&d);
	for (phase = 0; phase < PHASES && !atomic_load(&d.bad); phase++)
		one_phase(&d, phase, rounds);
	readers_finish(&d);
	counter("pswpout", vmstat_since(deltas, count, "pswpout"));
	counter("pswpin", vmstat_since(deltas, count, "pswpin"));
	report(&d);
	return atomic_load(&d.bad) ? NOT_OK : OK;
}
