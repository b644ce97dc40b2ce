// SPDX-License-Identifier: GPL-2.0-only
/*
 * straddle_page_table: a lazyfree folio whose PTEs lie in two page tables is unmapped from
 * both, and nothing else is.
 *
 * The rule: code that walks PTEs stops at the end of their page table.
 * page_vma_mapped_walk() continues in the next table; a batch of PTEs ends there
 * (folio_unmap_pte_batch() in mm/rmap.c: pmd_addr_end()). In v6.15 a batch could be as long
 * as the folio. It read past the end of the table, and if the page behind it in memory
 * looked like matching PTEs, it cleared them; commit ddd05742b45b ("mm/rmap: fix potential
 * out-of-bounds page table access during batched unmap") (in v6.16). The thread that led to
 * this fix ("[PATCH v4 3/4] mm: Support batched unmap for lazyfree large folios during
 * reclamation", June 2025) says "I challenge you to write a reproducer". This is one.
 *
 * Each folio gets MADV_FREE where it was allocated. Then mremap() moves it, at any
 * alignment, so that it crosses a boundary of page tables. Reclaim finds it on the LRU;
 * MADV_PAGEOUT would split it.
 *
 * An overrun must be seen, so the page behind the table should be ours and should look like
 * matching PTEs. Page tables and pipe buffers come from the same free lists. So one page of
 * a pipe is filled just before and one just after the table is allocated, with the PTEs
 * that would come next in the table. These pages are the decoys: code that takes them for
 * PTEs clears them, and the pipe shows it. The pages before and behind the folio must not
 * change either.
 */
#include "madv_free.h"
#include "fake_pte.h"
#include "place.h"
#include "sizes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LANES		8U
#define TABLES		2
#define DECOYS_PER_PIPE	2
#define LARGEST_KB	folio_kb(FOLIO_LARGE / 2)
#define REDIRTIED	(~0ULL)		/* XORed into a page's key when it is written again */

struct lane {
	char *space;		/* what TABLES page tables map */
	char *folio;		/* where it is now */
	size_t redirtied;	/* page, or SIZE_MAX */
	int pipe[2];		/* holds the decoys */
};

struct straddle {
	struct lane lane[LANES];
	struct rng rng;
	uint64_t *fake_ptes;		/* a page: what a decoy holds */
	uint64_t *read_back;		/* a page: what was read from the pipe */
	uint64_t seed, round;
	size_t pages;			/* of a folio */
	size_t head;			/* pages of the folio in the first table */
	uint64_t moved, whole, dropped, kept, redirtied, decoys_checked, neighbours, bad;
};

static uint64_t page_key(const struct straddle *s, unsigned int lane, size_t page)
{
	return pattern_key(s->seed + lane, s->round, page);
}

static char *boundary(const struct lane *l)
{
	return l->space + pmd_size();
}

/* The page before the folio, and the one behind it. */
static char *neighbour(const struct straddle *s, const struct lane *l, bool behind)
{
	return boundary(l) + (behind ? (s->pages - s->head) * page_size()
				     : -(s->head + 1) * page_size());
}

static void write_decoy(struct straddle *s, struct lane *l)
{
	if (write(l->pipe[1], s->fake_ptes, page_size()) != (ssize_t)page_size())
		bail("cannot write to a pipe: %s", strerror(errno));
}

static void fill(struct straddle *s, unsigned int lane, char *start)
{
	size_t page;

	for (page = 0; page < s->pages; page++)
		pattern_fill(start + page * page_size(), page_size(), page_key(s, lane, page));
}

/*
 * True when the pages are one folio: then make_fake_ptes() knows the PTEs that would come
 * next.
 */
static bool is_contiguous(const struct straddle *s, const char *start)
{
	uint64_t first = place_of(start).pfn;
	size_t page;

	for (page = 1; page < s->pages; page++)
		if (!first || place_of(start + page * page_size()).pfn != first + page)
			return false;
	return true;
}

static void make_fake_ptes(struct straddle *s, const char *start)
{
	uint64_t pfn = place_of(start + s->head * page_size()).pfn;
	size_t i;

	memset(s->fake_ptes, 0, page_size());
	for (i = 0; i < s->pages - s->head; i++)
		s->fake_ptes[i] = fake_pte(pfn + i);
}

static void move_folio(struct straddle *s, unsigned int lane, char *start)
{
	struct lane *l = &s->lane[lane];
	size_t size = s->pages * page_size();

	s->whole += is_contiguous(s, start);
	make_fake_ptes(s, start);
	write_decoy(s, l);
	pattern_fill(neighbour(s, l, false), page_size(), page_key(s, lane, s->pages));
	write_decoy(s, l);
	pattern_fill(neighbour(s, l, true), page_size(), page_key(s, lane, s->pages + 1));
	l->folio = boundary(l) - s->head * page_size();
	if (mremap(start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, l->folio) != l->folio)
		bail("mremap: %s", strerror(errno));
	s->moved++;
	l->redirtied = SIZE_MAX;
	if (lane % 4 != 3)
		return;
	l->redirtied = rng_below(&s->rng, (uint32_t)s->pages);
	pattern_fill(l->folio + l->redirtied * page_size(), page_size(),
		     page_key(s, lane, l->redirtied) ^ REDIRTIED);
	s->redirtied++;
}

static void check_decoys(struct straddle *s, struct lane *l)
{
	unsigned int k;
	size_t i;

	for (k = 0; k < DECOYS_PER_PIPE; k++) {
		if (read(l->pipe[0], s->read_back, page_size()) != (ssize_t)page_size())
			bail("cannot read a pipe: %s", strerror(errno));
		s->decoys_checked++;
		if (!k)
			memcpy(s->fake_ptes, s->read_back, page_size());
		for (i = 0; i < page_size() / sizeof(*s->read_back); i++) {
			uint64_t expected = i < s->pages - s->head ?
					    s->fake_ptes[0] + i * FAKE_PTE_STEP : 0;

			if (s->read_back[i] == expected && s->read_back[i] == s->fake_ptes[i])
				continue;
			evidence("a page in a pipe, made beside the page table of a folio of %zu "
				 "pages: word %zu reads back 0x%" PRIx64, s->pages, i,
				 s->read_back[i]);
			s->bad++;
			break;
		}
	}
}

static void check_page(struct straddle *s, const char *start, uint64_t key, const char *what,
		       bool may_be_zero)
{
	struct pattern_fault fault;

	if (!pattern_first_fault(start, page_size(), key, &fault)) {
		s->kept += may_be_zero;
		return;
	}
	if (may_be_zero && page_is_zero(start, page_size())) {
		s->dropped++;
		return;
	}
	evidence("%s of a folio of %zu pages across two page tables, %zu in the first: wrote 0x%"
		 PRIx64 " to offset %zu, read back 0x%" PRIx64, what, s->pages, s->head,
		 fault.wrote, fault.offset, fault.read);
	s->bad++;
}

static void check(struct straddle *s, unsigned int lane)
{
	struct lane *l = &s->lane[lane];
	size_t page;

	check_page(s, neighbour(s, l, false), page_key(s, lane, s->pages), "the page before", false);
	check_page(s, neighbour(s, l, true), page_key(s, lane, s->pages + 1), "the page behind",
		   false);
	s->neighbours += 2;
	for (page = 0; page < s->pages && s->bad < BAD_PAGES_MAX; page++) {
		uint64_t key = page_key(s, lane, page);
		bool written = page == l->redirtied;

		check_page(s, l->folio + page * page_size(), written ? key ^ REDIRTIED : key,
			   written ? "a page written since" : "a page", !written);
	}
}

static void one_round(struct straddle *s, unsigned int size_kb)
{
	size_t bytes = (size_t)size_kb << 10;
	char *start = region_map(LANES * bytes, bytes);
	unsigned int k;

	s->round++;
	s->pages = folio_pages(size_kb);
	s->head = 1 + rng_below(&s->rng, (uint32_t)s->pages - 1);
	thp_choose(start, LANES * bytes, size_kb);
	for (k = 0; k < LANES; k++)
		fill(s, k, start + k * bytes);
	lru_drain_local();
	if (!region_advise(start, LANES * bytes, MADV_FREE))
		bail("no MADV_FREE");
	for (k = 0; k < LANES; k++) {
		/* New page tables, so that they are allocated next to the decoys. */
		s->lane[k].space = region_map(TABLES * pmd_size(), pmd_size());
		thp_choose(s->lane[k].space, TABLES * pmd_size(), 0);
		move_folio(s, k, start + k * bytes);
	}
	memcg_reclaim_file(LANES * bytes);
	for (k = 0; k < LANES; k++)
		check_decoys(s, &s->lane[k]);
	for (k = 0; k < LANES && !s->bad; k++)
		check(s, k);
	for (k = 0; k < LANES && !s->bad; k++)
		region_unmap(s->lane[k].space, TABLES * pmd_size());
	if (!s->bad)
		region_unmap(start, LANES * bytes);
}

static void report(const struct straddle *s, struct vmstat_delta *deltas, size_t count)
{
	counter("folios_moved", s->moved);
	counter("folios_whole", s->whole);
	counter("folios_redirtied", s->redirtied);
	counter("pages_dropped", s->dropped);
	counter("pages_kept", s->kept);
	counter("decoys_read_back", s->decoys_checked);
	counter("neighbours_verified", s->neighbours);
	counter("pglazyfreed", vmstat_since(deltas, count, "pglazyfreed"));
	counter("pages_bad", s->bad);
}

enum outcome straddle_page_table(const struct guest_args *args)
{
	static struct straddle s;
	struct vmstat_delta deltas[] = { { .name = "pglazyfreed" } };
	unsigned int k, sizes_kb[THP_SIZES_MAX];
	size_t sizes = sizes_large(LARGEST_KB, sizes_kb);
	uint64_t round;

	if (!sizes)
		return skip("this kernel has no large anonymous folios below the PMD's");
	s.seed = args->seed;
	s.rng = rng_fork(args->seed, 0);
	s.fake_ptes = locked_alloc(page_size());
	s.read_back = locked_alloc(page_size());
	for (k = 0; k < LANES; k++)
		if (pipe(s.lane[k].pipe))
			bail("pipe: %s", strerror(errno));
	pin_self(0);
	lock_present();
	memcg_enter();
	vmstat_start(deltas, 1);
	for (round = 0; round < args->iterations && !s.bad; round++) {
		lru_gen_set(round / sizes % 2);
		one_round(&s, sizes_kb[round % sizes]);
	}
	report(&s, deltas, 1);
	return s.bad ? NOT_OK : OK;
}
