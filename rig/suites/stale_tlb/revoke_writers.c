// SPDX-License-Identifier: GPL-2.0-only
/* The writers of revoke.h, and how CPU 0 controls them. */
#include "revoke.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>

/* The words of two writers are a cache line apart. */
#define WORD_STRIDE		64

/* A store that faults costs a signal, so a writer tries only this many per round. */
#define TRIES_MAX		16

/* Marks a value as a writer's, wherever it is found. */
#define MAGIC			0x5afe00
#define MAGIC_MASK		0xffff00

const char *const revoke_method_names[REVOKE_METHODS] = {
	[RECLAIM_ANON] = "reclaim_anon",
	[MIGRATE_ANON] = "migrate_anon",
	[MIGRATE_FILE] = "migrate_file",
	[UNMAP_ANON] = "unmap_anon",
	[WHOLE_PMD] = "whole_pmd",
};

static _Thread_local sigjmp_buf refused;
static _Thread_local volatile sig_atomic_t storing;

static void on_fault(int signal_number)
{
	if (storing) {
		storing = 0;
		siglongjmp(refused, 1);
	}
	/* Not from store(): return to the instruction, and let it kill the process. */
	signal(signal_number, SIG_DFL);
}

static bool store(volatile uint64_t *word, uint64_t value)
{
	if (sigsetjmp(refused, 0))
		return false;
	storing = 1;
	*word = value;
	storing = 0;
	return true;
}

static volatile uint64_t *word_at(const struct revoke *r, const struct revoke_writer *me,
				  unsigned int page)
{
	return (volatile uint64_t *)(r->window + page * page_size() + me->cpu * WORD_STRIDE);
}

static uint64_t value_of(const struct revoke_writer *me)
{
	return (uint64_t)MAGIC + me->cpu + (me->stores << 24);
}

bool revoke_is_writers(uint64_t value)
{
	return (value & MAGIC_MASK) == MAGIC;
}

static void signal_arrival(struct revoke *r)
{
	atomic_fetch_add(&r->arrived, 1);
	futex_wake_all(&r->arrived);
}

void revoke_note_landed(struct revoke *r)
{
	if (atomic_fetch_add(&r->landed, 1) + 1 >= LANDED_MAX)
		atomic_store(&r->stop, true);
}

/* The call has returned: every store to what it took must fault. */
static void store_to_taken(struct revoke *r, struct revoke_writer *me, struct rng *rng)
{
	unsigned int tries = r->taken_pages, k, page;

	if (tries > TRIES_MAX)
		tries = TRIES_MAX;
	for (k = 0; k < tries && !atomic_load(&r->stop); k++) {
		page = r->taken_first + (r->taken_pages > tries ? rng_below(rng, r->taken_pages) : k);
		if (!store(word_at(r, me, page), value_of(me))) {
			me->refused++;
			continue;
		}
		evidence("page %u: CPU %u stored to it after %s had returned (%s %s)", page, me->cpu,
			 r->call_name, revoke_method_names[r->method],
			 atomic_load(&r->in_kernel) ? "under way" : "done");
		revoke_note_landed(r);
	}
}

/*
 * One pass over the writer's part of the window. When a store to a page faults, that page
 * is unmapped; the others, or their TLB entries, may still be there. False when no page is
 * left.
 */
static bool walk_pages(struct revoke *r, struct revoke_writer *me, uint32_t state)
{
	unsigned int page;

	for (page = 0; page < HOT_PAGES; page++) {
		if (atomic_load(&r->state) != state)
			return true;
		if (me->refused_mask >> page & 1)
			continue;
		if (store(word_at(r, me, page), value_of(me)))
			me->stores++;
		else
			me->refused_mask |= 1U << page;
	}
	atomic_fetch_add(&me->passes, 1);
	return me->refused_mask != UINT32_MAX;
}

_Static_assert(HOT_PAGES == 32, "a bit of `gone` for each");

/* False while CPU 0 waits for more passes. */
static bool passes_done(struct revoke *r, struct revoke_writer *me)
{
	uint64_t wanted = atomic_load(&me->passes_wanted);

	if (!wanted || atomic_load(&me->passes) < wanted)
		return false;
	/*
	 * Pages that this CPU has faulted in can only be reclaimed when they are on the
	 * LRU.
	 */
	lru_drain_local();
	atomic_store(&me->passes_wanted, 0);
	signal_arrival(r);
	return true;
}

static long times_preempted(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

/*
 * Keep the translations in the TLB until the call has returned. Without sleeping: a CPU
 * that wakes up has its TLB flushed. Without storing: a store to an unmapped page whose TLB
 * entry is gone waits in the kernel, with a lock that the call needs. But one more pass
 * after another thread has run on this CPU, as migration's drain of the LRU batches does at
 * its start.
 */
static void keep_warm(struct revoke *r, struct revoke_writer *me, uint32_t state)
{
	long preempted = times_preempted(), now;

	while (atomic_load(&r->state) == state && !atomic_load(&r->stop)) {
		now = times_preempted();
		if (now != preempted && !walk_pages(r, me, state))
			return;
		preempted = now;
	}
}

static void sleep_until_next(struct revoke *r, struct revoke_writer *me, uint32_t state)
{
	while (atomic_load(&r->state) == state && !atomic_load(&r->stop))
		futex_wait(&r->state, state);
	me->refused_mask = 0;
}

static void *write_on(void *arg)
{
	struct revoke_writer *me = arg;
	struct revoke *r = me->revoke;
	struct rng rng = rng_fork(r->seed, me->cpu);
	uint32_t state;

	while (!atomic_load(&r->stop)) {
		state = atomic_load(&r->state);
		if (r->active != me->cpu) {
			sleep_until_next(r, me, state);
		} else if (state % 2) {
			store_to_taken(r, me, &rng);
			signal_arrival(r);
			sleep_until_next(r, me, state);
		} else if (!walk_pages(r, me, state)) {
			/* All pages are unmapped: the call will return soon. */
			sleep_until_next(r, me, state);
		} else if (passes_done(r, me) && r->method != UNMAP_ANON) {
			keep_warm(r, me, state);
		}
	}
	/* CPU 0 may be waiting for this writer's next pass. */
	signal_arrival(r);
	return NULL;
}

void revoke_wait_for_arrival(struct revoke *r, uint64_t spin_ns)
{
	uint64_t end = now_ns() + spin_ns;
	uint32_t arrived;

	while (!(arrived = atomic_load(&r->arrived)) && !atomic_load(&r->stop))
		if (!spin_ns || now_ns() >= end)
			futex_wait(&r->arrived, arrived);
}

void revoke_wait_for_passes(struct revoke *r)
{
	struct revoke_writer *writer = &r->writer[r->active - 1];

	atomic_store(&r->arrived, 0);
	atomic_store(&writer->passes_wanted, atomic_load(&writer->passes) + 2);
	revoke_wait_for_arrival(r, 0);
}

void revoke_next_state(struct revoke *r)
{
	atomic_fetch_add(&r->state, 1);
	futex_wake_all(&r->state);
}

void revoke_writers_start(struct revoke *r)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	unsigned int k;

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);	/* where userfaultfd refuses a store */
	atomic_store(&r->state, 1);
	for (k = 0; k < r->count; k++) {
		r->writer[k].revoke = r;
		r->writer[k].cpu = k + 1;
		r->writer[k].thread = thread_on(k + 1, write_on, &r->writer[k]);
	}
}

void revoke_writers_stop(struct revoke *r)
{
	unsigned int k;

	atomic_store(&r->stop, true);
	revoke_next_state(r);
	for (k = 0; k < r->count; k++)
		thread_join(r->writer[k].thread);
}
