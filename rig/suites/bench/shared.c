// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads of one process, one on each CPU, use one region that is larger than the limit of
 * their memory cgroup. Every CPU has translations of every page, so reclaim must flush all
 * of them: here the gain of batching shows first. The workers of stress-ng are processes of
 * their own; they share hardly any pages and cause hardly any shootdowns.
 *
 * shared_dirty_reclaim: they write to anonymous memory. A dirty page must be flushed before
 * it is written out (mm/vmscan.c: try_to_unmap_flush_dirty()), which means one flush per
 * page unless the flushes are batched.
 *
 * shared_clean_reclaim: they read a mapped file. Clean pages are unmapped and freed in
 * batches, with one flush per batch (commit 72b252aed506 ("mm: send one IPI per CPU to TLB
 * flush all entries after unmapping pages") (in v4.3), whose benchmark reads a mapped file
 * as well).
 *
 * The amount of work is fixed: each thread touches `iterations` times TOUCHES pages, in an
 * order of its own.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGION_PAGES	4096U
#define LIMIT_PAGES	2048U
#define TOUCHES		512U

struct shared {
	char *region;
	bool write;
	uint64_t seed;
	uint64_t rounds;
	unsigned int threads;
	_Atomic uint32_t waiting;
	_Atomic uint32_t go;
	struct toucher {
		struct shared *all;
		pthread_t thread;
		unsigned int cpu;
		uint64_t touches;
	} toucher[THREADS_MAX];
};

static void *touch_pages(void *arg)
{
	struct toucher *me = arg;
	struct shared *s = me->all;
	struct rng rng = rng_fork(s->seed, me->cpu);
	uint64_t left;

	atomic_fetch_add(&s->waiting, 1);
	futex_wake_all(&s->waiting);
	while (!atomic_load(&s->go))
		futex_wait(&s->go, 0);
	for (left = s->rounds * TOUCHES; left; left--) {
		volatile uint64_t *page =
			(void *)(s->region + rng_below(&rng, REGION_PAGES) * page_size());

		me->touches++;
		if (s->write)
			page[me->cpu] = me->touches;
		else
			(void)page[me->cpu];
	}
	return NULL;
}

static void start_threads(struct shared *s, const struct guest_args *args)
{
	unsigned int k;
	uint32_t waiting;

	s->seed = args->seed;
	s->rounds = args->iterations;
	s->threads = args->cpus;
	for (k = 0; k < s->threads; k++) {
		s->toucher[k].all = s;
		s->toucher[k].cpu = k;
		s->toucher[k].thread = thread_on(k, touch_pages, &s->toucher[k]);
	}
	while ((waiting = atomic_load(&s->waiting)) < s->threads)
		futex_wait(&s->waiting, waiting);
}

static enum outcome measure(struct shared *s)
{
	uint64_t touches = 0;
	unsigned int k;

	bench_start();
	atomic_store(&s->go, 1);
	futex_wake_all(&s->go);
	for (k = 0; k < s->threads; k++) {
		thread_join(s->toucher[k].thread);
		touches += s->toucher[k].touches;
	}
	bench_stop();
	memcg_set_max(MEMCG_NO_LIMIT);
	counter("bogo_ops", touches);
	bench_report();
	return OK;
}

enum outcome shared_dirty_reclaim(const struct guest_args *args)
{
	static struct shared s = { .write = true };
	unsigned int page;

	swap_require(2 * REGION_PAGES * page_size());
	pin_self(0);
	lock_present();
	memcg_enter();
	s.region = region_map(REGION_PAGES * page_size(), page_size());
	thp_choose(s.region, REGION_PAGES * page_size(), 0);
	start_threads(&s, args);
	for (page = 0; page < REGION_PAGES; page++)
		*(volatile uint64_t *)(s.region + page * page_size()) = 1;
	lru_drain_local();
	region_pageout(s.region, (REGION_PAGES - LIMIT_PAGES / 2) * page_size());
	memcg_set_max(memcg_current() + LIMIT_PAGES / 2 * page_size());
	return measure(&s);
}

static char *map_file(size_t bytes)
{
	char path[64], *start, *page = locked_alloc(page_size());
	size_t offset;
	int fd;

	snprintf(path, sizeof(path), "%s/shared_clean_reclaim.%d", data_dir(), getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || unlink(path))
		bail("no file on the data disk: %s", strerror(errno));
	for (offset = 0; offset < bytes; offset += page_size())
		if (pwrite(fd, page, page_size(), (off_t)offset) != (ssize_t)page_size())
			bail("cannot write to a file: %s", strerror(errno));
	if (fsync(fd))
		bail("fsync: %s", strerror(errno));
	start = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (start == MAP_FAILED)
		bail("cannot map a file: %s", strerror(errno));
	close(fd);
	/*
	 * A page is read from the disk only when it is touched: readahead is not what is
	 * measured.
	 */
	region_advise(start, bytes, MADV_RANDOM);
	return start;
}

enum outcome shared_clean_reclaim(const struct guest_args *args)
{
	static struct shared s;

	pin_self(0);
	lock_present();
	memcg_enter();
	s.region = map_file(REGION_PAGES * page_size());
	start_threads(&s, args);
	lru_drain_local();
	memcg_set_max(LIMIT_PAGES * page_size());
	return measure(&s);
}
