// SPDX-License-Identifier: GPL-2.0-only
/*
 * mlock_stays: a page that is locked in memory is never reclaimed.
 *
 * The rule: mlock(2) promises that the pages stay in RAM until they are unlocked.
 * mlock_folio() (mm/mlock.c) takes a folio off the LRU lists, but only if the whole folio
 * is in the locked range. A folio that is locked in part stays on the lists, so that its
 * other pages can be reclaimed. Only try_to_unmap_one() (mm/rmap.c) keeps its locked pages
 * from being swapped out: it must not unmap from a VM_LOCKED area (commit dc68badcede4
 * ("mm: mlock: update mlock_pte_range to handle large folio") (in v6.7); commit
 * b87537d9e2fe ("mm: rmap use pte lock not mmap_sem to set PageMlocked") (in v4.4)).
 *
 * Regions of three folio sizes, and shared memory, are locked in runs that begin and end
 * inside folios. Each round writes all pages, reclaims with memory.reclaim and with
 * MADV_PAGEOUT of the pages that are not locked, and checks the page table after each. A
 * locked page that is not present was reclaimed, and so was one that causes a major fault
 * when it is read. At the end everything is unlocked and reclaimed, which shows that only
 * the lock kept the pages in memory.
 */
#include "reclaim.h"
#include "expected.h"
#include "pressure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* A folio of FOLIO_LARGE pages is a region of its own. */
#define REGION_BYTES	(256 * page_size())
#define REGION_MAX	(FOLIO_LARGE * page_size())

/* In each run of pages the middle is locked. No large folio is locked as a whole. */
#define RUN_PAGES	16
#define LOCKED_FROM	3
#define LOCKED_TO	11

struct locked {
	struct expected expected;
	size_t bytes;
	uint64_t *entries;
	bool large;
	uint64_t present;
	uint64_t unlocked_out;
	uint64_t out_after_munlock;
	uint64_t locked_out;
	uint64_t large_folios;
	uint64_t unlocked_out_of_large;	/* from large folios that are locked in part */
	uint64_t major_faults;
};

static bool is_locked(size_t page)
{
	return page % RUN_PAGES >= LOCKED_FROM && page % RUN_PAGES < LOCKED_TO;
}

static void check_page_table(struct locked *l, const char *after)
{
	size_t page;

	pagemap_read(l->expected.region, l->expected.pages, l->entries);
	for (page = 0; page < l->expected.pages; page++) {
		bool present = l->entries[page] & PAGEMAP_PRESENT;

		l->present += is_locked(page) && present;
		l->unlocked_out += !is_locked(page) && !present;
		if (!is_locked(page) || present)
			continue;
		evidence("%s, page %zu is locked, and not in memory after %s%s", l->expected.what,
			 page, after, l->entries[page] & PAGEMAP_SWAPPED ? ": it is in swap" : "");
		l->locked_out++;
	}
}

static void read_locked(struct locked *l)
{
	uint64_t before = thread_major_faults();
	size_t page;

	for (page = 0; page < l->expected.pages; page++)
		if (is_locked(page))
			expected_verify(&l->expected, page);
	l->major_faults += thread_major_faults() - before;
}

static void page_out_between(struct locked *l)
{
	size_t run;

	for (run = 0; run < l->expected.pages; run += RUN_PAGES) {
		region_pageout(expected_page(&l->expected, run), LOCKED_FROM * page_size());
		region_pageout(expected_page(&l->expected, run + LOCKED_TO),
			       (RUN_PAGES - LOCKED_TO) * page_size());
	}
}

static void one_round(struct locked *l)
{
	uint64_t before;
	size_t page;

	for (page = 0; page < l->expected.pages; page++)
		expected_write(&l->expected, page);
	pressure_prepare();
	before = l->unlocked_out;
	memcg_reclaim(l->bytes);
	check_page_table(l, "memory.reclaim");
	if (l->large)
		l->unlocked_out_of_large += l->unlocked_out - before;
	read_locked(l);
	expected_verify_all(&l->expected);
	pressure_prepare();
	page_out_between(l);
	check_page_table(l, "MADV_PAGEOUT of its neighbours");
	read_locked(l);
	expected_verify_all(&l->expected);
}

static void lock_runs(const struct locked *l)
{
	size_t run;

	for (run = 0; run < l->expected.pages; run += RUN_PAGES)
		if (mlock(expected_page(&l->expected, run + LOCKED_FROM),
			  (LOCKED_TO - LOCKED_FROM) * page_size()))
			bail("mlock: %s", strerror(errno));
}

static void unlock_all(struct locked *l)
{
	if (munlock(l->expected.region, l->bytes))
		bail("munlock: %s", strerror(errno));
	pressure_prepare();
	region_pageout(l->expected.region, l->bytes);
	memcg_reclaim(l->bytes);
	l->out_after_munlock += l->expected.pages -
		pagemap_count(l->expected.region, l->expected.pages, PAGEMAP_PRESENT);
	expected_verify_all(&l->expected);
}

static bool has_failed(const struct locked *l)
{
	return l->locked_out || l->expected.bad || l->major_faults;
}

static void one_region(struct locked *l, const char *what, char *region, uint64_t rounds)
{
	uint64_t round;
	size_t page;

	expected_reset(&l->expected, what, region, l->bytes);
	/*
	 * Before the runs are locked: each run becomes a VMA that is too small for a large
	 * folio.
	 */
	for (page = 0; page < l->expected.pages; page++)
		expected_write(&l->expected, page);
	lru_drain_local();
	lock_runs(l);
	for (round = 0; round < rounds && !has_failed(l); round++)
		one_round(l);
	if (!has_failed(l))
		unlock_all(l);
	region_unmap(region, l->bytes);
}

static void one_size(struct locked *l, unsigned int size_kb, uint64_t rounds)
{
	size_t bytes = (size_t)size_kb << 10 > REGION_BYTES ? REGION_MAX : REGION_BYTES;
	char what[32], *region = region_map(bytes, bytes);
	uint64_t before = thp_stat(size_kb, "anon_fault_alloc");

	l->bytes = bytes;
	l->large = size_kb;
	snprintf(what, sizeof(what), "region of %u kB folios", shown_kb(size_kb));
	thp_choose(region, bytes, size_kb);
	one_region(l, what, region, rounds);
	if (size_kb)
		l->large_folios += thp_stat(size_kb, "anon_fault_alloc") - before;
}

static void shared_memory(struct locked *l, uint64_t rounds)
{
	char *region = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED)
		bail("no shared memory: %s", strerror(errno));
	l->bytes = REGION_BYTES;
	l->large = false;
	one_region(l, "shared memory", region, rounds);
}

enum outcome mlock_stays(const struct guest_args *args)
{
	const unsigned int sizes_kb[] = { folio_kb(FOLIO_SMALL), 0, folio_kb(FOLIO_LARGE) };
	static struct locked l;
	struct vmstat_delta pswpout = { .name = "pswpout" };
	size_t i;

	swap_require(2 * REGION_MAX);
	expected_init(&l.expected, "region", NULL, REGION_MAX, args->seed);
	l.entries = locked_alloc(REGION_MAX / page_size() * sizeof(*l.entries));
	lock_present();
	memcg_enter();
	pin_self(0);
	vmstat_start(&pswpout, 1);
	for (i = 0; i < sizeof(sizes_kb) / sizeof(*sizes_kb) && !has_failed(&l); i++)
		one_size(&l, sizes_kb[i], args->iterations);
	if (!has_failed(&l))
		shared_memory(&l, args->iterations);
	if (l.major_faults)
		evidence("reading locked pages took %lu major faults",
			 (unsigned long)l.major_faults);
	counter("locked_present", l.present);
	counter("unlocked_gone", l.unlocked_out);
	counter("out_after_munlock", l.out_after_munlock);
	counter("large_folios", l.large_folios);
	counter("unlocked_gone_of_large", l.unlocked_out_of_large);
	counter("pswpout", vmstat_since(&pswpout, 1, "pswpout"));
	counter("locked_gone", l.locked_out);
	counter("major_faults_on_locked", l.major_faults);
	expected_report(&l.expected);
	return has_failed(&l) ? NOT_OK : OK;
}
