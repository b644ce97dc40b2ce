// SPDX-License-Identifier: GPL-2.0-only
/*
 * vma_split: after MADV_FREE, a part of a folio is unmapped, made read-only or locked. What
 * is left must obey the rules of its own mapping, and only these.
 *
 * The rule: reclaim unmaps a folio one mapping at a time. A mapping with mlock() keeps its
 * pages, whatever happens to the rest of the folio (mm/rmap.c: try_to_unmap_one(),
 * VM_LOCKED). A batch of PTEs ends with its mapping (folio_unmap_pte_batch(): vm_end, in
 * v6.16). A PTE that is restored has the protection it had before. Pages that were unmapped
 * stay unmapped. For the rest, MADV_FREE's promise holds: old or zero, and what was written
 * afterwards stays.
 *
 * A round fills a region with folios of one size, calls MADV_FREE, and cuts each folio in
 * one of several ways. Some folios are written to. Reclaim finds them on the file LRU
 * (MADV_PAGEOUT would split them).
 */
#include "madv_free.h"
#include "sizes.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum cut { UNCUT, UNMAP_HEAD, UNMAP_MIDDLE, READ_ONLY_TAIL, LOCK_HEAD, LOCK_TAIL, CUTS };
enum kind { PLAIN, GONE, READ_ONLY, LOCKED };

struct split {
	struct lazyfree l;
	struct rng rng;
	enum kind *kind;	/* of each page */
	int pipe[2];		/* never empty */
	uint64_t cuts[CUTS];
	uint64_t locked, read_only, written, zero, old;
};

static void change(struct split *s, size_t page, size_t count, enum kind kind)
{
	char *start = lazyfree_at(&s->l, page);
	size_t size = count * page_size(), i;

	/* Without MLOCK_ONFAULT, mlock() would write to every page. */
	if (kind == LOCKED && mlock2(start, size, MLOCK_ONFAULT))
		bail("mlock2: %s", strerror(errno));
	if (kind == READ_ONLY && mprotect(start, size, PROT_READ))
		bail("mprotect: %s", strerror(errno));
	if (kind == GONE)
		region_unmap(start, size);
	for (i = 0; i < count; i++)
		s->kind[page + i] = kind;
	s->locked += kind == LOCKED ? count : 0;
}

static void cut(struct split *s, size_t page, size_t folio, enum cut how)
{
	size_t at = 1 + rng_below(&s->rng, (uint32_t)folio - 1);

	s->cuts[how]++;
	if (how == UNMAP_HEAD)
		change(s, page, at, GONE);
	else if (how == UNMAP_MIDDLE)
		change(s, page + at, 1 + rng_below(&s->rng, (uint32_t)(folio - at)), GONE);
	else if (how == READ_ONLY_TAIL)
		change(s, page + at, folio - at, READ_ONLY);
	else if (how == LOCK_HEAD)
		change(s, page, at, LOCKED);
	else if (how == LOCK_TAIL)
		change(s, page + at, folio - at, LOCKED);
}

static void write_some_page(struct split *s, size_t page, size_t folio)
{
	size_t at = page + rng_below(&s->rng, (uint32_t)folio);

	if (s->kind[at] != PLAIN)
		return;
	lazyfree_write(&s->l, at, &s->rng);
	s->written++;
}

static void cut_and_write(struct split *s, size_t folio)
{
	enum cut how = (enum cut)rng_below(&s->rng, CUTS);
	size_t page;

	for (page = 0; page < s->l.pages; page += folio) {
		cut(s, page, folio, how);
		how = (how + 1) % CUTS;
		if (rng_below(&s->rng, 2))
			write_some_page(s, page, folio);
	}
	if (!lru_make_idle())
		bail("no /proc/self/clear_refs: %s", strerror(errno));
}

/*
 * read(2) writes to the page with the protection that its PTE has, and returns EFAULT if it
 * is read-only.
 */
static void check_read_only(struct split *s, size_t page)
{
	s->read_only++;
	if (read(s->pipe[0], lazyfree_at(&s->l, page), 1) < 0 && errno == EFAULT)
		return;
	evidence("page %zu was made read-only, but is writable after reclaim", page);
	lazyfree_mark_bad(&s->l, page);
}

static void verify(struct split *s, const char *when)
{
	size_t page;

	for (page = 0; page < s->l.pages && s->l.bad < BAD_PAGES_MAX; page++) {
		if (s->kind[page] == GONE)
			continue;
		if (s->kind[page] == READ_ONLY)
			check_read_only(s, page);
		lazyfree_verify_page(&s->l, page, when);
		s->old += s->l.page[page].rest == REST_OLD;
		s->zero += s->l.page[page].rest == REST_ZERO;
		if (s->kind[page] != LOCKED || s->l.page[page].rest != REST_ZERO)
			continue;
		evidence("page %zu was locked, but was dropped: it is zero (%s)", page, when);
		lazyfree_mark_bad(&s->l, page);
	}
}

static void one_round(struct split *s, unsigned int size_kb)
{
	size_t bytes = size_kb == LARGE_KB ? ROUND_BYTES : LARGE_BYTES;

	memset(s->kind, 0, ROUND_BYTES / page_size() * sizeof(*s->kind));
	refill_whole(&s->l, bytes, size_kb);
	lazyfree_madv_free(&s->l);
	cut_and_write(s, folio_pages(size_kb));
	memcg_reclaim_file(bytes);
	verify(s, "after memory.reclaim of files");
	if (s->l.bad)
		return;
	memcg_reclaim(bytes / 2);
	verify(s, "after memory.reclaim");
}

enum outcome vma_split(const struct guest_args *args)
{
	static struct split s;
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t sizes = sizes_large(LARGE_KB, sizes_kb);
	uint64_t round;

	if (!sizes)
		return skip_no_large_folios();
	if (pipe(s.pipe) || write(s.pipe[1], "rig", 3) != 3)
		bail("pipe: %s", strerror(errno));
	swap_require(2 * ROUND_BYTES);
	s.rng = rng_fork(args->seed, 0);
	lazyfree_init(&s.l, ROUND_BYTES, args->seed);
	s.kind = locked_alloc(ROUND_BYTES / page_size() * sizeof(*s.kind));
	for (round = 0; round < args->iterations && !s.l.bad; round++) {
		lru_gen_set(round / 2 % 2);
		one_round(&s, sizes_kb[round % sizes]);
	}
	counter("folios_part_unmapped", s.cuts[UNMAP_HEAD] + s.cuts[UNMAP_MIDDLE]);
	counter("folios_part_read_only", s.cuts[READ_ONLY_TAIL]);
	counter("folios_part_locked", s.cuts[LOCK_HEAD] + s.cuts[LOCK_TAIL]);
	counter("pages_locked", s.locked);
	counter("pages_still_read_only", s.read_only);
	counter("pages_written", s.written);
	counter("pages_zero", s.zero);
	counter("pages_old", s.old);
	return lazyfree_report(&s.l);
}
