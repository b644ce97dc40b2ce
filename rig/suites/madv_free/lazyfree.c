// SPDX-License-Identifier: GPL-2.0-only
#include "lazyfree.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t *page_words(const struct lazyfree *l, size_t page)
{
	return (uint64_t *)(l->region + page * page_size());
}

static uint64_t page_key(const struct lazyfree *l, size_t page)
{
	return pattern_key(l->seed, l->generation, page);
}

void lazyfree_init(struct lazyfree *l, size_t bytes_max, uint64_t seed)
{
	pin_self(0);
	lock_present();
	memcg_enter();
	l->bytes_max = bytes_max;
	l->seed = seed;
	l->page = locked_alloc(bytes_max / page_size() * sizeof(*l->page));
	l->region = region_map(bytes_max, bytes_max);
	l->deltas[0].name = "pglazyfreed";
	l->deltas[1].name = "pswpout";
	vmstat_start(l->deltas, 2);
}

void lazyfree_refill(struct lazyfree *l, size_t bytes, unsigned int size_kb)
{
	size_t page;

	l->generation++;
	l->pages = bytes / page_size();
	/*
	 * Not MADV_DONTNEED, which leaves the page tables: then a folio cannot be mapped by
	 * a PMD.
	 */
	if (mmap(l->region, l->bytes_max, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		bail("cannot map %zu KiB: %s", l->bytes_max >> 10, strerror(errno));
	thp_choose(l->region, l->bytes_max, size_kb);
	for (page = 0; page < l->pages; page++)
		pattern_fill(page_words(l, page), page_size(), page_key(l, page));
	memset(l->page, 0, l->pages * sizeof(*l->page));
}

void lazyfree_madv_free(struct lazyfree *l)
{
	/*
	 * MADV_FREE only works on pages that are on the LRU, and moves them in batches
	 * itself: drain before and after.
	 */
	lru_drain_local();
	if (!region_advise(l->region, l->pages * page_size(), MADV_FREE))
		bail("no MADV_FREE");
	lru_drain_local();
}

void lazyfree_write(struct lazyfree *l, size_t page, struct rng *rng)
{
	struct lazy_page *p = &l->page[page];

	p->word = (uint16_t)rng_below(rng, (uint32_t)(page_size() / sizeof(uint64_t)));
	/* Neither the old word nor zero. */
	p->value = ~(page_key(l, page) + p->word * GOLDEN_RATIO);
	p->value += !p->value;
	*(volatile uint64_t *)(page_words(l, page) + p->word) = p->value;
	p->written = true;
}

struct word_counts {
	size_t old;
	size_t zero;
	size_t foreign;
	size_t foreign_word;
	size_t zero_word;
};

static struct word_counts count_words(const struct lazyfree *l, size_t page)
{
	const volatile uint64_t *words = page_words(l, page);
	size_t i, count = page_size() / sizeof(*words);
	uint64_t key = page_key(l, page), word;
	struct word_counts counts = { };

	for (i = 0; i < count; i++, key += GOLDEN_RATIO) {
		if (l->page[page].written && i == l->page[page].word)
			continue;
		word = words[i];
		if (word == key) {
			counts.old++;
		} else if (!word) {
			counts.zero++;
			counts.zero_word = i;
		} else {
			counts.foreign++;
			counts.foreign_word = i;
		}
	}
	return counts;
}

static enum rest classify(const struct lazyfree *l, size_t page, const char *when)
{
	const struct lazy_page *p = &l->page[page];
	struct word_counts counts = count_words(l, page);
	const char *what = p->written ? "written after MADV_FREE" : "lazyfree";

	if (counts.foreign) {
		evidence("page %zu, %s: %zu foreign words, word %zu read back 0x%" PRIx64 " (%s)",
			 page, what, counts.foreign, counts.foreign_word,
			 page_words(l, page)[counts.foreign_word], when);
		return REST_BAD;
	}
	if (counts.old && counts.zero) {
		evidence("page %zu, %s: %zu words old, %zu zero, of which word %zu (%s)",
			 page, what, counts.old, counts.zero, counts.zero_word, when);
		return REST_BAD;
	}
	return counts.old ? REST_OLD : REST_ZERO;
}

static bool rest_may_become(const struct lazy_page *p, enum rest now)
{
	if (p->rest == REST_UNSEEN || p->rest == now)
		return true;
	return p->rest == REST_OLD && now == REST_ZERO && !p->written;
}

static bool page_ok(struct lazyfree *l, size_t page, const char *when)
{
	struct lazy_page *p = &l->page[page];
	uint64_t read = p->written ? *(volatile uint64_t *)(page_words(l, page) + p->word) : 0;
	enum rest before = p->rest, now = classify(l, page, when);
	bool ok = now != REST_BAD;

	if (p->written && read != p->value) {
		evidence("page %zu, word %u: wrote 0x%" PRIx64 " after MADV_FREE, read back 0x%"
			 PRIx64 " (%s)", page, p->word, p->value, read, when);
		ok = false;
	}
	if (ok && !rest_may_become(p, now)) {
		evidence("page %zu, %s: was all %s, is all %s (%s)", page,
			 p->written ? "written after MADV_FREE" : "lazyfree",
			 before == REST_OLD ? "old" : "zero", now == REST_OLD ? "old" : "zero",
			 when);
		ok = false;
	}
	p->rest = ok ? now : REST_BAD;
	return ok;
}

void lazyfree_verify_page(struct lazyfree *l, size_t page, const char *when)
{
	l->verified++;
	/* A page that was wrong has been reported already. */
	if (l->page[page].rest != REST_BAD)
		l->bad += !page_ok(l, page, when);
}

void lazyfree_verify(struct lazyfree *l, const char *when)
{
	size_t page;

	for (page = 0; page < l->pages && l->bad < BAD_PAGES_MAX; page++)
		lazyfree_verify_page(l, page, when);
}

void lazyfree_mark_bad(struct lazyfree *l, size_t page)
{
	l->bad += l->page[page].rest != REST_BAD;
	l->page[page].rest = REST_BAD;
}

enum outcome lazyfree_report(const struct lazyfree *l)
{
	counter("pages_verified", l->verified);
	counter("pglazyfreed", vmstat_since(l->deltas, 2, "pglazyfreed"));
	counter("pswpout", vmstat_since(l->deltas, 2, "pswpout"));
	counter("pages_bad", l->bad);
	return l->bad ? NOT_OK : OK;
}
