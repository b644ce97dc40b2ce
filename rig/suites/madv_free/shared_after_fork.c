// SPDX-License-Identifier: GPL-2.0-only
/*
 * shared_after_fork: a process calls MADV_FREE on pages that it shares with another. The
 * other process keeps them, and each process sees only its own writes.
 *
 * The rule: MADV_FREE applies to one mapping; it clears the dirty bits of that mapping's
 * PTEs. A folio that a forked child maps too is dropped only if no mapping of it is dirty:
 * try_to_unmap_one() (mm/rmap.c) is called for each mapping, and the dirty PTE of a process
 * that did not call MADV_FREE makes the folio dirty. MADV_FREE skips a folio that may be
 * shared (mm/madvise.c: madvise_free_pte_range()). After a fork, pages are shared until
 * written: only the writer sees a write.
 *
 * A round fills a region with folios of one size. In turn it forks before the parent's
 * MADV_FREE (then all of the child's data must survive) or after it (then each of the
 * child's pages may be old or zero, too). The parent writes to some pages, the child to
 * others. Reclaim runs through the file LRU, and then without restriction, into swap as
 * well. Both processes check all pages.
 */
#include "madv_free.h"
#include "sizes.h"
#include "twin.h"

#include <errno.h>
#include <string.h>

#define QUARTERS	4
#define QUARTER_PARENT	1
#define QUARTER_CHILD	2

/* In a folio that is written to, one page in this many is written. */
#define PAGES_PER_WRITE	8

enum step { WRITE, VERIFY };

struct shared {
	struct lazyfree l;
	struct rng rng;
	unsigned int size_kb;
	size_t turn;
	bool forked_before_madv_free;	/* the child keeps all of it */
	uint64_t rounds, writes;
	uint64_t parent_zero, child_zero, child_old;
};

static void write_quarter(struct shared *s, size_t quarter)
{
	size_t page, folio = folio_pages(s->size_kb);

	for (page = 0; page < s->l.pages; page++) {
		if ((page / folio + s->turn) % QUARTERS != quarter)
			continue;
		if (page % folio && rng_below(&s->rng, PAGES_PER_WRITE))
			continue;
		lazyfree_write(&s->l, page, &s->rng);
		s->writes++;
	}
	if (!lru_make_idle())
		bail("no /proc/self/clear_refs: %s", strerror(errno));
}

static void child_verify(struct shared *s, struct twin_answer *answer)
{
	size_t page;

	for (page = 0; page < s->l.pages && s->l.bad < BAD_PAGES_MAX; page++) {
		lazyfree_verify_page(&s->l, page, "in the child");
		answer->old += s->l.page[page].rest == REST_OLD;
		answer->zero += s->l.page[page].rest == REST_ZERO;
		if (!s->forked_before_madv_free || s->l.page[page].rest != REST_ZERO)
			continue;
		evidence("page %zu is zero in the child, which did not call MADV_FREE", page);
		lazyfree_mark_bad(&s->l, page);
	}
	answer->bad = s->l.bad;
}

static void child(void *arg, unsigned int step, struct twin_answer *answer)
{
	struct shared *s = arg;

	if (step == WRITE)
		write_quarter(s, QUARTER_CHILD);
	else
		child_verify(s, answer);
}

static bool verify_both(struct shared *s, struct twin *t, const char *when)
{
	struct twin_answer answer = { };
	size_t page;

	if (!twin_tell(t, VERIFY, &answer))
		return false;
	s->child_old += answer.old;
	s->child_zero += answer.zero;
	lazyfree_verify(&s->l, when);
	for (page = 0; page < s->l.pages; page++)
		s->parent_zero += s->l.page[page].rest == REST_ZERO;
	return !answer.bad && !s->l.bad;
}

static bool one_round(struct shared *s)
{
	struct twin_answer answer;
	struct twin t;
	bool good;

	refill_whole(&s->l, ROUND_BYTES / 2, s->size_kb);
	s->turn = rng_below(&s->rng, QUARTERS);
	if (!s->forked_before_madv_free)
		lazyfree_madv_free(&s->l);
	twin_start(&t, child, s);
	if (s->forked_before_madv_free)
		lazyfree_madv_free(&s->l);
	write_quarter(s, QUARTER_PARENT);
	good = twin_tell(&t, WRITE, &answer);
	if (good) {
		memcg_reclaim_file(ROUND_BYTES / 2);
		good = verify_both(s, &t, "in the parent, after memory.reclaim of files");
	}
	if (good) {
		memcg_reclaim(ROUND_BYTES / 2);
		good = verify_both(s, &t, "in the parent, after memory.reclaim");
	}
	twin_end(&t);
	s->rounds++;
	return good;
}

enum outcome shared_after_fork(const struct guest_args *args)
{
	static struct shared s;
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t size, sizes = sizes_large(LARGE_KB, sizes_kb) + 1;
	bool good = true;
	uint64_t round;

	swap_require(4 * ROUND_BYTES);
	s.rng = rng_fork(args->seed, 0);
	lazyfree_init(&s.l, ROUND_BYTES, args->seed);
	for (round = 0; round < args->iterations && good; round++) {
		size = round % sizes;
		s.size_kb = size ? sizes_kb[size - 1] : 0;
		s.forked_before_madv_free = (round + round / sizes) % 2;
		lru_gen_set(round / 2 % 2);
		good = one_round(&s);
	}
	counter("rounds", s.rounds);
	counter("pages_written", s.writes);
	counter("parent_zero", s.parent_zero);
	counter("child_zero", s.child_zero);
	counter("child_old", s.child_old);
	return lazyfree_report(&s.l) == OK && good ? OK : NOT_OK;
}
