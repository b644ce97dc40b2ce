// SPDX-License-Identifier: GPL-2.0-only
#include "writers.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

/* The words of two writers are a cache line apart. */
#define WORD_STRIDE	64

/*
 * A writer sleeps for up to REST_NS_MAX after every PASSES_BETWEEN_RESTS passes. Only one
 * writer, busy_cpu, goes on without a rest while pages are being taken.
 *
 * Why rest: on x86-64, reclaim waits for every page until each busy CPU has taken an
 * interrupt. With fewer host CPUs than guest CPUs, a guest CPU that spins is often not
 * running and cannot take it, so hardly anything is reclaimed (measured: 30 times fewer
 * pages per second). QEMU lets arm64's TLBI wait for every running vCPU in the same way. An
 * idle CPU also has its flush deferred until its next switch_mm(), which is a rule of its
 * own: commit 145f573b89a6 ("x86/mm/tlb: Make lazy TLB mode lazier") (in v4.20).
 *
 * Why not all writers: for the same reason, a CPU has no stale entries after a rest. Only a
 * CPU that stays awake can meet a bug that lasts for a millisecond, such as the time
 * between pageout and the flush before the free.
 */
#define PASSES_BETWEEN_RESTS	8
#define REST_NS_MAX		1000000

/*
 * After this many skipped rests, busy_cpu sleeps for 1 ns. In the seeded schedule QEMU runs
 * one CPU after the other. A CPU that comes after one that always uses its turn to the end
 * never runs: QEMU gives it only the instructions until the next timer, which are none, and
 * then runs the timers of the CPUs after it (7.2, accel/tcg/tcg-accel-ops-icount.c:
 * icount_prepare_for_run()). If that CPU is the next owner of a lock, all others wait for
 * it and give their turns away.
 */
#define RESTS_SKIPPED_MAX	64

#define WAIT_FOR_FRONT_NS	20000

/*
 * The lower half of a word is the count. The upper half says which writer wrote it and in
 * which page, which tells another page's content from an old copy of the right page.
 */
static uint64_t word_value(const struct writers *w, unsigned int cpu, unsigned int page,
			   uint32_t count)
{
	uint32_t tag = (uint32_t)mix64(w->seed) + page * THREADS_MAX + cpu;

	if (w->holes && !count)
		return 0;
	return (uint64_t)tag << 32 | count;
}

static volatile uint64_t *word_at(const struct writers *w, unsigned int cpu, unsigned int page)
{
	return (volatile uint64_t *)(w->region + page * page_size() + cpu * WORD_STRIDE);
}

static void report_lost(struct writers *w, struct writer *me, unsigned int page,
			uint64_t wrote, uint64_t read)
{
	const char *when = atomic_load(&w->reclaiming) ? "during" : "after";
	const char *what = w->taken_by ? w->taken_by : "reclaim";

	if (wrote >> 32 == read >> 32)
		evidence("page %u: CPU %u wrote %u, read back %u (%s %s)", page, me->cpu,
			 (uint32_t)wrote, (uint32_t)read, when, what);
	else
		evidence("page %u: CPU %u wrote %u, read back foreign 0x%" PRIx64 " (%s %s)",
			 page, me->cpu, (uint32_t)wrote, read, when, what);
	/* Continue from the value that was read, so that one lost write is reported once. */
	me->counts[page] = (uint32_t)(wrote >> 32 == read >> 32 ? read : wrote);
	if (atomic_fetch_add(&w->lost, 1) + 1 >= LOST_MAX)
		atomic_store(&w->stop, true);
}

static void check_word(struct writers *w, struct writer *me, unsigned int page, bool write)
{
	volatile uint64_t *word = word_at(w, me->cpu, page);
	uint64_t wrote = word_value(w, me->cpu, page, me->counts[page]);
	uint64_t read = *word;

	if (read != wrote)
		report_lost(w, me, page, wrote, read);
	if (write)
		*word = word_value(w, me->cpu, page, ++me->counts[page]);
}

/*
 * Write to the page at a random time after CPU 0 has reached it. Sleeps meanwhile, because
 * CPU 0 needs the host's CPU.
 */
static void wait_for_front(struct writers *w, unsigned int page, struct rng *rng)
{
	while (page >= atomic_load(&w->front) && atomic_load(&w->mode) == WRITE_PACED)
		sleep_ns(WAIT_FOR_FRONT_NS);
	sleep_ns(rng_below(rng, atomic_load(&w->pace_ns) + 1));
}

static void walk_window(struct writers *w, struct writer *me, enum writers_mode mode,
			struct rng *rng)
{
	unsigned int page = atomic_load(&w->window), end = page + w->walked;
	bool own, write;

	for (; page < end && mode == atomic_load(&w->mode); page++) {
		own = page % w->count == me->cpu - 1;
		write = mode == WRITE_ALWAYS || (mode != READ_ONLY && own);
		if (write && mode == WRITE_PACED)
			wait_for_front(w, page, rng);
		check_word(w, me, page, write);
		*(write ? &me->writes : &me->reads) += 1;
		me->raced += atomic_load_explicit(&w->reclaiming, memory_order_relaxed);
	}
}

static void pass_done(struct writers *w, struct writer *me)
{
	uint64_t passes = atomic_fetch_add(&me->passes, 1) + 1;
	uint64_t wanted = atomic_load(&me->passes_wanted);

	if (!wanted || passes < wanted)
		return;
	/*
	 * Pages that this CPU has faulted in can only be reclaimed when they are on the
	 * LRU.
	 */
	lru_drain_local();
	atomic_store(&me->passes_wanted, 0);
	atomic_fetch_add(&w->arrived, 1);
	futex_wake_all(&w->arrived);
}

static void rest(struct writers *w, struct writer *me, struct rng *rng)
{
	uint32_t ns = rng_below(rng, REST_NS_MAX);
	bool busy = atomic_load(&w->reclaiming) || atomic_load(&w->no_rest);

	if (atomic_load(&w->mode) == WRITE_PACED)
		return;	/* wait_for_front() sleeps before each write */
	if (busy && atomic_load(&w->busy_cpu) == me->cpu) {
		if (++me->rests_skipped % RESTS_SKIPPED_MAX)
			return;
		ns = 1;
	}
	sleep_ns(ns);
}

static void *write_on(void *arg)
{
	struct writer *me = arg;
	struct writers *w = me->writers;
	struct rng rng = rng_fork(w->seed, me->cpu);
	enum writers_mode mode;
	unsigned int pass = 0;

	while (!atomic_load(&w->stop)) {
		mode = atomic_load(&w->mode);
		if (mode == PARKED)
			futex_wait(&w->mode, PARKED);
		else
			walk_window(w, me, mode, &rng);
		pass_done(w, me);
		if (++pass % PASSES_BETWEEN_RESTS == 0)
			rest(w, me, &rng);
	}
	me->swap_ins += thread_major_faults();
	/* CPU 0 may be waiting for this writer's next pass. */
	atomic_fetch_add(&w->arrived, 1);
	futex_wake_all(&w->arrived);
	return NULL;
}

void writers_rewrite(struct writers *w, unsigned int first, unsigned int pages)
{
	unsigned int page, k;

	for (page = first; page < first + pages; page++)
		for (k = 0; k < w->count; k++)
			*word_at(w, w->writer[k].cpu, page) =
				word_value(w, w->writer[k].cpu, page, w->writer[k].counts[page]);
	lru_drain_local();
}

static void write_first(struct writers *w)
{
	writers_rewrite(w, 0, w->pages);
	/* Before the writers use it, so that later only their window is in memory. */
	if (!w->resident)
		region_pageout(w->region, w->pages * page_size());
}

void writers_start(struct writers *w)
{
	unsigned int k;

	if ((w->count + 1) * WORD_STRIDE > page_size())
		bail("a page has no room for the words of %u CPUs", w->count);
	if (!w->walked)
		w->walked = w->window_pages;
	atomic_store(&w->stop, false);
	for (k = 0; k < w->count; k++) {
		w->writer[k].writers = w;
		w->writer[k].cpu = k + 1;
		w->writer[k].counts = locked_alloc(w->pages * sizeof(*w->writer[k].counts));
	}
	if (!w->holes)
		write_first(w);
	for (k = 0; k < w->count; k++)
		w->writer[k].thread = thread_on(w->writer[k].cpu, write_on, &w->writer[k]);
}

bool writers_stopped(struct writers *w)
{
	return atomic_load(&w->stop);
}

void writers_wait(struct writers *w)
{
	uint32_t arrived;
	unsigned int k;

	atomic_store(&w->arrived, 0);
	/*
	 * The current pass may have begun before this call. It ends as passes + 1; the
	 * first whole pass after this call ends as passes + 2.
	 */
	for (k = 0; k < w->count; k++)
		atomic_store(&w->writer[k].passes_wanted,
			     atomic_load(&w->writer[k].passes) + 2);
	while ((arrived = atomic_load(&w->arrived)) < w->count && !writers_stopped(w))
		futex_wait(&w->arrived, arrived);
}

void writers_set(struct writers *w, enum writers_mode mode)
{
	uint32_t before = atomic_exchange(&w->mode, mode);

	if (before == PARKED)
		futex_wake_all(&w->mode);
}

void writers_join(struct writers *w)
{
	unsigned int k;

	atomic_store(&w->stop, true);
	if (atomic_load(&w->mode) == PARKED)
		writers_set(w, READ_ONLY);
	for (k = 0; k < w->count; k++)
		thread_join(w->writer[k].thread);
}

uint64_t writers_verify_pages(struct writers *w, unsigned int first, unsigned int pages)
{
	unsigned int page, k;
	uint64_t words = 0;

	for (page = first; page < first + pages; page++) {
		for (k = 0; k < w->count; k++, words++) {
			struct writer *writer = &w->writer[k];
			uint64_t wrote = word_value(w, writer->cpu, page, writer->counts[page]);
			uint64_t read = *word_at(w, writer->cpu, page);

			if (read != wrote)
				report_lost(w, writer, page, wrote, read);
		}
	}
	return words;
}

uint64_t writers_verify_copy(struct writers *w, unsigned int first, unsigned int pages,
			     const char *copy, const char *where)
{
	uint64_t words = 0, wrote, read;
	unsigned int page, k;

	for (page = 0; page < pages; page++) {
		for (k = 0; k < w->count; k++, words++) {
			struct writer *writer = &w->writer[k];

			wrote = word_value(w, writer->cpu, first + page, writer->counts[first + page]);
			read = *(const uint64_t *)(copy + page * page_size() +
						   writer->cpu * WORD_STRIDE);
			if (read == wrote)
				continue;
			evidence("page %u: CPU %u wrote %u, %s has %s%u", first + page,
				 writer->cpu, (uint32_t)wrote, where,
				 read >> 32 == wrote >> 32 ? "" : "foreign ", (uint32_t)read);
			if (atomic_fetch_add(&w->lost, 1) + 1 >= LOST_MAX)
				atomic_store(&w->stop, true);
		}
	}
	return words;
}

void writers_expect_zero(struct writers *w, unsigned int first, unsigned int pages)
{
	unsigned int page, k;

	for (k = 0; k < w->count; k++)
		for (page = first; page < first + pages; page++)
			w->writer[k].counts[page] = 0;
}

uint64_t writers_verify(struct writers *w)
{
	return writers_verify_pages(w, 0, w->pages);
}

void writers_reclaim(struct writers *w, unsigned int page, size_t bytes, bool pageout)
{
	uint64_t before = vmstat("pswpout");

	if (!pageout && !lru_make_idle())
		bail("no /proc/self/clear_refs: %s", strerror(errno));
	atomic_store(&w->reclaiming, true);
	if (pageout)
		region_pageout(w->region + page * page_size(), bytes);
	else
		memcg_reclaim(bytes);
	atomic_store(&w->reclaiming, false);
	*(pageout ? &w->by_pageout : &w->by_memory_reclaim) += vmstat("pswpout") - before;
}

void flush_pending_batch(char *other_page)
{
	if (mprotect(other_page, page_size(), PROT_READ) ||
	    mprotect(other_page, page_size(), PROT_READ | PROT_WRITE))
		bail("mprotect: %s", strerror(errno));
}

void writers_report(struct writers *w)
{
	uint64_t writes = 0, reads = 0, raced = 0, swap_ins = 0;
	unsigned int k;

	for (k = 0; k < w->count; k++) {
		writes += w->writer[k].writes;
		reads += w->writer[k].reads;
		raced += w->writer[k].raced;
		swap_ins += w->writer[k].swap_ins;
	}
	counter("writes", writes);
	counter("reads", reads);
	counter("writes_raced", raced);
	counter("writer_swap_ins", swap_ins);
	counter("lost", atomic_load(&w->lost));
}
