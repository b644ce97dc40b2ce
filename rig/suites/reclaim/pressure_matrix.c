// SPDX-License-Identifier: GPL-2.0-only
/*
 * pressure_matrix: anonymous memory comes back as it was, for every way into reclaim, every
 * LRU and every kind of swap.
 *
 * The rule is that of anon_roundtrip. Each way into reclaim must keep it, because each has
 * its own scan_control and its own context (mm/vmscan.c):
 * - memory.reclaim: user_proactive_reclaim(), which gives up early;
 * - memory.max, set below the usage: try_to_free_mem_cgroup_pages(), and the OOM killer if
 *   16 tries free nothing. So this is used on pages that are idle and are freed at once.
 *   With swap on the disk all of them may be under writeback; there memory.high is used
 *   instead, which calls the same function and does not kill;
 * - MADV_PAGEOUT: reclaim_pages(), which does not check references;
 * - kswapd: balance_pgdat(), in a thread without an mm, woken by the watermarks
 *   (pressure.c).
 *
 * Each on the classic LRU (shrink_inactive_list()) and on the multi-generational one
 * (evict_folios(); commit ac35a4902374 ("mm: multi-gen LRU: minimal implementation") (in
 * v6.1)); and each to zram, which has finished when it returns, and to a disk, where pages
 * are under writeback for some time and are freed after that (folio_rotate_reclaimable()).
 *
 * In each cell of this table a region, half of it small folios and half of it 64 KiB
 * folios, is filled, reclaimed until at least half of it was swapped out, and read back.
 */
#include "reclaim.h"
#include "expected.h"
#include "pressure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REGION_BYTES	(256 * page_size())

/* A cell ends when this much of the region was swapped out, or after this many tries. */
#define ENOUGH		(REGION_BYTES / 2 / page_size())
#define TRIES		16

/*
 * kswapd gets this many milliseconds, with one allocation in each to wake it. Not more: it
 * never finds the node balanced, and stops after 16 runs without success, until pages are
 * freed while the watermarks are low again (kswapd_failures).
 */
#define KSWAPD_TRIES	128

enum method { BY_RECLAIM, BY_MAX, BY_PAGEOUT, BY_KSWAPD, METHODS };

static const char * const method_name[METHODS] = { "reclaim", "max", "pageout", "kswapd" };
static const char * const swap_kind[] = { "zram", "disk" };

#define SWAP_KINDS	(sizeof(swap_kind) / sizeof(*swap_kind))

struct matrix {
	struct expected expected;
	bool asynchronous;	/* swapped-out pages are freed later, after writeback */
	unsigned int cpus;
	unsigned int cpu;
	uint64_t out[SWAP_KINDS][2][METHODS];	/* pages swapped out, by kind, LRU, method */
	uint64_t by_kswapd;
	uint64_t kswapd_waits;
	uint64_t cells;
};

/* Up to 31 folios in this CPU's batches stay charged to the cgroup, mapped or not. */
static void next_cpu(struct matrix *m)
{
	lru_drain_local();
	pin_self(m->cpu++ % m->cpus);
}

static size_t pages_out(const struct matrix *m)
{
	return m->expected.pages -
	       pagemap_count(m->expected.region, m->expected.pages, PAGEMAP_PRESENT);
}

static void by_kswapd(struct matrix *m)
{
	char *page = region_map(KSWAPD_TRIES * page_size(), page_size());
	unsigned int try;

	pressure_bind(page, KSWAPD_TRIES * page_size());
	thp_choose(page, KSWAPD_TRIES * page_size(), 0);
	if (!pressure_on())
		bail("the watermarks cannot be raised: %s", strerror(errno));
	for (try = 0; try < KSWAPD_TRIES && pages_out(m) < ENOUGH; try++) {
		page[try * page_size()] = 1;
		sleep_ns(1000000);
	}
	m->kswapd_waits += try;
	pressure_off();
	region_unmap(page, KSWAPD_TRIES * page_size());
}

static void reclaim_once(struct matrix *m, enum method method)
{
	switch (method) {
	case BY_RECLAIM:
		memcg_reclaim(REGION_BYTES);
		break;
	case BY_MAX:
		if (m->asynchronous) {
			memcg_squeeze(REGION_BYTES / 2);
			break;
		}
		memcg_set_max(REGION_BYTES * 5 / 8);
		memcg_set_max(MEMCG_NO_LIMIT);
		break;
	case BY_PAGEOUT:
		region_pageout(m->expected.region, REGION_BYTES);
		break;
	case BY_KSWAPD:
		by_kswapd(m);
		break;
	default:
		break;
	}
}

static void fill(struct matrix *m)
{
	size_t page;

	next_cpu(m);
	for (page = 0; page < m->expected.pages; page++)
		expected_write(&m->expected, page);
	pressure_prepare();
}

static uint64_t cell(struct matrix *m, enum method method)
{
	uint64_t steals = vmstat("pgsteal_kswapd"), out = 0;
	unsigned int try;

	fill(m);
	for (try = 0; try < TRIES && out < ENOUGH; try++) {
		reclaim_once(m, method);
		out = pages_out(m);
	}
	if (method == BY_KSWAPD)
		m->by_kswapd += vmstat("pgsteal_kswapd") - steals;
	next_cpu(m);
	expected_verify_last(&m->expected, m->expected.pages / 2, FOLIO_SMALL);
	if (!m->expected.bad)
		expected_verify_all(&m->expected);
	m->cells++;
	return out;
}

static void map_region(struct matrix *m)
{
	char *region = region_map(REGION_BYTES, REGION_BYTES);

	pressure_bind(region, REGION_BYTES);
	thp_choose(region, REGION_BYTES / 2, 0);
	thp_choose(region + REGION_BYTES / 2, REGION_BYTES / 2,
		   folio_kb(FOLIO_SMALL));
	expected_reset(&m->expected, "region", region, REGION_BYTES);
}

static void report(const struct matrix *m)
{
	unsigned int kind, lru, method;
	char name[48];

	for (kind = 0; kind < SWAP_KINDS; kind++)
		for (lru = 0; lru < 2; lru++)
			for (method = 0; method < METHODS; method++) {
				snprintf(name, sizeof(name), "%s_%s_%s", swap_kind[kind],
					 lru ? "mglru" : "classic",
					 kind && method == BY_MAX ? "high" : method_name[method]);
				counter(name, m->out[kind][lru][method]);
			}
	counter("cells", m->cells);
	counter("stolen_by_kswapd", m->by_kswapd);
	counter("waits_for_kswapd", m->kswapd_waits);
	expected_report(&m->expected);
}

static void one_lru(struct matrix *m, unsigned int kind, bool mglru)
{
	unsigned int method;

	if (!lru_gen_set(mglru))
		return;
	for (method = 0; method < METHODS && !m->expected.bad; method++) {
		/*
		 * A new region for each cell, because swap-in does not bring back large
		 * folios.
		 */
		map_region(m);
		m->out[kind][mglru][method] += cell(m, method);
		region_unmap(m->expected.region, REGION_BYTES);
	}
}

enum outcome pressure_matrix(const struct guest_args *args)
{
	static struct matrix m;
	unsigned int kind;
	uint64_t round;

	m.cpus = args->cpus;
	swap_require(2 * REGION_BYTES);
	expected_init(&m.expected, "region", NULL, REGION_BYTES, args->seed);
	lock_present();
	memcg_enter();
	for (round = 0; round < args->iterations; round++)
		for (kind = 0; kind < SWAP_KINDS && !m.expected.bad; kind++) {
			if (!swap_only(swap_kind[kind]))
				bail("no swap on %s", swap_kind[kind]);
			m.asynchronous = kind > 0;
			one_lru(&m, kind, false);
			one_lru(&m, kind, true);
		}
	report(&m);
	return m.expected.bad ? NOT_OK : OK;
}
