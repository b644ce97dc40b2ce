// SPDX-License-Identifier: GPL-2.0-only
/*
 * shared_dirty_reclaim: threads of one process, one on each CPU, dirty one region that is larger
 * than their memory cgroup may be. Every CPU has translations of every page, so reclaim of each
 * batch has all of them to tell: what batching saves is seen here first. stress-ng's workers, a
 * process each, share hardly any pages, and send hardly any shootdowns.
 *
 * A fixed amount of work: `iterations` times TOUCHES writes by each thread, in an order of its own.
 */
#include "bench.h"

#include <stdatomic.h>

#define REGION_PAGES	4096U
#define LIMIT_PAGES	2048U
#define TOUCHES		512U

struct dirty {
	char *region;
	uint64_t seed;
	uint64_t rounds;
	unsigned int threads;
	_Atomic uint32_t waiting;
	_Atomic uint32_t go;
	struct toucher {
		struct dirty *all;
		pthread_t thread;
		unsigned int cpu;
		uint64_t writes;
	} toucher[THREADS_MAX];
};

static void *dirty_pages(void *arg)
{
	struct toucher *me = arg;
	struct dirty *d = me->all;
	struct rng rng = rng_fork(d->seed, me->cpu);
	uint64_t left;

	atomic_fetch_add(&d->waiting, 1);
	futex_wake_all(&d->waiting);
	while (!atomic_load(&d->go))
		futex_wait(&d->go, 0);
	for (left = d->rounds * TOUCHES; left; left--) {
		char *page = d->region + rng_below(&rng, REGION_PAGES) * page_size();

		((volatile uint64_t *)page)[me->cpu] = ++me->writes;
	}
	return NULL;
}

enum outcome shared_dirty_reclaim(const struct guest_args *args)
{
	static struct dirty d;
	uint64_t writes = 0;
	unsigned int k, page;
	uint32_t waiting;

	d.seed = args->seed;
	d.rounds = args->iterations;
	d.threads = args->cpus;
	swap_require(2 * REGION_PAGES * page_size());
	pin_self(0);
	lock_present();
	memcg_enter();
	d.region = region_map(REGION_PAGES * page_size(), page_size());
	thp_choose(d.region, REGION_PAGES * page_size(), 0);
	for (k = 0; k < d.threads; k++) {
		d.toucher[k].all = &d;
		d.toucher[k].cpu = k;
		d.toucher[k].thread = thread_on(k, dirty_pages, &d.toucher[k]);
	}
	while ((waiting = atomic_load(&d.waiting)) < d.threads)
		futex_wait(&d.waiting, waiting);
	for (page = 0; page < REGION_PAGES; page++)
		*(volatile uint64_t *)(d.region + page * page_size()) = 1;
	lru_drain_local();
	region_pageout(d.region, (REGION_PAGES - LIMIT_PAGES / 2) * page_size());
	memcg_set_max(memcg_current() + LIMIT_PAGES / 2 * page_size());
	bench_start();
	atomic_store(&d.go, 1);
	futex_wake_all(&d.go);
	for (k = 0; k < d.threads; k++) {
		thread_join(d.toucher[k].thread);
		writes += d.toucher[k].writes;
	}
	bench_stop();
	memcg_set_max(MEMCG_NO_LIMIT);
	counter("bogo_ops", writes);
	bench_report();
	return OK;
}
