// SPDX-License-Identifier: GPL-2.0-only
/*
 * cow_after_failed_unmap: reclaim unmaps a folio, cannot discard it and restores its PTEs.
 * A PTE that was read-only is read-only again.
 *
 * The rule: without batches each PTE gets its own old value back. In a batch the value of
 * the first PTE is used for all, so a batch must end where the write bit changes
 * (folio_unmap_pte_batch() in mm/rmap.c: FPB_RESPECT_WRITE). Otherwise pages that are
 * shared with a forked child become writable in the parent, and copy-on-write is broken.
 *
 * Each folio gets MADV_FREE, and all its pages except the first are shared with a child.
 * The first page has MADV_DONTFORK during the fork, so only its PTE stays writable; after
 * MADV_DOFORK it is in one mapping with the others again. A write to it makes the folio
 * dirty without a fault. Reclaim sees this when the PTEs are cleared, and restores them.
 * Then the parent writes to the other pages: the child must not see these writes.
 */
#include "madv_free.h"
#include "place.h"
#include "sizes.h"
#include "twin.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define GENTLE_ROUNDS	2

struct cow {
	struct lazyfree l;
	struct rng rng;
	size_t folio;		/* pages */
	uint64_t folios, put_back, copied;
	uint64_t child_old, child_zero;
};

/* The child has no first pages, and expects no writes of the parent. */
static void child(void *arg, unsigned int step, struct twin_answer *answer)
{
	struct cow *c = arg;
	size_t page;

	(void)step;
	for (page = 0; page < c->l.pages; page++) {
		if (page % c->folio == 0)
			continue;
		lazyfree_verify_page(&c->l, page, "in the child, which does not write");
		answer->old += c->l.page[page].rest == REST_OLD;
		answer->zero += c->l.page[page].rest == REST_ZERO;
	}
	answer->bad = c->l.bad;
}

static void advise_first_pages(struct cow *c, int advice)
{
	size_t page;

	for (page = 0; page < c->l.pages; page += c->folio)
		if (!region_advise(lazyfree_at(&c->l, page), page_size(), advice))
			bail("no MADV_DONTFORK");
}

/* Count the first pages that are present: their folio was restored, or was never unmapped. */
static uint64_t write_first_and_reclaim(struct cow *c)
{
	uint64_t same = 0;
	size_t page;

	for (page = 0; page < c->l.pages; page += c->folio)
		lazyfree_write(&c->l, page, &c->rng);
	if (!lru_make_idle())
		bail("no /proc/self/clear_refs: %s", strerror(errno));
	/* More than the cgroup has, so that reclaim tries every folio before it gives up. */
	memcg_reclaim_file(c->l.pages * page_size());
	for (page = 0; page < c->l.pages; page += c->folio)
		same += place_of(lazyfree_at(&c->l, page)).present;
	return same;
}

static void write_shared(struct cow *c)
{
	size_t page;

	for (page = 0; page < c->l.pages; page++) {
		if (page % c->folio == 0)
			continue;
		lazyfree_write(&c->l, page, &c->rng);
		c->copied++;
	}
}

static bool one_round(struct cow *c, unsigned int size_kb, size_t bytes)
{
	struct twin_answer answer = { };
	struct twin t;
	bool good;

	c->folio = folio_pages(size_kb);
	refill_whole(&c->l, bytes, size_kb);
	lazyfree_madv_free(&c->l);
	advise_first_pages(c, MADV_DONTFORK);
	twin_start(&t, child, c);
	advise_first_pages(c, MADV_DOFORK);
	c->folios += c->l.pages / c->folio;
	c->put_back += write_first_and_reclaim(c);
	write_shared(c);
	good = twin_tell(&t, 0, &answer);
	c->child_old += answer.old;
	c->child_zero += answer.zero;
	lazyfree_verify(&c->l, "in the parent");
	twin_end(&t);
	return good && !answer.bad && !c->l.bad;
}

enum outcome cow_after_failed_unmap(const struct guest_args *args)
{
	static struct cow c;
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t bytes, sizes = sizes_large(LARGE_KB, sizes_kb);
	bool good = true;
	uint64_t round;

	if (!sizes)
		return skip_no_large_folios();
	c.rng = rng_fork(args->seed, 0);
	lazyfree_init(&c.l, ROUND_BYTES, args->seed);
	for (round = 0; round < args->iterations && good; round++) {
		unsigned int size_kb = sizes_kb[round % sizes];

		/*
		 * One folio first: a kernel that fails here may crash before a second folio
		 * is reported.
		 */
		bytes = round < GENTLE_ROUNDS ? (size_t)size_kb << 10 : LARGE_BYTES;
		lru_gen_set(round / 2 % 2);
		good = one_round(&c, size_kb, bytes);
	}
	counter("folios", c.folios);
	counter("folios_put_back", c.put_back);
	counter("pages_copied", c.copied);
	counter("child_old", c.child_old);
	counter("child_zero", c.child_zero);
	return lazyfree_report(&c.l) == OK && good ? OK : NOT_OK;
}
