// SPDX-License-Identifier: GPL-2.0-only
/*
 * gup_redirty: what a device reads into a lazyfree buffer while it is reclaimed is
 * there afterwards.
 *
 * The rule: direct I/O writes to pages past the page tables. It holds references
 * while it does, and makes the folio dirty, not the PTE. So reclaim, once the PTEs are
 * gone, must look at the references first and at the folio's dirty flag then, with
 * barriers between (mm/rmap.c: try_to_unmap_one()): commit 6c8e2a256915 ("mm: fix race
 * between MADV_FREE reclaim and blkdev direct IO read") (in v5.18), whose message
 * tells of the data that was zero.
 *
 * A round fills a buffer with folios of one size, gives it up, and reads a file into
 * it by O_DIRECT on one CPU while another reclaims the buffer by MADV_PAGEOUT as long
 * as that takes. The buffer must hold what the file holds, then and after one more
 * reclaim, which finds pages that are clean but for their folio's flag.
 */
#include "madv_free.h"
#include "sizes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_BYTES	PMD_BYTES
#define FILE_GENERATION	(~0ULL)

/* One system call reads this much: many pages are referenced before the first is dirty. */
#define READ_BYTES	(1UL << 20)

/* What is reclaimed by one call is few folios, so that calls meet every stage of a read. */
#define RECLAIM_BYTES	(256UL << 10)
#define RECLAIMS_MAX	4000U

struct dio {
	struct lazyfree l;
	int file;
	_Atomic uint32_t go;
	atomic_bool reading;
	uint64_t read, reclaims, reclaims_raced, verified, bad;
};

static uint64_t file_key(const struct dio *d, size_t page)
{
	return pattern_key(d->l.seed, FILE_GENERATION, page);
}

static void make_file(struct dio *d)
{
	char *page = locked_alloc(page_size()), path[64];
	size_t i;

	snprintf(path, sizeof(path), "%s/gup_redirty", data_dir());
	d->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (d->file < 0)
		bail("cannot make %s: %s", path, strerror(errno));
	for (i = 0; i < FILE_BYTES / page_size(); i++) {
		pattern_fill(page, page_size(), file_key(d, i));
		if (write(d->file, page, page_size()) != (ssize_t)page_size())
			bail("cannot write %s: %s", path, strerror(errno));
	}
	if (fsync(d->file) || close(d->file))
		bail("fsync: %s", strerror(errno));
	d->file = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (d->file < 0)
		bail("no O_DIRECT: %s", strerror(errno));
}

static void *read_file_directly(void *arg)
{
	struct dio *d = arg;
	size_t offset;

	while (!atomic_load(&d->go))
		futex_wait(&d->go, 0);
	for (offset = 0; offset < d->l.pages * page_size(); offset += READ_BYTES) {
		ssize_t done = pread(d->file, d->l.region + offset, READ_BYTES, (off_t)offset);

		if (done != (ssize_t)READ_BYTES)
			bail("direct read: %s", done < 0 ? strerror(errno) : "short");
		d->read += READ_BYTES / page_size();
	}
	atomic_store(&d->reading, false);
	return NULL;
}

static void reclaim_while_reading(struct dio *d, size_t folio_bytes)
{
	size_t bytes = d->l.pages * page_size(), offset = 0;
	size_t step = folio_bytes > RECLAIM_BYTES ? folio_bytes : RECLAIM_BYTES;
	unsigned int calls;

	for (calls = 0; calls < RECLAIMS_MAX && atomic_load(&d->reading); calls++) {
		region_pageout(d->l.region + offset, step);
		d->reclaims_raced += atomic_load(&d->reading);
		offset = (offset + step) % bytes;
	}
	d->reclaims += calls;
}

static void verify(struct dio *d, const char *when)
{
	struct pattern_fault fault;
	size_t page;

	for (page = 0; page < d->l.pages && d->bad < BAD_PAGES_MAX; page++) {
		d->verified++;
		if (!pattern_first_fault(lazyfree_at(&d->l, page), page_size(),
					 file_key(d, page), &fault))
			continue;
		evidence("page %zu, offset %zu: 0x%" PRIx64 " was read into it, there is 0x%" PRIx64
			 ", the page %s (%s)", page, fault.offset, fault.wrote, fault.read,
			 page_is_zero(lazyfree_at(&d->l, page), page_size()) ? "is zero" :
			 "is not zero", when);
		d->bad++;
	}
}

static void one_round(struct dio *d, unsigned int size_kb, bool race)
{
	size_t bytes = (size_t)size_kb << 10 > READ_BYTES ? FILE_BYTES : READ_BYTES;
	pthread_t reader;

	refill_whole(&d->l, bytes, size_kb);
	lazyfree_give_up(&d->l);
	atomic_store(&d->reading, true);
	atomic_store(&d->go, 0);
	reader = thread_on(1, read_file_directly, d);
	atomic_store(&d->go, 1);
	futex_wake_all(&d->go);
	if (race)
		reclaim_while_reading(d, (size_t)size_kb << 10);
	thread_join(reader);
	/* Before anybody touches a page: the PTEs are clean. */
	region_pageout(d->l.region, bytes);
	verify(d, race ? "read and reclaimed at once" : "read, then reclaimed");
	if (d->bad)
		return;
	region_pageout(d->l.region, bytes);
	verify(d, "after a second reclaim");
}

enum outcome gup_redirty(const struct guest_args *args)
{
	static struct dio d;
	struct vmstat_delta deltas[] = { { .name = "pglazyfreed" }, { .name = "pswpout" } };
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t size, sizes = sizes_large(PMD_KB, sizes_kb) + 1;
	uint64_t round;

	if (args->cpus < 2)
		return skip("the reader needs a CPU besides the reclaimer's");
	swap_require(2 * ROUND_BYTES);
	pin_self(0);
	d.l.seed = args->seed;
	make_file(&d);
	lock_present();
	memcg_enter();
	lazyfree_init(&d.l, FILE_BYTES, args->seed);
	vmstat_start(deltas, 2);
	for (round = 0; round < args->iterations && !d.bad; round++) {
		size = round % sizes;
		lru_gen_set(round / sizes % 2);
		/* Every other size alone with its references. */
		one_round(&d, size ? sizes_kb[size - 1] : 0, (round + round / sizes) % 2 == 0);
	}
	counter("pages_read", d.read);
	counter("reclaims", d.reclaims);
	counter("reclaims_raced", d.reclaims_raced);
	counter("pages_verified", d.verified);
	counter("pglazyfreed", vmstat_since(deltas, 2, "pglazyfreed"));
	counter("pswpout", vmstat_since(deltas, 2, "pswpout"));
	counter("pages_bad", d.bad);
	return d.bad ? NOT_OK : OK;
}
