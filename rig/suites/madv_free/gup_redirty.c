// SPDX-License-Identifier: GPL-2.0-only
/*
 * gup_redirty: what a device reads into a lazyfree buffer is there afterwards, although the
 * buffer was reclaimed at the same time.
 *
 * The rule: direct I/O writes to pages without using the page tables. It holds references
 * meanwhile, and sets the dirty flag of the folio, not of the PTE. So when the PTEs are
 * cleared, reclaim must check first the references and then the folio's dirty flag, with
 * barriers between (mm/rmap.c: try_to_unmap_one()): commit 6c8e2a256915 ("mm: fix race
 * between MADV_FREE reclaim and blkdev direct IO read") (in v5.18), whose message describes
 * data that became zero.
 *
 * A round fills a buffer with folios of one size, calls MADV_FREE, and lets another CPU
 * read a file into it with O_DIRECT. The buffer is reclaimed at one of three times: after
 * the read; by MADV_PAGEOUT during the whole read; or at the critical moment, when pages
 * are referenced and not yet dirty. The case makes that moment last: the page behind the
 * head of the buffer is missing and belongs to userfaultfd. The reader holds references to
 * the head and waits for that page until the head was reclaimed. The buffer must hold what
 * the file holds, and again after a second reclaim, when its pages are dirty only by their
 * folio's flag.
 */
#include "madv_free.h"
#include "sizes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_BYTES	LARGE_BYTES
#define FILE_GENERATION	(~0ULL)

/* Each system call reads this much, so many pages are referenced before the first is dirty. */
#define READ_BYTES	(256 * page_size())

/*
 * Each MADV_PAGEOUT call takes only few folios, so that the calls meet every stage of a
 * read.
 */
#define RECLAIM_BYTES	(64 * page_size())
#define RECLAIMS_MAX	60U

/* The part of a read that is referenced before the reader waits, and its maximum. */
#define HEAD_BYTES	(32 * page_size())
#define HEAD_BYTES_MAX	(READ_BYTES / 2)

enum method { WHILE_REFERENCED, DURING_READ, AFTER_READ, METHODS };

struct dio {
	struct lazyfree l;
	int file, uffd;
	_Atomic uint32_t go;
	atomic_bool reading;
	uint64_t read, reclaims, reclaims_raced, pages_referenced;
};

static uint64_t file_key(const struct dio *d, size_t page)
{
	return pattern_key(d->l.seed, FILE_GENERATION, page);
}

static void make_file(struct dio *d)
{
	char *text = locked_alloc(FILE_BYTES), path[64];
	size_t i;

	for (i = 0; i < FILE_BYTES / page_size(); i++)
		pattern_fill(text + i * page_size(), page_size(), file_key(d, i));
	snprintf(path, sizeof(path), "%s/gup_redirty", data_dir());
	d->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (d->file < 0 || write(d->file, text, FILE_BYTES) != (ssize_t)FILE_BYTES)
		bail("cannot make %s: %s", path, strerror(errno));
	region_unmap(text, FILE_BYTES);
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

static void reclaim_during_read(struct dio *d, size_t folio_bytes)
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

	for (page = 0; page < d->l.pages && d->l.bad < BAD_PAGES_MAX; page++) {
		d->l.verified++;
		if (!pattern_first_fault(lazyfree_at(&d->l, page), page_size(),
					 file_key(d, page), &fault))
			continue;
		evidence("page %zu, offset %zu: the device read 0x%" PRIx64 " into it, it has 0x%"
			 PRIx64 ", the page %s (%s)", page, fault.offset, fault.wrote, fault.read,
			 page_is_zero(lazyfree_at(&d->l, page), page_size()) ? "is zero" :
			 "is not zero", when);
		d->l.bad++;
	}
}

static bool open_uffd(struct dio *d)
{
	struct uffdio_api api = { .api = UFFD_API };

	d->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	return d->uffd >= 0 && !ioctl(d->uffd, UFFDIO_API, &api);
}

static void register_missing(struct dio *d, char *page)
{
	struct uffdio_register wanted = {
		.range = { .start = (uintptr_t)page, .len = page_size() },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (!region_advise(page, page_size(), MADV_DONTNEED) ||
	    ioctl(d->uffd, UFFDIO_REGISTER, &wanted))
		bail("UFFDIO_REGISTER: %s", strerror(errno));
}

static void reclaim_while_referenced(struct dio *d, size_t head)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)d->l.region + head, .len = page_size() },
	};
	struct uffd_msg message;

	if (read(d->uffd, &message, sizeof(message)) != sizeof(message))
		bail("cannot read from userfaultfd: %s", strerror(errno));
	region_pageout(d->l.region, head);
	if (ioctl(d->uffd, UFFDIO_ZEROPAGE, &zero))
		bail("UFFDIO_ZEROPAGE: %s", strerror(errno));
	d->reclaims++;
	d->pages_referenced += head / page_size();
}

static void read_and_reclaim(struct dio *d, size_t folio_bytes, enum method method)
{
	size_t head = folio_bytes > HEAD_BYTES ? folio_bytes : HEAD_BYTES;
	pthread_t reader;

	if (method == WHILE_REFERENCED && head > HEAD_BYTES_MAX)
		method = DURING_READ;
	if (method == WHILE_REFERENCED)
		register_missing(d, d->l.region + head);
	atomic_store(&d->reading, true);
	atomic_store(&d->go, 0);
	reader = thread_on(1, read_file_directly, d);
	atomic_store(&d->go, 1);
	futex_wake_all(&d->go);
	if (method == WHILE_REFERENCED)
		reclaim_while_referenced(d, head);
	else if (method == DURING_READ)
		reclaim_during_read(d, folio_bytes);
	thread_join(reader);
}

static void one_round(struct dio *d, unsigned int size_kb, enum method method)
{
	static const char *const when[METHODS] = {
		[WHILE_REFERENCED] = "reclaimed while referenced and not yet dirty",
		[DURING_READ] = "reclaimed during the read",
		[AFTER_READ] = "reclaimed after the read",
	};
	size_t bytes = (size_t)size_kb << 10 > READ_BYTES ? FILE_BYTES : READ_BYTES;

	refill_whole(&d->l, bytes, size_kb);
	lazyfree_madv_free(&d->l);
	read_and_reclaim(d, (size_t)size_kb << 10, method);
	/* Before any CPU touches a page: the PTEs are still clean. */
	region_pageout(d->l.region, bytes);
	verify(d, when[method]);
	if (d->l.bad)
		return;
	region_pageout(d->l.region, bytes);
	verify(d, "after a second reclaim");
}

enum outcome gup_redirty(const struct guest_args *args)
{
	static struct dio d;
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t size, sizes = sizes_large(LARGE_KB, sizes_kb) + 1;
	uint64_t round;

	if (args->cpus < 2)
		return skip("the reader needs a CPU besides CPU 0");
	if (!open_uffd(&d))
		return skip("no userfaultfd: %s", strerror(errno));
	swap_require(2 * ROUND_BYTES);
	d.l.seed = args->seed;
	make_file(&d);
	lazyfree_init(&d.l, FILE_BYTES, args->seed);
	for (round = 0; round < args->iterations && !d.l.bad; round++) {
		size = round % sizes;
		lru_gen_set(round / sizes % 2);
		one_round(&d, size ? sizes_kb[size - 1] : 0,
			  (enum method)((round + round / sizes) % METHODS));
	}
	counter("pages_read", d.read);
	counter("reclaims", d.reclaims);
	counter("reclaims_raced", d.reclaims_raced);
	counter("pages_in_the_moment", d.pages_referenced);
	return lazyfree_report(&d.l);
}
