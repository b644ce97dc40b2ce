// SPDX-License-Identifier: GPL-2.0-only
#include "revoke.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * CPU 0's flush stays pending while the interrupter spins. The spinning is limited, because
 * the writer may wait for a lock that the interrupted operation holds.
 */
#define SPIN_NS_MAX		50000000

/*
 * munmap() takes little time, and timers are late on a busy emulator. The case goes on
 * until the interrupter was in time in this many rounds, up to a multiple of the iterations
 * asked for.
 */
#define UNMAPS_IN_TIME		40U
#define ROUNDS_FACTOR		4U

/*
 * Uses an open file: pagemap_entry() opens it for each call, which would take most of the
 * time here.
 */
static bool present(const struct revoke *r, unsigned int page)
{
	off_t offset = (off_t)((uintptr_t)r->window / page_size() + page) * 8;
	uint64_t entry;

	if (pread(r->pagemap, &entry, sizeof(entry), offset) != sizeof(entry))
		bail("cannot read /proc/self/pagemap: %s", strerror(errno));
	return entry & PAGEMAP_PRESENT;
}

/*
 * Find the longest run of the writer's pages that have no PTE: they are unmapped, and their
 * flush may still be pending. True when it looks like that.
 *
 * Migration unmaps all pages, flushes, copies and maps them, each step from the first page
 * to the last. Reclaim of dirty anonymous pages flushes after each page and may just have
 * done so.
 */
static bool find_unmapped(struct revoke *r)
{
	unsigned int page, run = 0;

	r->taken_pages = 0;
	if (r->method != RECLAIM_ANON && (present(r, 0) || !present(r, REVOKE_PAGES - 1)))
		return false;
	for (page = 0; page < HOT_PAGES; page++) {
		run = present(r, page) ? 0 : run + 1;
		if (run > r->taken_pages) {
			r->taken_pages = run;
			r->taken_first = page + 1 - run;
		}
	}
	return r->taken_pages;
}

/*
 * In time: take only the unmapped pages. If a present page was among them, the call would
 * flush its neighbours too. Otherwise take all pages.
 */
static void call_and_wait(struct revoke *r, bool in_time)
{
	if (in_time) {
		r->in_time[r->method]++;
		r->unmapped[r->method] += r->taken_pages;
	} else {
		r->taken_first = 0;
		r->taken_pages = HOT_PAGES;
	}
	r->call(r, r->window + r->taken_first * page_size(), r->taken_pages * page_size());
	atomic_store(&r->arrived, 0);
	revoke_next_state(r);
	revoke_wait_for_arrival(r, SPIN_NS_MAX);
}

/* True when the interrupter has finished. */
static bool try_call(struct revoke *r, uint32_t round, struct rng *rng)
{
	bool in_kernel = atomic_load(&r->in_kernel), pending, patient = round % 3;

	if (r->method == UNMAP_ANON)
		return scavenge_try(r, round, rng);
	/*
	 * In every third round make the call at once, whatever is mapped. A missing flush
	 * of the call itself shows only where none is pending, because a pending one makes
	 * the call flush everything.
	 */
	pending = find_unmapped(r);
	if (in_kernel && patient && (!pending || (r->method == RECLAIM_ANON && rng_below(rng, 2))))
		return false;
	call_and_wait(r, in_kernel && patient);
	return true;
}

static void *interrupt(void *arg)
{
	struct sched_param param = { .sched_priority = 1 };
	struct revoke *r = arg;
	struct rng rng = rng_fork(r->seed, THREADS_MAX);
	uint32_t done = 0, armed, ns, took;
	uint64_t began;
	bool finished;

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		bail("no SCHED_FIFO: %s", strerror(errno));
	for (;; done = armed) {
		while ((armed = atomic_load(&r->armed)) == done)
			futex_wait(&r->armed, done);
		if (atomic_load(&r->stop))
			return NULL;
		ns = LOOK_NS;
		do {
			sleep_ns(1 + rng_below(&rng, 2 * ns));
			began = now_ns();
			finished = try_call(r, armed, &rng);
			took = (uint32_t)(now_ns() - began);
			ns = (took > ns ? took : ns) + LOOK_NS / 64;
		} while (!finished);
		r->rounds[r->method]++;
		atomic_store(&r->interrupted, armed);
		futex_wake_all(&r->interrupted);
	}
}

/* Large pages would make it half of the guest's memory. */
static unsigned int ballast_file_pages(void)
{
	size_t most = BALLAST_BYTES_MAX / page_size();

	return most < BALLAST_PAGES ? (unsigned int)most : BALLAST_PAGES;
}

static void map_at(char *address, unsigned int pages, int prot, int flags, int fd)
{
	if (mmap(address, pages * page_size(), prot, MAP_FIXED | flags, fd, 0) != address)
		bail("cannot map the window: %s", strerror(errno));
}

/* The file's pages, as often as it takes. */
static void map_ballast(struct revoke *r)
{
	unsigned int page, pages;

	for (page = 0; page < BALLAST_PAGES; page += pages) {
		pages = ballast_file_pages();
		if (pages > BALLAST_PAGES - page)
			pages = BALLAST_PAGES - page;
		map_at(r->window + (HOT_PAGES + page) * page_size(), pages, PROT_READ,
		       MAP_SHARED | MAP_POPULATE, r->ballast);
	}
}

static void map_window(struct revoke *r)
{
	const int rw = PROT_READ | PROT_WRITE;

	if (r->moved_size)
		region_unmap(r->moved, r->moved_size);
	r->moved_size = 0;
	/* Reserve all addresses, so that nothing else is mapped there. */
	map_at(r->window, HOT_PAGES + BALLAST_PAGES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	/* mremap() then has nothing to unmap there first. */
	map_at(r->spare, REVOKE_PAGES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (r->method == MIGRATE_FILE)
		map_at(r->window, REVOKE_PAGES, rw, MAP_SHARED, r->file);
	else
		map_at(r->window, REVOKE_PAGES, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	thp_choose(r->window, REVOKE_PAGES * page_size(), 0);
	if (r->method == UNMAP_ANON)
		map_ballast(r);
	r->shared = scavenge_shared_pages(r);
	r->scavenged_pages = 0;
}

/* From this CPU, so that all pages come from one node and return to this CPU's free list. */
static void touch_all(struct revoke *r)
{
	bool all = r->method == MIGRATE_ANON || r->method == MIGRATE_FILE;
	unsigned int page;

	for (page = 0; page < (all ? REVOKE_PAGES : HOT_PAGES); page++)
		*(volatile char *)(r->window + page * page_size()) = 1;
	lru_drain_local();
}

static long move_pages(unsigned long count, void **pages, const int *nodes, int *status)
{
	return syscall(SYS_move_pages, 0, count, pages, nodes, status, 2 /* MPOL_MF_MOVE */);
}

struct move {
	void *pages[REVOKE_PAGES];
	int nodes[REVOKE_PAGES];
	int status[REVOKE_PAGES];
	unsigned int count;
};

/*
 * Choose the pages that are on the first page's node: they move to the other node in one
 * batch.
 */
static void prepare_move(struct revoke *r, struct move *move)
{
	unsigned int k;
	int from;

	for (k = 0; k < REVOKE_PAGES; k++)
		move->pages[k] = r->window + k * page_size();
	if (move_pages(REVOKE_PAGES, move->pages, NULL, move->status))
		bail("move_pages: %s", strerror(errno));
	from = move->status[0];
	for (k = move->count = 0; k < REVOKE_PAGES; k++) {
		if (move->status[k] != from)
			continue;
		move->pages[move->count] = move->pages[k];
		move->nodes[move->count++] = from == 0;
	}
}

static void run_method(struct revoke *r, struct move *move)
{
	switch (r->method) {
	case UNMAP_ANON:
		r->call(r, r->window, (HOT_PAGES + BALLAST_PAGES) * page_size());
		break;
	case RECLAIM_ANON:
		memcg_reclaim(HOT_PAGES / 2 * page_size());
		break;
	default:
		/* Some pages may be unmapped or busy by now. */
		if (move_pages(move->count, move->pages, move->nodes, move->status) < 0)
			bail("move_pages: %s", strerror(errno));
	}
	atomic_store(&r->in_kernel, false);
}

/* Run the operation that the interrupter interrupts, and wait until it has finished. */
static void run_interrupted(struct revoke *r, uint32_t round)
{
	static struct move move;
	uint64_t before = vmstat("pswpout");
	uint32_t interrupted;
	unsigned int k;

	move.count = 0;
	if (r->method == RECLAIM_ANON && !lru_make_idle())
		bail("no /proc/self/clear_refs: %s", strerror(errno));
	if (r->method == MIGRATE_ANON || r->method == MIGRATE_FILE)
		prepare_move(r, &move);
	/*
	 * Set before the interrupter is armed: it may look at once, and CPU 0 must count as
	 * being in the kernel by then.
	 */
	atomic_store(&r->in_kernel, true);
	atomic_store(&r->armed, round);
	futex_wake_all(&r->armed);
	run_method(r, &move);
	while ((interrupted = atomic_load(&r->interrupted)) != round)
		futex_wait(&r->interrupted, interrupted);
	r->reclaimed += vmstat("pswpout") - before;
	for (k = 0; k < move.count; k++)
		r->migrated += move.status[k] == move.nodes[k];
}

static void one_round(struct revoke *r, uint32_t round)
{
	map_window(r);
	if (r->method == UNMAP_ANON)
		region_advise(r->scavenged, SCAVENGE_PAGES * page_size(), MADV_DONTNEED);
	touch_all(r);
	r->active = 1 + rng_below(&r->rng, r->count);
	revoke_next_state(r);
	revoke_wait_for_passes(r);
	run_interrupted(r, round);
	if (r->method != UNMAP_ANON)
		return;
	r->taken_first = 0;
	r->taken_pages = HOT_PAGES;
	atomic_store(&r->arrived, 0);
	revoke_next_state(r);
	revoke_wait_for_arrival(r, 0);
	scavenge_verify(r, round);
}

static void prepare(struct revoke *r, const struct guest_args *args)
{
	size_t size = REVOKE_PAGES * page_size();
	char path[64];

	r->seed = args->seed;
	r->count = args->cpus - 1;
	r->rng = rng_fork(args->seed, 0);
	snprintf(path, sizeof(path), "%s/stale_tlb.%d", data_dir(), getpid());
	r->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (r->file < 0 || unlink(path) ||
	    posix_fallocate(r->file, 0, (off_t)size))
		bail("no file on the data disk: %s", strerror(errno));
	r->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (r->pagemap < 0)
		bail("no /proc/self/pagemap: %s", strerror(errno));
	r->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	r->ballast = memfd_create("ballast", MFD_CLOEXEC);
	/*
	 * Allocated before memcg_enter(), so that it is not charged to the cgroup that is
	 * reclaimed from.
	 */
	if (r->statm < 0 || r->ballast < 0 ||
	    posix_fallocate(r->ballast, 0, (off_t)(ballast_file_pages() * page_size())))
		bail("no ballast: %s", strerror(errno));
	lock_present();
	memcg_enter();
	r->scavenged = region_map(SCAVENGE_PAGES * page_size(), page_size());
	/* The first fault in this mapping would need the lock that munmap() holds. */
	*(volatile char *)r->scavenged = 1;
	r->window = region_map((HOT_PAGES + BALLAST_PAGES) * page_size(),
			       (HOT_PAGES + BALLAST_PAGES) * page_size());
	r->spare = region_map(size, page_size());
}

static void report(const struct revoke *r)
{
	uint64_t stores = 0, stores_refused = 0, in_time = 0;
	unsigned int k, method;
	char name[64];

	for (k = 0; k < r->count; k++) {
		stores += r->writer[k].stores;
		stores_refused += r->writer[k].refused;
	}
	counter("stores", stores);
	counter("stores_refused", stores_refused);
	for (method = 0; method < REVOKE_METHODS; method++) {
		if (!r->rounds[method])
			continue;
		snprintf(name, sizeof(name), "rounds_%s", revoke_method_names[method]);
		counter(name, r->rounds[method]);
		snprintf(name, sizeof(name), "in_time_%s", revoke_method_names[method]);
		counter(name, r->in_time[method]);
		snprintf(name, sizeof(name), "unmapped_%s", revoke_method_names[method]);
		if (method == UNMAP_ANON)
			continue;
		counter(name, r->unmapped[method]);
		in_time += r->in_time[method];
	}
	thp_report_limits();
	counter("calls_in_time", in_time);
	counter("reclaimed", r->reclaimed);
	counter("migrated", r->migrated);
	if (r->pmd_rounds)
		counter("pmds_taken", r->pmds_taken);
	counter("landed", atomic_load(&r->landed));
}

/* Choose what CPU 0 does in a round. False after the last round. */
static bool choose_method(struct revoke *r, const struct guest_args *args, uint32_t round,
			  bool scavenging)
{
	static const enum revoke_method methods[] = {
		MIGRATE_FILE, MIGRATE_ANON, RECLAIM_ANON, MIGRATE_ANON,
	};

	r->method = scavenging && round % 2 ? UNMAP_ANON : methods[round / (1 + scavenging) % 4];
	if (round <= args->iterations)
		return true;
	r->method = UNMAP_ANON;
	return scavenging && r->in_time[UNMAP_ANON] < UNMAPS_IN_TIME &&
	       round <= ROUNDS_FACTOR * args->iterations;
}

enum outcome revoke_run(struct revoke *r, const struct guest_args *args, bool scavenging)
{
	uint32_t round, half = (uint32_t)(args->iterations / 2) | 1;

	if (args->cpus < 2)
		return skip("the writers need a CPU besides CPU 0");
	swap_require(4 * REVOKE_PAGES * page_size());
	pin_self(0);
	prepare(r, args);
	revoke_writers_start(r);
	r->interrupter = thread_on(0, interrupt, r);
	for (round = 1; choose_method(r, args, round, scavenging); round++) {
		if (round == 1 || round == half + 1)
			lru_gen_set(round > half);
		if (r->pmd_rounds && round % 8 == 0)
			revoke_pmd_round(r);
		else
			one_round(r, round);
		if (atomic_load(&r->landed))
			break;
	}
	revoke_writers_stop(r);
	atomic_fetch_add(&r->armed, 1);
	futex_wake_all(&r->armed);
	thread_join(r->interrupter);
	report(r);
	return atomic_load(&r->landed) ? NOT_OK : OK;
}
