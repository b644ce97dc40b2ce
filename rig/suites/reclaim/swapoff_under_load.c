// SPDX-License-Identifier: GPL-2.0-only
/*
 * swapoff_under_load: swapoff(2) brings every page back to its owner, while processes use
 * them.
 *
 * The rule: try_to_unuse() (mm/swapfile.c) walks all processes and all shared memory until
 * nothing is left on the device. unuse_pte() replaces a swap PTE only if it is unchanged
 * when the lock is held: the owner may have faulted the page in meanwhile and written to
 * it. A page whose swap entry was copied by fork() is mapped as shared, not as exclusive
 * (commit 78fbe906cc90 ("mm/page-flags: reuse PG_mappedtodisk as PG_anon_exclusive for
 * PageAnon() pages") (in v5.19)); otherwise one owner could write to it in place. Shared
 * memory comes back through shmem_unuse() (mm/shmem.c), and is dirty, because its copy in
 * swap is gone.
 *
 * Two threads have a private and a shared region each, all in swap. Then swap moves from
 * zram to the disk, or back: the other device is switched on and this one off, while the
 * threads check, rewrite and page out their pages, which go to the other device. Memory
 * that is shared with a forked child is in swap as well, and both processes write to it
 * afterwards.
 */
#include "reclaim.h"
#include "expected.h"
#include "pressure.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define USERS		2
#define USER_BYTES	(128 * page_size())
#define FORKED_BYTES	(64 * page_size())

/* Pages that each thread uses before swapoff, and in all for each change of the device. */
#define BEFORE_SWAPOFF	8
#define EACH_CHANGE	128

/* After every STRETCH pages, a thread pages out OUT_PAGES of its own. */
#define STRETCH		64
#define OUT_PAGES	8

struct load;

struct user {
	struct expected private;
	struct expected shared;
	struct rng rng;
	pthread_t thread;
	struct load *load;
	_Atomic uint32_t pages;	/* that it has used so far */
	_Atomic uint32_t until;	/* it sleeps when `pages` has reached this */
	bool found_bad;
} CACHE_ALIGNED;

struct load {
	struct user user[USERS];
	bool stop;
	atomic_bool *child_found_bad;	/* shared with the child */
	struct expected forked;
	uint64_t seed;
	uint64_t swapoffs;
	uint64_t in_swap_before;
	uint64_t forked_in_swap;
	uint64_t used_meanwhile;
};

static bool any_bad(const struct load *l)
{
	unsigned int k;

	for (k = 0; k < USERS; k++)
		if (l->user[k].found_bad)
			return true;
	return l->forked.bad || atomic_load(l->child_found_bad);
}

static void use_page(struct user *u)
{
	uint64_t random = rng_next(&u->rng);
	struct expected *e = random & 1 ? &u->shared : &u->private;
	size_t page = (random >> 8) % e->pages;

	if (!expected_verify(e, page))
		u->found_bad = true;
	/*
	 * Most pages are only read: a page that was swapped in must also survive a swap-out
	 * without a write.
	 */
	if (!(random & 6))
		expected_write(e, page);
}

static void page_out_some(struct user *u)
{
	struct expected *e = rng_next(&u->rng) & 1 ? &u->shared : &u->private;
	size_t page = rng_below(&u->rng, (uint32_t)(e->pages - OUT_PAGES));

	lru_drain_local();
	region_pageout(expected_page(e, page), OUT_PAGES * page_size());
}

/*
 * Sleeps between the changes: while it was busy, each page reclaimed would cost an
 * interrupt here.
 */
static void *run_user(void *arg)
{
	struct user *u = arg;
	uint32_t until;

	while (!u->found_bad) {
		while (atomic_load(&u->pages) == (until = atomic_load(&u->until)))
			futex_wait(&u->until, until);
		if (u->load->stop)
			return NULL;
		use_page(u);
		if (atomic_fetch_add(&u->pages, 1) % STRETCH == STRETCH - 1)
			page_out_some(u);
		futex_wake_all(&u->pages);
	}
	futex_wake_all(&u->pages);
	return NULL;
}

static void let_users_run(struct load *l, uint32_t pages)
{
	unsigned int k;

	for (k = 0; k < USERS; k++) {
		atomic_fetch_add(&l->user[k].until, pages);
		futex_wake_all(&l->user[k].until);
	}
}

/* Wait until each thread has at most `left` pages to go. */
static void wait_for_users(struct load *l, uint32_t left)
{
	unsigned int k;

	for (k = 0; k < USERS; k++) {
		struct user *u = &l->user[k];
		uint32_t now;

		while ((now = atomic_load(&u->pages)) + left < atomic_load(&u->until) &&
		       !u->found_bad)
			futex_wait(&u->pages, now);
	}
}

static uint64_t pages_used(const struct load *l)
{
	uint64_t pages = 0;
	unsigned int k;

	for (k = 0; k < USERS; k++)
		pages += atomic_load(&l->user[k].pages);
	return pages;
}

static char *shared_region(size_t size)
{
	void *region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED)
		bail("no shared memory: %s", strerror(errno));
	return region;
}

static void init_user(struct load *l, unsigned int k)
{
	struct user *u = &l->user[k];
	char *region = region_map(USER_BYTES, USER_BYTES);
	size_t page;

	thp_choose(region, USER_BYTES, 0);
	u->load = l;
	u->rng = rng_fork(l->seed, k);
	expected_init(&u->private, "private memory", region, USER_BYTES, l->seed + 2 * k);
	expected_init(&u->shared, "shared memory", shared_region(USER_BYTES), USER_BYTES,
		      l->seed + 2 * k + 1);
	for (page = 0; page < u->private.pages; page++) {
		expected_write(&u->private, page);
		expected_write(&u->shared, page);
	}
}

static void write_half(struct expected *e, size_t from)
{
	size_t page;

	for (page = from; page < e->pages; page += 2)
		expected_write(e, page);
}

/* Fork a child that shares our memory, which is in swap. It writes its half on request. */
static pid_t fork_child(struct load *l, int *go)
{
	struct expected *e = &l->forked;
	int pipe_fd[2];
	pid_t pid;
	char byte;

	if (pipe(pipe_fd))
		bail("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		bail("fork: %s", strerror(errno));
	if (pid) {
		close(pipe_fd[0]);
		*go = pipe_fd[1];
		return pid;
	}
	close(pipe_fd[1]);
	e->what = "child's memory";
	e->seed = mix64(e->seed);
	if (read(pipe_fd[0], &byte, 1) == 1) {
		write_half(e, 0);
		/* Wait until the parent has written its half. */
		if (read(pipe_fd[0], &byte, 1) == 1)
			expected_verify_all(e);
	}
	if (e->bad)
		atomic_store(l->child_found_bad, true);
	_exit(0);
}

/* If the child has died, wait_for_child() reports it. */
static void next_step(int go)
{
	if (write(go, "", 1) != 1 && errno != EPIPE)
		bail("cannot write to a pipe: %s", strerror(errno));
}

static void wait_for_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		bail("waitpid: %s", strerror(errno));
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	evidence("the child was killed by signal %d (%s)", WTERMSIG(status),
		 strsignal(WTERMSIG(status)));
}

static uint64_t pages_in_swap(void)
{
	return (stat_file_value("/proc/meminfo", "SwapTotal") * 1024 - swap_free()) / page_size();
}

static void change_swap(struct load *l, const char *kind)
{
	struct expected *e = &l->forked;
	pid_t pid;
	size_t page;
	int go;

	for (page = 0; page < e->pages; page++)
		expected_write(e, page);
	pressure_prepare();
	memcg_reclaim(USERS * 2 * USER_BYTES + FORKED_BYTES);
	region_pageout(e->region, FORKED_BYTES);
	pid = fork_child(l, &go);
	l->forked_in_swap += pagemap_count(e->region, e->pages, PAGEMAP_SWAPPED);
	l->in_swap_before += pages_in_swap();
	let_users_run(l, EACH_CHANGE);
	wait_for_users(l, EACH_CHANGE - BEFORE_SWAPOFF);
	l->used_meanwhile -= pages_used(l);
	if (!swap_only(kind))
		bail("no swap on %s", kind);
	l->used_meanwhile += pages_used(l);
	wait_for_users(l, 0);
	l->swapoffs++;
	/*
	 * The child writes every other page, then the parent the rest; neither may see the
	 * other's writes.
	 */
	next_step(go);
	write_half(e, 1);
	next_step(go);
	close(go);
	wait_for_child(pid);
	expected_verify_all(e);
}

static void start_users(struct load *l)
{
	unsigned int k;

	for (k = 0; k < USERS; k++)
		l->user[k].thread = thread_on(k + 1, run_user, &l->user[k]);
}

static void join_users(struct load *l)
{
	unsigned int k;

	l->stop = true;
	let_users_run(l, 1);
	for (k = 0; k < USERS; k++) {
		thread_join(l->user[k].thread);
		if (any_bad(l))
			continue;
		expected_verify_all(&l->user[k].private);
		expected_verify_all(&l->user[k].shared);
		l->user[k].found_bad = l->user[k].private.bad || l->user[k].shared.bad;
	}
}

static enum outcome report(const struct load *l)
{
	struct expected sum = l->forked;
	unsigned int k;

	for (k = 0; k < USERS; k++) {
		const struct user *u = &l->user[k];

		sum.verified += u->private.verified + u->shared.verified;
		sum.bad += u->private.bad + u->shared.bad;
		sum.bad_bytes += u->private.bad_bytes + u->shared.bad_bytes;
	}
	counter("swapoffs", l->swapoffs);
	counter("pages_in_swap_before", l->in_swap_before);
	counter("forked_in_swap", l->forked_in_swap);
	counter("pages_used_meanwhile", l->used_meanwhile);
	expected_report(&sum);
	return any_bad(l) || evidence_count() ? NOT_OK : OK;
}

static void prepare(struct load *l, const struct guest_args *args)
{
	char *region = region_map(FORKED_BYTES, page_size());
	unsigned int k;

	l->seed = args->seed;
	l->child_found_bad = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->child_found_bad == MAP_FAILED)
		bail("no shared memory: %s", strerror(errno));
	expected_init(&l->forked, "parent's memory", region, FORKED_BYTES, ~args->seed);
	lock_present();
	if (munlock(region, FORKED_BYTES))
		bail("munlock: %s", strerror(errno));
	thp_choose(region, FORKED_BYTES, 0);
	signal(SIGPIPE, SIG_IGN);
	memcg_enter();
	for (k = 0; k < USERS; k++)
		init_user(l, k);
}

enum outcome swapoff_under_load(const struct guest_args *args)
{
	static const char * const kinds[] = { "zram", "disk" };
	static struct load l;
	struct vmstat_delta deltas[] = { { .name = "pswpout" }, { .name = "pswpin" } };
	uint64_t change;

	if (args->cpus <= USERS)
		return skip("%d threads need a CPU each besides CPU 0", USERS);
	swap_require(4 * USERS * USER_BYTES);
	prepare(&l, args);
	pin_self(0);
	vmstat_start(deltas, 2);
	start_users(&l);
	for (change = 0; change < args->iterations && !any_bad(&l); change++)
		change_swap(&l, kinds[change & 1]);
	join_users(&l);
	counter("pswpout", vmstat_since(deltas, 2, "pswpout"));
	counter("pswpin", vmstat_since(deltas, 2, "pswpin"));
	return report(&l);
}
