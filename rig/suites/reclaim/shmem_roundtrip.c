// SPDX-License-Identifier: GPL-2.0-only
/*
 * shmem_roundtrip: shared memory comes back from swap as it was, however it was written and
 * however it is read.
 *
 * The rule: a clean shmem folio may be dropped, so a folio must be dirty unless it was
 * never written. A write fault marks it dirty at once (mm/memory.c:
 * fault_dirty_shared_page()), and so does write(2). But shmem has no write notification: a
 * page that was first mapped by a read is writable already (mm/mmap.c,
 * vma_wants_writenotify()), and a later store sets only the PTE's dirty bit, which
 * try_to_unmap_one() (mm/rmap.c) must move to the folio. And a page that is swapped in
 * loses its swap entry, so shmem_swapin_folio() (mm/shmem.c) must mark it dirty although it
 * was not written.
 *
 * A memfd of each of three folio sizes is written in all three ways, swapped out, read back
 * with pread(2), swapped out again without a write, read through the mapping, and swapped
 * out. Then holes are punched for some pages that are in swap: they must read as zeroes
 * (mm/shmem.c, shmem_undo_range()), and their neighbours as before.
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

/* A folio of FOLIO_LARGE pages is a region of its own. */
#define REGION_BYTES	(256 * page_size())
#define REGION_MAX	(FOLIO_LARGE * page_size())
#define CHUNK_PAGES	16

/*
 * How a page is written, the same for each run of RUN_PAGES pages, which is shorter than a
 * folio.
 */
#define RUN_PAGES	8
#define PUNCHED		32

enum how { STORE, STORE_AFTER_READ, PWRITE, HOWS };

struct shm {
	struct expected expected;
	size_t bytes;
	struct rng rng;
	int fd;
	char *copy;
	enum how *plan;
	unsigned int cpus;
	unsigned int cpu;
	uint64_t written[HOWS];
	uint64_t went_out;
	uint64_t went_out_clean;
	uint64_t punched;
	uint64_t large_folios;
};

/* Select the folio size for shared memory. False when this kernel does not offer it. */
static bool choose_size(unsigned int size_kb)
{
	char path[96];

	if (!size_kb)
		return true;
	snprintf(path, sizeof(path),
		 "/sys/kernel/mm/transparent_hugepage/hugepages-%ukB/shmem_enabled", size_kb);
	return set_file(path, "advise");
}

static void next_cpu(struct shm *s)
{
	pin_self(s->cpu++ % s->cpus);
}

static enum how how_of(const struct shm *s, size_t page)
{
	return (page / RUN_PAGES + s->expected.writes) % HOWS;
}

static void write_page(struct shm *s, size_t page, enum how how)
{
	off_t offset = (off_t)(page * page_size());

	s->written[how]++;
	if (how != PWRITE) {
		expected_write(&s->expected, page);
		return;
	}
	pattern_fill(s->copy, page_size(), expected_next(&s->expected, page));
	if (pwrite(s->fd, s->copy, page_size(), offset) != (ssize_t)page_size())
		bail("pwrite: %s", strerror(errno));
}

static void write_all(struct shm *s)
{
	size_t page;

	next_cpu(s);
	for (page = 0; page < s->expected.pages; page++) {
		s->plan[page] = how_of(s, page);
		if (s->plan[page] == STORE_AFTER_READ)
			(void)*(volatile char *)expected_page(&s->expected, page);
	}
	for (page = 0; page < s->expected.pages; page++)
		write_page(s, page, s->plan[page]);
	lru_drain_local();
}

static uint64_t send_out(struct shm *s, bool pageout)
{
	uint64_t before = vmstat("pswpout");

	next_cpu(s);
	pressure_prepare();
	if (pageout)
		region_pageout(s->expected.region, s->bytes);
	else
		memcg_reclaim(s->bytes);
	return vmstat("pswpout") - before;
}

static void verify_by_pread(struct shm *s)
{
	size_t page, i, bytes = CHUNK_PAGES * page_size();

	next_cpu(s);
	for (page = 0; page < s->expected.pages && !expected_many_bad(&s->expected);
	     page += CHUNK_PAGES) {
		if (pread(s->fd, s->copy, bytes, (off_t)(page * page_size())) != (ssize_t)bytes)
			bail("pread: %s", strerror(errno));
		for (i = 0; i < CHUNK_PAGES; i++)
			expected_verify_copy(&s->expected, page + i, s->copy + i * page_size(),
					     "by pread");
	}
	lru_drain_local();
}

static void verify_mapped(struct shm *s)
{
	next_cpu(s);
	expected_verify_all(&s->expected);
	lru_drain_local();
}

static void punch(struct shm *s)
{
	size_t i, page;

	for (i = 0; i < PUNCHED; i++) {
		page = rng_below(&s->rng, (uint32_t)s->expected.pages);
		if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)(page * page_size()), (off_t)page_size()))
			bail("fallocate: %s", strerror(errno));
		expected_zero(&s->expected, page);
	}
	s->punched += PUNCHED;
}

static void one_round(struct shm *s, bool pageout)
{
	write_all(s);
	s->went_out += send_out(s, pageout);
	verify_by_pread(s);
	s->went_out_clean += send_out(s, !pageout);
	verify_mapped(s);
	s->went_out_clean += send_out(s, pageout);
	punch(s);
	verify_mapped(s);
}

static void one_size(struct shm *s, unsigned int size_kb, uint64_t rounds)
{
	char what[32], *region = region_map(REGION_MAX, REGION_MAX);
	uint64_t before = thp_stat(size_kb, "shmem_alloc"), round;

	s->bytes = (size_t)size_kb << 10 > REGION_BYTES ? REGION_MAX : REGION_BYTES;
	snprintf(what, sizeof(what), "shmem of %u kB folios", shown_kb(size_kb));
	s->fd = memfd_create("shmem_roundtrip", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)s->bytes))
		bail("memfd: %s", strerror(errno));
	if (mmap(region, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 s->fd, 0) == MAP_FAILED)
		bail("cannot map the memfd: %s", strerror(errno));
	thp_choose(region, s->bytes, size_kb);
	expected_reset(&s->expected, what, region, s->bytes);
	for (round = 0; round < rounds && !s->expected.bad; round++)
		one_round(s, round & 1);
	if (size_kb)
		s->large_folios += thp_stat(size_kb, "shmem_alloc") - before;
	region_unmap(region, REGION_MAX);
	close(s->fd);
}

static void report(const struct shm *s)
{
	counter("written_by_store", s->written[STORE]);
	counter("written_after_read", s->written[STORE_AFTER_READ]);
	counter("written_by_pwrite", s->written[PWRITE]);
	counter("pswpout_written", s->went_out);
	counter("pswpout_unwritten", s->went_out_clean);
	counter("pages_punched", s->punched);
	counter("large_folios", s->large_folios);
	expected_report(&s->expected);
}

enum outcome shmem_roundtrip(const struct guest_args *args)
{
	const unsigned int sizes_kb[] = { 0, folio_kb(FOLIO_SMALL), folio_kb(FOLIO_LARGE) };
	static struct shm s;
	struct vmstat_delta pswpin = { .name = "pswpin" };
	size_t i;

	s.rng = rng_fork(args->seed, 0);
	s.cpus = args->cpus;
	swap_require(4 * REGION_MAX);
	s.copy = locked_alloc(CHUNK_PAGES * page_size());
	s.plan = locked_alloc(REGION_MAX / page_size() * sizeof(*s.plan));
	expected_init(&s.expected, "shmem", NULL, REGION_MAX, args->seed);
	lock_present();
	memcg_enter();
	vmstat_start(&pswpin, 1);
	for (i = 0; i < sizeof(sizes_kb) / sizeof(*sizes_kb) && !s.expected.bad; i++)
		if (choose_size(sizes_kb[i]))
			one_size(&s, sizes_kb[i], args->iterations);
	counter("pswpin", vmstat_since(&pswpin, 1, "pswpin"));
	report(&s);
	return s.expected.bad ? NOT_OK : OK;
}
