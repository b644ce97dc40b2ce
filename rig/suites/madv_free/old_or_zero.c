// SPDX-License-Identifier: GPL-2.0-only
/*
 * old_or_zero_redirty_kept: after MADV_FREE a page reads as it was or as zero, and what is
 * written to it afterwards stays.
 *
 * The rule, from madvise(2): until the kernel needs the memory, the page keeps its old
 * data; after it was freed, it reads as zero; and a page that was written to after
 * MADV_FREE is not freed, so the writer always sees what was written. try_to_unmap_one()
 * (mm/rmap.c) discards a lazyfree folio only when, with its PTEs cleared, neither they nor
 * the folio were dirty and nobody else holds a reference: commit 6c8e2a256915 ("mm: fix
 * race between MADV_FREE reclaim and blkdev direct IO read") (in v5.18).
 *
 * A round fills a region with folios of one size, calls MADV_FREE, and reclaims it in one
 * of three ways. Half of the folios are left alone. In a quarter some pages are written
 * before reclaim. In the last quarter other CPUs write some pages during reclaim, through
 * TLB entries that they got by reading, so that these are clean and writable. Then all
 * pages are read, sent through swap, and read again.
 */
#include "madv_free.h"
#include "sizes.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define QUARTERS	4

/* One folio of the largest size per quarter; of smaller folios as many, and at least this. */
#define REGION_BYTES	(QUARTERS * LARGE_BYTES)
#define FILLED_BYTES	LARGE_BYTES
#define QUARTER_BEFORE	2
#define QUARTER_RACING	3

/* In a folio that is written to, one page in this many is written. */
#define PAGES_PER_WRITE	8

#define RECLAIM_STEPS	16

/* Pause between a CPU's writes: spreads them over the time that reclaim takes. */
#define REST_NS_MAX	150000

enum method { BY_PAGEOUT, BY_MEMORY_RECLAIM, BY_PRESSURE, METHODS };

struct racer {
	struct race *race;
	pthread_t thread;
	unsigned int cpu;
	uint64_t writes;
	uint64_t raced;
} CACHE_ALIGNED;

struct race {
	struct lazyfree l;
	struct racer racer[THREADS_MAX];
	unsigned int racers;
	unsigned int size_kb;
	char *hog;
	struct rng rng;
	size_t *racing;			/* the pages to be written during reclaim */
	size_t racing_count;
	_Atomic uint32_t warm;		/* number of racers that have read their pages */
	_Atomic uint32_t go;
	atomic_bool reclaiming;
	uint64_t before, writes, raced;
	uint64_t kept_old, freed_zero, written_old, written_zero;
	uint64_t folios;
};

/* At least the first page of each folio, so that every such folio is written to. */
static bool is_written(struct race *r, size_t page)
{
	return page % folio_pages(r->size_kb) == 0 || !rng_below(&r->rng, PAGES_PER_WRITE);
}

static void shuffle(struct race *r)
{
	size_t i, k, page;

	for (i = r->racing_count; i > 1; i--) {
		k = rng_below(&r->rng, (uint32_t)i);
		page = r->racing[k];
		r->racing[k] = r->racing[i - 1];
		r->racing[i - 1] = page;
	}
}

static void write_before_and_choose_racing(struct race *r)
{
	size_t page, turn = rng_below(&r->rng, QUARTERS);

	r->racing_count = 0;
	for (page = 0; page < r->l.pages; page++) {
		size_t quarter = (page / folio_pages(r->size_kb) + turn) % QUARTERS;

		if (quarter == QUARTER_BEFORE && is_written(r, page)) {
			lazyfree_write(&r->l, page, &r->rng);
			r->before++;
		} else if (quarter == QUARTER_RACING && is_written(r, page)) {
			r->racing[r->racing_count++] = page;
		}
	}
	shuffle(r);
}

static void read_own(const struct race *r, const struct racer *me)
{
	size_t i;

	for (i = me->cpu - 1; i < r->racing_count; i += r->racers)
		(void)*(volatile char *)(r->l.region + r->racing[i] * page_size());
}

static void write_own(struct race *r, struct racer *me, struct rng *rng)
{
	size_t i;

	for (i = me->cpu - 1; i < r->racing_count; i += r->racers) {
		uint32_t ns = rng_below(rng, REST_NS_MAX);

		me->raced += atomic_load(&r->reclaiming);
		lazyfree_write(&r->l, r->racing[i], rng);
		me->writes++;
		sleep_ns(ns);
	}
}

static void *race(void *arg)
{
	struct racer *me = arg;
	struct race *r = me->race;
	struct rng rng = rng_fork(r->l.seed + r->l.generation, me->cpu);

	read_own(r, me);
	atomic_fetch_add(&r->warm, 1);
	futex_wake_all(&r->warm);
	while (!atomic_load(&r->go))
		futex_wait(&r->go, 0);
	write_own(r, me, &rng);
	return NULL;
}

static void start_racers(struct race *r)
{
	uint32_t warm;
	unsigned int k;

	atomic_store(&r->warm, 0);
	atomic_store(&r->go, 0);
	for (k = 0; k < r->racers; k++) {
		r->racer[k].race = r;
		r->racer[k].cpu = k + 1;
		r->racer[k].thread = thread_on(k + 1, race, &r->racer[k]);
	}
	while ((warm = atomic_load(&r->warm)) < r->racers)
		futex_wait(&r->warm, warm);
	/* Reclaim would keep pages that were just read. */
	if (!lru_make_idle())
		bail("no /proc/self/clear_refs: %s", strerror(errno));
}

static void reclaim_by_pageout(struct race *r)
{
	size_t offset, bytes = r->l.pages * page_size(), step = bytes / RECLAIM_STEPS;

	/* MADV_PAGEOUT of a part of a large folio would split it. */
	if (step < folio_pages(r->size_kb) * page_size())
		step = folio_pages(r->size_kb) * page_size();
	for (offset = 0; offset < bytes; offset += step)
		region_pageout(r->l.region + offset, step);
}

static void reclaim_by_memory_reclaim(struct race *r)
{
	size_t bytes = r->l.pages * page_size();
	int step;

	for (step = 0; step < RECLAIM_STEPS; step++)
		memcg_reclaim(bytes / RECLAIM_STEPS);
}

/* Allocate as much memory as the region has, at the cgroup's limit. */
static void reclaim_by_pressure(struct race *r)
{
	size_t offset, bytes = r->l.pages * page_size();

	memcg_set_max(memcg_current());
	for (offset = 0; offset < bytes; offset += page_size())
		*(volatile char *)(r->hog + offset) = 1;
	memcg_set_max(MEMCG_NO_LIMIT);
	if (!region_advise(r->hog, bytes, MADV_DONTNEED))
		bail("no MADV_DONTNEED");
}

static void reclaim_racing(struct race *r, enum method method)
{
	static void (*const reclaim[METHODS])(struct race *r) = {
		[BY_PAGEOUT] = reclaim_by_pageout,
		[BY_MEMORY_RECLAIM] = reclaim_by_memory_reclaim,
		[BY_PRESSURE] = reclaim_by_pressure,
	};
	unsigned int k;

	start_racers(r);
	atomic_store(&r->reclaiming, true);
	atomic_store(&r->go, 1);
	futex_wake_all(&r->go);
	reclaim[method](r);
	atomic_store(&r->reclaiming, false);
	for (k = 0; k < r->racers; k++)
		thread_join(r->racer[k].thread);
}

static void count_rests(struct race *r)
{
	size_t page;

	for (page = 0; page < r->l.pages; page++) {
		const struct lazy_page *p = &r->l.page[page];

		if (p->rest == REST_OLD)
			(*(p->written ? &r->written_old : &r->kept_old))++;
		else if (p->rest == REST_ZERO)
			(*(p->written ? &r->written_zero : &r->freed_zero))++;
	}
}

static void one_round(struct race *r, unsigned int size_kb, enum method method)
{
	static const char *const after[METHODS] = {
		[BY_PAGEOUT] = "after MADV_PAGEOUT",
		[BY_MEMORY_RECLAIM] = "after memory.reclaim",
		[BY_PRESSURE] = "after memory.max",
	};
	size_t bytes = QUARTERS * ((size_t)size_kb << 10);
	uint64_t folios;

	if (bytes < FILLED_BYTES)
		bytes = FILLED_BYTES;
	r->size_kb = size_kb;
	folios = size_kb ? thp_stat(size_kb, "anon_fault_alloc") : 0;
	lazyfree_refill(&r->l, bytes, size_kb);
	if (size_kb)
		r->folios += thp_stat(size_kb, "anon_fault_alloc") - folios;
	lru_drain_local();
	if (!region_advise(r->l.region, bytes, MADV_FREE))
		bail("no MADV_FREE");
	write_before_and_choose_racing(r);
	reclaim_racing(r, method);
	lazyfree_verify(&r->l, after[method]);
	count_rests(r);
	region_pageout(r->l.region, bytes);
	lazyfree_verify(&r->l, "after a second reclaim");
}

static enum outcome report(struct race *r)
{
	unsigned int k;

	for (k = 0; k < r->racers; k++) {
		r->writes += r->racer[k].writes;
		r->raced += r->racer[k].raced;
	}
	counter("pages_freed_zero", r->freed_zero);
	counter("pages_kept_old", r->kept_old);
	counter("pages_redirtied", r->before);
	counter("pages_redirtied_racing", r->writes);
	counter("writes_raced", r->raced);
	counter("redirtied_on_old", r->written_old);
	counter("redirtied_on_zero", r->written_zero);
	counter("mthp_folios", r->folios);
	return lazyfree_report(&r->l);
}

/*
 * With the 8 large sizes, and order 0: 9 rounds cover every size, every method and both
 * LRUs; 27 rounds every size with every method; 54 all of it on both LRUs.
 */
static void all_rounds(struct race *r, uint64_t rounds)
{
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t size, sizes = sizes_large(LARGE_KB, sizes_kb) + 1;
	uint64_t round;

	for (round = 0; round < rounds && r->l.bad < BAD_PAGES_MAX; round++) {
		size = round % sizes;
		lru_gen_set(round % 2);
		one_round(r, size ? sizes_kb[size - 1] : 0,
			  (enum method)((round + round / sizes) % METHODS));
	}
}

enum outcome old_or_zero_redirty_kept(const struct guest_args *args)
{
	static struct race r;

	if (args->cpus < 2)
		return skip("the racing writers need a CPU besides CPU 0");
	swap_require(2 * REGION_BYTES);
	r.racers = args->cpus - 1;
	r.rng = rng_fork(args->seed, 0);
	lazyfree_init(&r.l, REGION_BYTES, args->seed);
	r.racing = locked_alloc(REGION_BYTES / page_size() * sizeof(*r.racing));
	r.hog = region_map(REGION_BYTES, page_size());
	thp_choose(r.hog, REGION_BYTES, 0);
	all_rounds(&r, args->iterations);
	return report(&r);
}
