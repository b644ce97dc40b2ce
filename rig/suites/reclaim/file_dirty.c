// SPDX-License-Identifier: GPL-2.0-only
/*
 * file_dirty: what was written to a file, with write(2) or through a mapping, is on the
 * disk after fsync(2), whatever reclaim and writeback did to its pages before.
 *
 * The rule: a page cache folio with newer content than the disk is dirty; or one of its
 * PTEs is dirty, and marks the folio dirty before the kernel can take it for clean. So
 * writeback write-protects and cleans every PTE before it clears the folio's dirty bit
 * (mm/page-writeback.c: folio_clear_dirty_for_io(), mm/rmap.c: folio_mkclean()); the next
 * store then faults and the file system is told (commit d08b3851da41 ("[PATCH] mm: tracking
 * shared dirty pages") (in v2.6.19)). Reclaim frees no dirty folio, and moves a PTE's dirty
 * bit to the folio when it unmaps (mm/rmap.c: try_to_unmap_one()).
 *
 * One file on the data disk's ext4, mapped shared. A round stores to some pages, writes
 * others with pwrite(2), writes the first part of some and the rest only later, has the
 * file reclaimed with MADV_PAGEOUT or memory.reclaim while another CPU stores to its own
 * pages, and calls fsync(). Then every page is read from the disk with O_DIRECT, first
 * while the file is mapped, at the end without the mapping and with the page cache dropped.
 */
#include "reclaim.h"
#include "expected.h"
#include "pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_BYTES	(512 * page_size())
#define CHUNK_PAGES	16

/*
 * Of this many pages, one belongs to the other CPU; CPU 0 stores to another one after
 * reclaim.
 */
#define CLASSES		8
#define CLASS_OTHER_CPU	0
#define CLASS_AFTER	1

struct dirty_file {
	struct expected expected;	/* what the first CPU has written */
	struct expected other;	/* what the other CPU has written */
	struct rng rng;
	int fd;
	int direct_fd;
	char *copy;
	unsigned int cpus;
	bool *begun;		/* pages of which only the first part is written */
	atomic_bool storing;
	uint64_t stores;
	uint64_t pwrites;
	uint64_t finished_late;
	uint64_t stores_beside_reclaim;
	uint64_t from_disk;
};

static unsigned int class_of(size_t page)
{
	return page % CLASSES;
}

static void write_at(struct dirty_file *f, size_t page, size_t from, size_t to)
{
	off_t offset = (off_t)(page * page_size() + from);

	if (pwrite(f->fd, f->copy + from, to - from, offset) != (ssize_t)(to - from))
		bail("pwrite: %s", strerror(errno));
}

static void write_page(struct dirty_file *f, size_t page)
{
	switch (rng_below(&f->rng, 4)) {
	case 0:
		pattern_fill(f->copy, page_size(), expected_next(&f->expected, page));
		write_at(f, page, 0, page_size());
		f->pwrites++;
		break;
	case 1:
		pattern_fill(f->copy, page_size(), expected_next(&f->expected, page));
		write_at(f, page, 0, page_size() / 4);
		f->begun[page] = true;
		break;
	case 2:
		expected_write(&f->expected, page);
		f->stores++;
		break;
	}
}

/*
 * Write the rest of a page. It may have been written back and reclaimed when only its first
 * part was new.
 */
static void finish_page(struct dirty_file *f, size_t page)
{
	pattern_fill(f->copy, page_size(), f->expected.key[page]);
	if (page & CLASSES)
		write_at(f, page, page_size() / 4, page_size());
	else
		memcpy(expected_page(&f->expected, page) + page_size() / 4, f->copy + page_size() / 4,
		       page_size() - page_size() / 4);
	f->begun[page] = false;
	f->finished_late++;
}

static void write_before(struct dirty_file *f)
{
	size_t page;

	for (page = 0; page < f->expected.pages; page++)
		if (class_of(page) != CLASS_OTHER_CPU)
			write_page(f, page);
}

static void write_after(struct dirty_file *f)
{
	size_t page;

	for (page = 0; page < f->expected.pages; page++) {
		if (f->begun[page])
			finish_page(f, page);
		if (class_of(page) != CLASS_AFTER)
			continue;
		expected_write(&f->expected, page);
		f->stores++;
	}
}

static void *store_on(void *arg)
{
	struct dirty_file *f = arg;
	size_t page;

	for (page = CLASS_OTHER_CPU; page < f->other.pages; page += CLASSES) {
		expected_write(&f->other, page);
		f->stores_beside_reclaim += atomic_load(&f->storing);
	}
	return NULL;
}

/* The second of three rounds does not reclaim: there fsync() alone must write everything. */
static void reclaim_some(struct dirty_file *f, uint64_t round)
{
	if (round % 3 == 1)
		return;
	if (round & 1 && sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE))
		bail("sync_file_range: %s", strerror(errno));
	pressure_prepare();
	if (round % 3)
		region_pageout(f->expected.region, FILE_BYTES);
	else
		memcg_reclaim(FILE_BYTES);
}

static void verify_on_disk(struct dirty_file *f, int fd, const char *how)
{
	size_t page, i, bytes = CHUNK_PAGES * page_size();

	for (page = 0; page < f->expected.pages && !expected_many_bad(&f->expected);
	     page += CHUNK_PAGES) {
		if (pread(fd, f->copy, bytes, (off_t)(page * page_size())) != (ssize_t)bytes)
			bail("pread %s: %s", how, strerror(errno));
		for (i = 0; i < CHUNK_PAGES; i++)
			expected_verify_copy(class_of(page + i) == CLASS_OTHER_CPU ?
					     &f->other : &f->expected, page + i,
					     f->copy + i * page_size(), how);
		f->from_disk += CHUNK_PAGES;
	}
}

static void one_round(struct dirty_file *f, uint64_t round)
{
	unsigned int last = f->cpus - 1;
	pthread_t thread;

	write_before(f);
	atomic_store(&f->storing, true);
	thread = thread_on(last, store_on, f);
	reclaim_some(f, round);
	atomic_store(&f->storing, false);
	thread_join(thread);
	write_after(f);
	if (round & 1 ? msync(f->expected.region, FILE_BYTES, MS_SYNC) : fdatasync(f->fd))
		bail("sync: %s", strerror(errno));
	verify_on_disk(f, f->direct_fd, "from the disk");
}

static void prepare(struct dirty_file *f, const struct guest_args *args)
{
	char path[64], *region;

	f->rng = rng_fork(args->seed, 0);
	f->cpus = args->cpus;
	f->copy = locked_alloc(CHUNK_PAGES * page_size());
	f->begun = locked_alloc(FILE_BYTES / page_size());
	snprintf(path, sizeof(path), "%s/file_dirty", data_dir());
	f->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	f->direct_fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (f->fd < 0 || f->direct_fd < 0 || ftruncate(f->fd, FILE_BYTES))
		bail("%s: %s", path, strerror(errno));
	unlink(path);
	lock_present();
	memcg_enter();
	region = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	if (region == MAP_FAILED)
		bail("cannot map %s: %s", path, strerror(errno));
	expected_init(&f->expected, "file", region, FILE_BYTES, args->seed);
	expected_init(&f->other, "file", region, FILE_BYTES, ~args->seed);
	pin_self(0);
}

static void verify_at_end(struct dirty_file *f)
{
	region_unmap(f->expected.region, FILE_BYTES);
	if (fsync(f->fd))
		bail("fsync: %s", strerror(errno));
	if (!write_file("/proc/sys/vm/drop_caches", "3"))
		bail("drop_caches: %s", strerror(errno));
	verify_on_disk(f, f->direct_fd, "from the disk, at the end");
	verify_on_disk(f, f->fd, "read into the page cache, at the end");
}

enum outcome file_dirty(const struct guest_args *args)
{
	static struct dirty_file f;
	struct vmstat_delta deltas[] = {
		{ .name = "pgsteal_file" }, { .name = "nr_written" },
		{ .name = "workingset_refault_file" },
	};
	const size_t count = sizeof(deltas) / sizeof(*deltas);
	uint64_t round;

	prepare(&f, args);
	vmstat_start(deltas, count);
	for (round = 0; round < args->iterations && !f.expected.bad && !f.other.bad; round++)
		one_round(&f, round);
	if (!f.expected.bad && !f.other.bad)
		verify_at_end(&f);
	f.expected.verified += f.other.verified;
	f.expected.bad += f.other.bad;
	f.expected.bad_bytes += f.other.bad_bytes;
	counter("rounds", round);
	counter("stores", f.stores);
	counter("pwrites", f.pwrites);
	counter("finished_late", f.finished_late);
	counter("stores_beside_reclaim", f.stores_beside_reclaim);
	counter("pages_reclaimed", vmstat_since(deltas, count, "pgsteal_file"));
	counter("pages_written_back", vmstat_since(deltas, count, "nr_written"));
	counter("refaults", vmstat_since(deltas, count, "workingset_refault_file"));
	counter("pages_from_disk", f.from_disk);
	expected_report(&f.expected);
	return f.expected.bad ? NOT_OK : OK;
}
