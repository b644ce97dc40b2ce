// SPDX-License-Identifier: GPL-2.0-only
/*
 * shared_file_lost_write: a store through a MAP_SHARED mapping of an ext4 file is on the
 * disk after the next fsync().
 *
 * Two rules, both about a store that causes neither a fault nor a dirty PTE:
 *
 * - When writeback cleans a page, its PTEs become clean and read-only, and no CPU keeps a
 *   writable TLB entry. So the next store faults and makes the page dirty again
 *   (page_vma_mkclean_one(), called by folio_clear_dirty_for_io()). commit d08b3851da41
 *   ("[PATCH] mm: tracking shared dirty pages") (in v2.6.19).
 * - Reclaim unmaps dirty pages, which it keeps, and clean ones, which it frees. In both
 *   cases no CPU may have a TLB entry for the page in the end (try_to_unmap_flush() in
 *   shrink_folio_list()). Otherwise writeback would find no PTE to clean and would miss
 *   later stores, and a CPU could read memory that is used for something else. commit
 *   72b252aed506 ("mm: send one IPI per CPU to TLB flush all entries after unmapping
 *   pages") (in v4.3).
 *
 * One round:
 *
 * 1. The writers make whole passes over another window: its pages are dirty, on the LRU,
 *    and in the TLBs.
 * 2. In every other round reclaim takes the window while they write.
 * 3. Writeback of the window while they write: msync, fdatasync, sync_file_range or sync.
 * 4. A whole pass. From here until the next round the writers only read.
 * 5. fdatasync. Then every word of the window, read with O_DIRECT, must be as expected. A
 *    store that the kernel did not notice is in memory and not on the disk.
 * 6. Reclaim takes the window while they read it. It is clean, so it is freed. CPU 0 fills
 *    the same amount of memory with another pattern, which no writer may ever read.
 *
 * At the end the page cache is dropped, and the whole file is read both ways.
 *
 * Step 4 is needed before step 5. Reclaim unlocks a dirty page before it flushes what it
 * has unmapped. Writeback may clean the page in between, and a store may follow through a
 * TLB entry that is not flushed yet. The next store to this page faults, and then the
 * earlier store is noticed too. The case only requires that every flush was done in the
 * end.
 */
#include "stale_tlb.h"
#include "writers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_PAGES	32

#define LRU_PHASES	2

struct shared_file {
	struct writers *w;
	int fd;
	int direct;			/* the same file, O_DIRECT */
	char *copy;			/* a window as read from the disk */
	char *other;			/* memory that may get the freed pages */
	uint64_t writebacks[4];
	uint64_t words_on_disk;
};

static size_t window_bytes(const struct shared_file *s)
{
	return s->w->window_pages * page_size();
}

static char *window_start(const struct shared_file *s)
{
	return s->w->region + atomic_load(&s->w->window) * page_size();
}

/* Write back in one of four ways. Each of them waits for the disk. */
static void write_back(struct shared_file *s, unsigned int way)
{
	const unsigned int range = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				   SYNC_FILE_RANGE_WAIT_AFTER;
	int error = 0;

	atomic_store(&s->w->reclaiming, true);
	switch (way) {
	case 0:
		error = msync(window_start(s), window_bytes(s), MS_SYNC);
		break;
	case 1:
		error = fdatasync(s->fd);
		break;
	case 2:
		error = sync_file_range(s->fd, window_start(s) - s->w->region,
					(off_t)window_bytes(s), range);
		break;
	default:
		sync();
	}
	atomic_store(&s->w->reclaiming, false);
	if (error)
		bail("writeback: %s", strerror(errno));
	s->writebacks[way]++;
}

/* The writers only read now: the disk must hold what they have written. */
static void check_disk(struct shared_file *s, unsigned int first)
{
	if (fdatasync(s->fd))
		bail("fdatasync: %s", strerror(errno));
	if (pread(s->direct, s->copy, window_bytes(s), (off_t)(first * page_size())) !=
	    (ssize_t)window_bytes(s))
		bail("O_DIRECT: %s", strerror(errno));
	s->words_on_disk += writers_verify_copy(s->w, first, s->w->window_pages, s->copy,
						"the disk");
}

static void free_clean_pages(struct shared_file *s, uint64_t round, bool pageout)
{
	unsigned int page;

	/*
	 * The busy CPU reads on until the pages have their next owner. After a rest it would
	 * have no stale entries.
	 */
	atomic_store(&s->w->no_rest, true);
	writers_reclaim(s->w, atomic_load(&s->w->window), window_bytes(s), pageout);
	/* The kernel gives this CPU first what it has freed last. */
	for (page = 0; page < s->w->window_pages; page++)
		pattern_fill(s->other + page * page_size(), page_size(),
			     pattern_key(s->w->seed, round, page));
	writers_wait(s->w);
	atomic_store(&s->w->no_rest, false);
	region_advise(s->other, window_bytes(s), MADV_DONTNEED);
}

static void set_mode(struct shared_file *s, enum writers_mode mode)
{
	writers_set(s->w, mode);
	writers_wait(s->w);
}

static void one_round(void *arg, uint64_t round)
{
	struct shared_file *s = arg;
	struct writers *w = s->w;

	atomic_store(&w->window, rng_below(&w->rng, w->pages / w->window_pages) * w->window_pages);
	writers_choose_busy_cpu(w);
	/*
	 * With WRITE_OWN, each page has only one writer. With WRITE_ALWAYS, a CPU that
	 * switches to another process for a moment has no stale entries afterwards, and its
	 * next store faults and makes the page dirty for all its writers: that hides a
	 * missed store.
	 */
	set_mode(s, round % 2 ? WRITE_ALWAYS : WRITE_OWN);
	if (round % 2)
		/* Not memory.reclaim: it is made to wait when it finds only dirty pages. */
		writers_reclaim(w, atomic_load(&w->window), window_bytes(s), true);
	write_back(s, round / 2 % 4);
	writers_wait(w);
	set_mode(s, READ_ONLY);
	check_disk(s, atomic_load(&w->window));
	if (!atomic_load(&w->lost))
		free_clean_pages(s, round, round / 2 % 2);
}

static char *map_file(struct shared_file *s, char *where)
{
	char *start = mmap(where, s->w->pages * page_size(), PROT_READ | PROT_WRITE,
			   MAP_SHARED | (where ? MAP_FIXED : 0), s->fd, 0);

	if (start == MAP_FAILED)
		bail("cannot map a file: %s", strerror(errno));
	return start;
}

static void prepare(struct shared_file *s)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/shared_file_lost_write.%d", data_dir(), getpid());
	s->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	s->direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (s->fd < 0 || s->direct < 0 || unlink(path) ||
	    posix_fallocate(s->fd, 0, (off_t)(s->w->pages * page_size())))
		bail("no file on the data disk: %s", strerror(errno));
	s->copy = locked_alloc(window_bytes(s));
	lock_present();
	memcg_enter();
	s->other = region_map(window_bytes(s), page_size());
	thp_choose(s->other, window_bytes(s), 0);
	s->w->region = map_file(s, NULL);
}

/* Drop the file from memory, then check all of it, on the disk and mapped. */
static uint64_t verify_all(struct shared_file *s)
{
	unsigned int first;

	if (fsync(s->fd))
		bail("fsync: %s", strerror(errno));
	region_unmap(s->w->region, s->w->pages * page_size());
	if (!write_file("/proc/sys/vm/drop_caches", "3"))
		bail("no drop_caches: %s", strerror(errno));
	for (first = 0; first < s->w->pages; first += s->w->window_pages)
		check_disk(s, first);
	s->w->region = map_file(s, s->w->region);
	return writers_verify(s->w);
}

enum outcome shared_file_lost_write(const struct guest_args *args)
{
	static struct writers w = { .window_pages = WINDOW_PAGES };
	struct shared_file s = { .w = &w };
	struct vmstat_delta deltas[] = {
		{ .name = "nr_vmscan_immediate_reclaim" }, { .name = "workingset_refault_file" },
		{ .name = "nr_written" },
	};
	size_t count = sizeof(deltas) / sizeof(*deltas);
	uint64_t words = 0;

	if (!writers_init(&w, args))
		return SKIPPED;
	pin_self(0);
	prepare(&s);
	vmstat_start(deltas, count);
	writers_start(&w);
	writers_run_rounds(&w, args->iterations, LRU_PHASES, one_round, &s);
	writers_join(&w);
	if (!atomic_load(&w.lost))
		words = verify_all(&s);
	writers_report_rounds(&w);
	counter("writebacks_msync", s.writebacks[0]);
	counter("writebacks_fdatasync", s.writebacks[1]);
	counter("writebacks_range", s.writebacks[2]);
	counter("writebacks_sync", s.writebacks[3]);
	counter("pages_written", vmstat_since(deltas, count, "nr_written"));
	counter("dirty_unmapped", vmstat_since(deltas, count, "nr_vmscan_immediate_reclaim"));
	counter("clean_freed", vmstat_since(deltas, count, "workingset_refault_file"));
	counter("words_on_disk", s.words_on_disk);
	counter("words_verified", words);
	writers_report(&w);
	return atomic_load(&w.lost) ? NOT_OK : OK;
}
