// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork_cow: after fork() parent and child each keep their own data, in memory and through
 * swap.
 *
 * The rule: fork() shares the pages and maps them read-only in both processes, so the first
 * to write gets a copy (mm/memory.c: copy_present_ptes(), do_wp_page()). A page in swap is
 * shared by its swap entry, and fork() clears the bit that says that only one process has
 * it (copy_nonpresent_pte(): pte_swp_clear_exclusive(); commit 1493a1913e34 ("mm/swap:
 * remember PG_anon_exclusive via a swp pte bit") (in v5.19)). do_swap_page() may map it
 * writable only if that bit is set or if no other process can have the page.
 *
 * Regions of three folio sizes, half of them in swap when fork() is called. Parent and
 * child take turns. In its turn a process visits a third of the region's pages and writes
 * to a page or not, as a random number known to both decides. Half of the writes come
 * without a read before. Between the turns the pages of both, of one, or of neither are
 * swapped out. Each process knows what it has written and expects nothing of the other's.
 * The first round uses no swap.
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

/* A folio of FOLIO_LARGE pages is a region of its own. */
#define REGION_BYTES	(256 * page_size())
#define REGION_MAX	(FOLIO_LARGE * page_size())
#define TURNS		3

enum { PARENT, CHILD, SIDES };

/* The totals of one process, in shared memory. */
struct totals {
	uint64_t writes_from_swap;
	uint64_t writes_from_memory;
	uint64_t verified;
	uint64_t bad;
	uint64_t bad_bytes;
} CACHE_ALIGNED;

struct cow {
	struct expected expected;
	struct totals *totals;	/* of SIDES */
	size_t bytes;
	unsigned int side;
	uint64_t random;
	bool in_memory;		/* this round does not use swap */
	int to_other;
	int from_other;
	uint64_t in_swap_at_fork;
	uint64_t in_memory_at_fork;
};

/* If the other process has ended, receive_byte() notices it. */
static void send_byte(int fd)
{
	if (write(fd, "", 1) != 1 && errno != EPIPE)
		bail("cannot write to a pipe: %s", strerror(errno));
}

/* False when the other process has ended. */
static bool receive_byte(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 1;
}

static bool is_my_write(const struct cow *c, unsigned int turn, size_t page)
{
	uint64_t random = mix64(c->random + page);

	/* One page in four is written by neither; the others by one process or by both. */
	return page % TURNS == turn && (random & 3) && (random >> 2 & 3) != 1 + c->side;
}

static void write_share(struct cow *c, unsigned int turn)
{
	struct totals *a = &c->totals[c->side];
	size_t page;

	for (page = 0; page < c->expected.pages; page++) {
		if (!is_my_write(c, turn, page))
			continue;
		if (pagemap_entry(expected_page(&c->expected, page)) & PAGEMAP_SWAPPED)
			a->writes_from_swap++;
		else
			a->writes_from_memory++;
		if (page / TURNS & 1)
			expected_verify(&c->expected, page);
		expected_write(&c->expected, page);
	}
	lru_drain_local();
}

/*
 * memory.reclaim takes pages that both processes share, if they look idle; MADV_PAGEOUT
 * does not.
 */
static void reclaim_between(const struct cow *c, unsigned int turn)
{
	if (c->in_memory)
		return;
	pressure_prepare();
	if (turn != TURNS - 1)
		memcg_reclaim(c->bytes);
	if (turn & 1)
		region_pageout(c->expected.region, c->bytes);
}

static void take_turns(struct cow *c)
{
	unsigned int turn;

	for (turn = 0; turn < TURNS; turn++) {
		if (c->side == CHILD && !receive_byte(c->from_other))
			return;
		write_share(c, turn);
		reclaim_between(c, turn);
		expected_verify_all(&c->expected);
		if (c->expected.bad)
			return;
		if (c->side == PARENT) {
			send_byte(c->to_other);
			if (!receive_byte(c->from_other))
				return;
		} else {
			send_byte(c->to_other);
		}
	}
}

static void add_to_totals(struct cow *c)
{
	struct totals *a = &c->totals[c->side];

	a->verified += c->expected.verified;
	a->bad += c->expected.bad;
	a->bad_bytes += c->expected.bad_bytes;
	c->expected.verified = c->expected.bad = c->expected.bad_bytes = 0;
}

static void be_child(struct cow *c, const int to_parent[2], const int to_child[2])
{
	close(to_parent[0]);
	close(to_child[1]);
	c->side = CHILD;
	c->to_other = to_parent[1];
	c->from_other = to_child[0];
	/* The child's patterns must differ from those of the parent's next writes. */
	c->expected.seed = mix64(c->expected.seed);
	c->expected.verified = c->expected.bad = c->expected.bad_bytes = 0;
	c->expected.what = "child's region";
	pin_self(1);
	take_turns(c);
	add_to_totals(c);
	_exit(0);
}

static void wait_for_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		bail("waitpid: %s", strerror(errno));
	if (!WIFEXITED(status)) {
		evidence("the child was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
		return;
	}
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
}

static void fork_and_take_turns(struct cow *c)
{
	int to_child[2], to_parent[2];
	pid_t pid;

	if (pipe(to_child) || pipe(to_parent))
		bail("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		bail("fork: %s", strerror(errno));
	if (!pid)
		be_child(c, to_parent, to_child);
	close(to_child[0]);
	close(to_parent[1]);
	c->to_other = to_child[1];
	c->from_other = to_parent[0];
	take_turns(c);
	close(c->to_other);
	close(c->from_other);
	wait_for_child(pid);
}

/* Page out the first half, or 16 pages of every 32. */
static void page_out_half(const struct cow *c, bool scattered)
{
	size_t page;

	if (!scattered)
		region_pageout(c->expected.region, c->bytes / 2);
	for (page = 0; scattered && page < c->expected.pages; page += 32)
		region_pageout(expected_page(&c->expected, page), 16 * page_size());
}

static void one_size(struct cow *c, unsigned int size_kb, bool scattered)
{
	char what[48], *region = region_map(REGION_MAX, REGION_MAX);
	size_t page;

	c->bytes = (size_t)size_kb << 10 > REGION_BYTES ? REGION_MAX : REGION_BYTES;
	snprintf(what, sizeof(what), "parent's region of %u kB folios", shown_kb(size_kb));
	thp_choose(region, REGION_MAX, size_kb);
	expected_reset(&c->expected, what, region, c->bytes);
	c->side = PARENT;
	c->random = mix64(c->expected.seed + c->expected.writes);
	for (page = 0; page < c->expected.pages; page++)
		expected_write(&c->expected, page);
	lru_drain_local();
	if (!c->in_memory)
		page_out_half(c, scattered);
	c->in_swap_at_fork += pagemap_count(region, c->expected.pages, PAGEMAP_SWAPPED);
	c->in_memory_at_fork += pagemap_count(region, c->expected.pages, PAGEMAP_PRESENT);
	fork_and_take_turns(c);
	/* The child is gone; the pages may still be marked as shared. */
	if (!c->expected.bad)
		for (page = 0; page < c->expected.pages; page += 3)
			expected_write(&c->expected, page);
	expected_verify_all(&c->expected);
	add_to_totals(c);
	region_unmap(region, REGION_MAX);
}

static enum outcome report(const struct cow *c)
{
	const struct totals *p = &c->totals[PARENT], *k = &c->totals[CHILD];

	counter("in_swap_at_fork", c->in_swap_at_fork);
	counter("in_memory_at_fork", c->in_memory_at_fork);
	counter("parent_writes_from_swap", p->writes_from_swap);
	counter("parent_writes_from_memory", p->writes_from_memory);
	counter("child_writes_from_swap", k->writes_from_swap);
	counter("child_writes_from_memory", k->writes_from_memory);
	counter("pages_verified", p->verified + k->verified);
	counter("pages_bad", p->bad + k->bad);
	counter("bytes_bad", p->bad_bytes + k->bad_bytes);
	return p->bad + k->bad + evidence_count() ? NOT_OK : OK;
}

enum outcome fork_cow(const struct guest_args *args)
{
	const unsigned int sizes_kb[] = { 0, folio_kb(FOLIO_SMALL), folio_kb(FOLIO_LARGE) };
	static struct cow c;
	struct vmstat_delta deltas[] = { { .name = "pswpout" }, { .name = "pswpin" } };
	uint64_t round;
	size_t i;

	if (args->cpus < 2)
		return skip("parent and child need a CPU each");
	swap_require(4 * REGION_MAX);
	c.totals = mmap(NULL, SIDES * sizeof(*c.totals), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c.totals == MAP_FAILED)
		bail("no shared memory: %s", strerror(errno));
	expected_init(&c.expected, "region", NULL, REGION_MAX, args->seed);
	signal(SIGPIPE, SIG_IGN);
	lock_present();
	memcg_enter();
	pin_self(0);
	vmstat_start(deltas, 2);
	/*
	 * First without swap: a badly broken kernel crashes when it finds a shared page in
	 * swap.
	 */
	c.in_memory = true;
	one_size(&c, 0, false);
	c.in_memory = false;
	for (round = 0; round < args->iterations; round++)
		for (i = 0; i < sizeof(sizes_kb) / sizeof(*sizes_kb); i++)
			if (!c.totals[PARENT].bad && !c.totals[CHILD].bad)
				one_size(&c, sizes_kb[i], (round + i) & 1);
	counter("pswpout", vmstat_since(deltas, 2, "pswpout"));
	counter("pswpin", vmstat_since(deltas, 2, "pswpin"));
	return report(&c);
}
