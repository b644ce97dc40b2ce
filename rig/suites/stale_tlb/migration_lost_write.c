// SPDX-License-Identifier: GPL-2.0-only
/*
 * migration_lost_write: no write by another CPU is lost while a page migrates to other
 * memory.
 *
 * The rule: a page is copied only after every CPU's TLB entry for it was flushed. A list of
 * folios is unmapped first, with the flushes batched; then one flush covers all of them;
 * then they are copied one by one: mm/migrate.c, migrate_pages_batch(),
 * try_to_unmap_flush() at the label "move". commit 5dfab109d519 ("migrate_pages: batch
 * _unmap and _move") (in v6.3), commit 7e12beb8ca2a ("migrate_pages: batch flushing TLB")
 * (in v6.3). A huge PMD is replaced and flushed by set_pmd_migration_entry()
 * (mm/huge_memory.c).
 *
 * The writers of anon_lost_write write to a window while move_pages(2) moves it to the
 * other of two nodes, or compaction moves it anywhere. With folios of order 0, mTHP, and
 * PMD-mapped THP.
 */
#include "stale_tlb.h"
#include "writers.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REGION_PAGES	(2 * FOLIO_LARGE)
#define REGION_BYTES	(REGION_PAGES * page_size())
#define WALKED_PAGES	128

/* Every fourth round uses compaction, which scans all of the memory. */
#define COMPACTION_EVERY	4

/* Of a folio. */
static const unsigned int pages_wanted[] = { 1, FOLIO_SMALL, FOLIO_LARGE };

struct migration {
	struct writers w;
	unsigned int size_kb;
	uint64_t by_move_pages;
	uint64_t by_compaction;
	uint64_t sizes_used;
	uint64_t words;
	int error;		/* why the pages cannot be migrated any more */
};

static bool move_pages_to(struct writers *w, unsigned int first, unsigned int pages, int node)
{
	static void *address[REGION_PAGES];
	static int nodes[REGION_PAGES], status[REGION_PAGES];
	unsigned int i;

	for (i = 0; i < pages; i++) {
		address[i] = w->region + (first + i) * page_size();
		nodes[i] = node;
	}
	return syscall(SYS_move_pages, 0, (unsigned long)pages, address, nodes, status,
		       MPOL_MF_MOVE) >= 0;
}

/* The node, of two, where the page is not. */
static int other_node(const struct writers *w, unsigned int page)
{
	void *address = w->region + page * page_size();
	int status = 0;

	if (syscall(SYS_move_pages, 0, 1UL, &address, NULL, &status, 0))
		bail("move_pages: %s", strerror(errno));
	return status != 1;
}

/*
 * Flush the region, also if the kernel knows of no pending flush: mprotect() flushes PTEs
 * that lose a permission, and no one needs PROT_EXEC here.
 */
static void flush_region(const struct writers *w)
{
	const int both = PROT_READ | PROT_WRITE;

	if (mprotect(w->region, REGION_BYTES, both | PROT_EXEC) ||
	    mprotect(w->region, REGION_BYTES, both))
		bail("mprotect: %s", strerror(errno));
}

/*
 * Migrate while the writers write. Returns the number of pages moved.
 *
 * An error ends the rounds, not the case: a stale write may have landed in the kernel's own
 * memory, and then the path of compact_memory may be gone. The words are checked first.
 */
static uint64_t migrate(struct migration *m, unsigned int pages, uint64_t round)
{
	struct writers *w = &m->w;
	unsigned int window = atomic_load(&w->window);
	uint64_t before = vmstat("pgmigrate_success");
	bool done;

	atomic_store(&w->reclaiming, true);
	if (round % COMPACTION_EVERY == COMPACTION_EVERY - 1)
		done = write_file("/proc/sys/vm/compact_memory", "1");
	else
		done = move_pages_to(w, window, pages, other_node(w, window));
	m->error = done ? 0 : errno;
	atomic_store(&w->reclaiming, false);
	return vmstat("pgmigrate_success") - before;
}

static void one_round(struct migration *m, uint64_t round)
{
	struct writers *w = &m->w;
	unsigned int windows = w->pages / w->window_pages;
	/* move_pages() moves a whole folio, even if only some of its pages are named. */
	unsigned int pages = m->size_kb ? w->window_pages : writers_gentle_pages(w, round);
	bool compaction = round % COMPACTION_EVERY == COMPACTION_EVERY - 1;

	atomic_store(&w->window, rng_below(&w->rng, windows) * w->window_pages);
	writers_choose_busy_cpu(w);
	writers_wait(w);
	*(compaction ? &m->by_compaction : &m->by_move_pages) += migrate(m, pages, round);
	if (round % 8 >= 6)
		writers_wait(w);
	flush_region(w);
	writers_wait(w);
}

static void one_size(struct migration *m, const struct guest_args *args)
{
	struct writers *w = &m->w;
	uint64_t allocated = thp_stat(m->size_kb, "anon_fault_alloc"), round;

	w->seed = mix64(args->seed + m->size_kb);
	w->window_pages = (unsigned int)(((size_t)m->size_kb << 10) / page_size());
	if (w->window_pages < WALKED_PAGES)
		w->window_pages = WALKED_PAGES;
	w->walked = WALKED_PAGES;
	atomic_store(&w->window, 0);
	w->region = region_map(REGION_BYTES, REGION_BYTES);
	thp_choose(w->region, REGION_BYTES, m->size_kb);
	writers_start(w);
	for (round = 0; round < args->iterations && !atomic_load(&w->lost) && !m->error; round++)
		one_round(m, round);
	writers_join(w);
	if (!atomic_load(&w->lost))
		m->words += writers_verify(w);
	if (m->error && !atomic_load(&w->lost))
		bail("cannot migrate: %s", strerror(m->error));
	m->sizes_used += !m->size_kb || thp_stat(m->size_kb, "anon_fault_alloc") > allocated;
	region_unmap(w->region, REGION_BYTES);
}

static bool offered(unsigned int size_kb)
{
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t sizes = thp_sizes(sizes_kb);

	while (sizes)
		if (sizes_kb[--sizes] == size_kb)
			return true;
	return !size_kb;
}

enum outcome migration_lost_write(const struct guest_args *args)
{
	static struct migration m;
	struct vmstat_delta deltas[] = {
		{ .name = "pgmigrate_success" }, { .name = "pgmigrate_fail" },
		{ .name = "thp_migration_success" },
	};
	const size_t count = sizeof(deltas) / sizeof(*deltas);
	size_t i;

	if (!writers_init(&m.w, args))
		return SKIPPED;
	if (access("/sys/devices/system/node/node1", F_OK))
		return skip("no second NUMA node to migrate to");
	m.w.pages = REGION_PAGES;
	m.w.taken_by = "migration";
	m.w.resident = true;
	pin_self(0);
	lock_present();
	vmstat_start(deltas, count);
	for (i = 0; i < sizeof(pages_wanted) / sizeof(*pages_wanted); i++) {
		m.size_kb = folio_kb(pages_wanted[i]);
		if (offered(m.size_kb) && !atomic_load(&m.w.lost))
			one_size(&m, args);
	}
	thp_report_limits();
	counter("sizes_used", m.sizes_used);
	counter("migrated_by_move_pages", m.by_move_pages);
	counter("migrated_by_compaction", m.by_compaction);
	counter("pgmigrate_success", vmstat_since(deltas, count, "pgmigrate_success"));
	counter("pgmigrate_fail", vmstat_since(deltas, count, "pgmigrate_fail"));
	counter("thp_migration_success", vmstat_since(deltas, count, "thp_migration_success"));
	counter("words_verified", m.words);
	writers_report(&m.w);
	return atomic_load(&m.w.lost) ? NOT_OK : OK;
}
