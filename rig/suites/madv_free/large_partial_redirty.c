// SPDX-License-Identifier: GPL-2.0-only
/*
 * large_partial_redirty: after MADV_FREE of a large folio, one written word keeps the whole
 * folio.
 *
 * The rule: a folio is dirty as a whole. When reclaim unmaps a lazyfree folio and finds a
 * dirty page, it restores that page's PTE, makes the folio swapbacked and stops. Pages that
 * are not unmapped yet stay mapped (mm/rmap.c: try_to_unmap_one()). A PMD is dirty or clean
 * as a whole (mm/huge_memory.c: __discard_anon_folio_pmd_locked(), and every PTE inherits
 * the dirty bit when the PMD is split). Since v6.16 the PTEs of a folio are cleared in one
 * batch and restored in one (set_ptes()), so all of the folio's data survives. Before that,
 * the pages in front of the first dirty one may already be zero; these are counted.
 *
 * A round fills a region with folios of one size, calls MADV_FREE, writes one word of every
 * second folio (in its first page or in a random one), reclaims with MADV_PAGEOUT or
 * through the file LRU, and then reclaims once more, into swap.
 */
#include "madv_free.h"
#include "sizes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define NOT_WRITTEN	SIZE_MAX
#define FOLIOS_MAX	(ROUND_BYTES / page_size() / 2)	/* no large folio is below two pages */

struct partial {
	struct lazyfree l;
	struct rng rng;
	unsigned int size_kb;
	size_t *written;		/* the written page of each folio */
	bool whole;
	uint64_t folios_written, folios_left, folios_small;
	uint64_t pages_kept, pages_front_zero, pages_left_zero;
};

static void write_every_second(struct partial *p)
{
	size_t folio = folio_pages(p->size_kb), count = p->l.pages / folio, i;
	size_t turn = rng_below(&p->rng, 2);

	for (i = 0; i < count; i++) {
		p->written[i] = NOT_WRITTEN;
		p->folios_small += !p->whole;
		if (i % 2 == turn) {
			p->folios_left++;
			continue;
		}
		p->written[i] = rng_below(&p->rng, 2) ? rng_below(&p->rng, (uint32_t)folio) : 0;
		lazyfree_write(&p->l, i * folio + p->written[i], &p->rng);
		p->folios_written++;
	}
}

/* The first page of a written folio that must be kept. */
static size_t first_kept(const struct partial *p, size_t i)
{
	return (size_t)p->size_kb << 10 == pmd_size() || kernel_batches() ? 0 : p->written[i];
}

static void check_folio(struct partial *p, size_t i, const char *when)
{
	size_t folio = folio_pages(p->size_kb), k;

	for (k = 0; k < folio; k++) {
		size_t page = i * folio + k;
		enum rest rest = p->l.page[page].rest;

		if (rest == REST_OLD) {
			p->pages_kept++;
		} else if (rest == REST_ZERO && k < first_kept(p, i)) {
			p->pages_front_zero++;
		} else if (rest == REST_ZERO) {
			evidence("page %zu of a folio of %u kB is zero, but page %zu was written "
				 "after MADV_FREE (%s)", k, p->size_kb, p->written[i], when);
			lazyfree_mark_bad(&p->l, page);
		}
	}
}

static void check(struct partial *p, const char *when)
{
	size_t folio = folio_pages(p->size_kb), count = p->l.pages / folio, i, k;

	lazyfree_verify(&p->l, when);
	for (i = 0; i < count; i++) {
		if (p->written[i] != NOT_WRITTEN && p->whole && p->l.bad < BAD_PAGES_MAX)
			check_folio(p, i, when);
		for (k = 0; k < folio && p->written[i] == NOT_WRITTEN; k++)
			p->pages_left_zero += p->l.page[i * folio + k].rest == REST_ZERO;
	}
}

static void one_round(struct partial *p, bool pageout)
{
	p->whole = refill_whole(&p->l, ROUND_BYTES, p->size_kb);
	lazyfree_madv_free(&p->l);
	write_every_second(p);
	if (!lru_make_idle())
		bail("no /proc/self/clear_refs: %s", strerror(errno));
	if (pageout)
		region_pageout(p->l.region, ROUND_BYTES);
	else
		memcg_reclaim_file(ROUND_BYTES / 2);
	check(p, pageout ? "after MADV_PAGEOUT" : "after memory.reclaim");
	if (p->l.bad)
		return;
	region_pageout(p->l.region, ROUND_BYTES);
	check(p, "after a second reclaim");
}

static enum outcome report(const struct partial *p)
{
	counter("folios_written", p->folios_written);
	counter("folios_left", p->folios_left);
	counter("folios_smaller", p->folios_small);
	counter("pages_kept", p->pages_kept);
	counter("pages_in_front_zero", p->pages_front_zero);
	counter("pages_left_zero", p->pages_left_zero);
	return lazyfree_report(&p->l);
}

enum outcome large_partial_redirty(const struct guest_args *args)
{
	static struct partial p;
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t sizes = sizes_large(LARGE_KB, sizes_kb);
	uint64_t round;

	if (!sizes)
		return skip_no_large_folios();
	swap_require(2 * ROUND_BYTES);
	p.rng = rng_fork(args->seed, 0);
	lazyfree_init(&p.l, ROUND_BYTES, args->seed);
	p.written = locked_alloc(FOLIOS_MAX * sizeof(*p.written));
	for (round = 0; round < args->iterations && !p.l.bad; round++) {
		/* The PMD size first, because it has a code path of its own. */
		p.size_kb = sizes_kb[sizes - 1 - round % sizes];
		lru_gen_set(round / 2 % 2);
		one_round(&p, (round + round / sizes) % 2);
	}
	return report(&p);
}
