// SPDX-License-Identifier: GPL-2.0-only
/*
 * uffd_wp_and_soft_dirty_kept: the uffd-wp and soft-dirty bits of a PTE survive a swap-out
 * and swap-in.
 *
 * The rules:
 * - A page that is write-protected by userfaultfd stays so until it is written to, and that
 *   write is noticed. A checkpoint or a migration that misses such a write loses data.
 *   try_to_unmap_one() (mm/rmap.c) copies the bit to the swap PTE, and do_swap_page()
 *   copies it back: commit f45ec5ff16a7 ("userfaultfd: wp: support swap and page
 *   migration") (in v5.7). The PTE of a shared page would be empty after the unmapping, so
 *   a marker replaces it: commit 999dad824c39 ("mm/shmem: persist uffd-wp bit across
 *   zapping for file-backed") (in v5.19).
 * - A page that was written since the bits were cleared is soft-dirty
 *   (Documentation/admin-guide/mm/soft-dirty.rst), in swap too: commit 179ef71cbc08 ("mm:
 *   save soft-dirty bits on swapped pages") (in v3.11). x86 has this bit, arm64 has not.
 *
 * Each round write-protects a region (or clears its soft-dirty bits), writes to some pages,
 * swaps everything out, checks the bits, reads some pages back, writes to others in memory
 * and in swap, swaps everything out and checks again. With UFFD_FEATURE_WP_ASYNC the kernel
 * notes a write by clearing the page's bit; pagemap shows the bits.
 */
#include "reclaim.h"
#include "expected.h"
#include "pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The feature is newer (in v6.7) than some systems' headers. */
#define WP_ASYNC	(1ULL << 15)

#define REGION_BYTES	(256 * page_size())

/* What is done to a page in a round. */
enum action { WRITTEN_FIRST, WRITTEN_LATER, READ_BACK, UNTOUCHED, ACTIONS };

struct tracked {
	struct expected expected;
	struct rng rng;
	uint64_t *entries;
	enum action *action;
	bool *written;
	int uffd;
	bool soft_dirty;	/* checks soft-dirty bits in this round, not uffd-wp bits */
	uint64_t wp_kept_out, wp_kept_in;
	uint64_t dirty_kept_out, dirty_kept_in;
	uint64_t noticed;
	uint64_t dirty_unwritten;
	uint64_t lost;
};

static void open_uffd(struct tracked *t)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP |
			    UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};

	t->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (t->uffd >= 0 && ioctl(t->uffd, UFFDIO_API, &api)) {
		close(t->uffd);
		t->uffd = -1;
	}
}

static void protect(const struct tracked *t)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)t->expected.region, .len = REGION_BYTES },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (ioctl(t->uffd, UFFDIO_WRITEPROTECT, &wp))
		bail("UFFDIO_WRITEPROTECT: %s", strerror(errno));
}

static void register_wp(const struct tracked *t)
{
	struct uffdio_register r = {
		.range = { .start = (uintptr_t)t->expected.region, .len = REGION_BYTES },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (ioctl(t->uffd, UFFDIO_REGISTER, &r))
		bail("UFFDIO_REGISTER: %s", strerror(errno));
}

static void start_tracking(struct tracked *t)
{
	memset(t->written, 0, t->expected.pages * sizeof(*t->written));
	if (!t->soft_dirty)
		protect(t);
	else if (!write_file("/proc/self/clear_refs", "4"))
		bail("no /proc/self/clear_refs: %s", strerror(errno));
}

static void write_tracked(struct tracked *t, size_t page)
{
	expected_write(&t->expected, page);
	t->written[page] = true;
}

static void report_lost(struct tracked *t, size_t page, bool out, const char *what)
{
	evidence("%s, page %zu: %s (%s, pagemap 0x%llx)", t->expected.what, page, what,
		 out ? "not in memory" : "in memory", (unsigned long long)t->entries[page]);
	t->lost++;
}

static void check_page_bits(struct tracked *t, size_t page)
{
	bool out = !(t->entries[page] & PAGEMAP_PRESENT), wrote = t->written[page];

	if (t->soft_dirty) {
		bool dirty = t->entries[page] & PAGEMAP_SOFT_DIRTY;

		/* Soft-dirty pages that were not written are no loss. */
		t->dirty_unwritten += dirty && !wrote;
		if (wrote && !dirty)
			report_lost(t, page, out, "was written, but is not soft-dirty");
		else if (wrote)
			(*(out ? &t->dirty_kept_out : &t->dirty_kept_in))++;
	} else {
		bool protected = t->entries[page] & PAGEMAP_UFFD_WP;

		if (protected && wrote)
			report_lost(t, page, out, "was written, but is still write-protected");
		else if (!protected && !wrote)
			report_lost(t, page, out, "was not written, but is no longer write-protected");
		else if (protected)
			(*(out ? &t->wp_kept_out : &t->wp_kept_in))++;
		t->noticed += wrote && !protected;
	}
}

static void check_bits(struct tracked *t)
{
	size_t page;

	pagemap_read(t->expected.region, t->expected.pages, t->entries);
	for (page = 0; page < t->expected.pages; page++)
		check_page_bits(t, page);
}

static void send_out(struct tracked *t, bool pageout)
{
	pressure_prepare();
	if (pageout)
		region_pageout(t->expected.region, REGION_BYTES);
	else
		memcg_reclaim(REGION_BYTES);
}

static void one_round(struct tracked *t, bool pageout)
{
	size_t page;

	start_tracking(t);
	for (page = 0; page < t->expected.pages; page++) {
		t->action[page] = rng_below(&t->rng, ACTIONS);
		if (t->action[page] == WRITTEN_FIRST)
			write_tracked(t, page);
	}
	check_bits(t);
	send_out(t, pageout);
	check_bits(t);
	/* Every second WRITTEN_LATER page stays in swap until it is written. */
	for (page = 0; page < t->expected.pages; page++)
		if (t->action[page] == READ_BACK ||
		    (t->action[page] == WRITTEN_LATER && page & 1))
			expected_verify(&t->expected, page);
	check_bits(t);
	for (page = 0; page < t->expected.pages; page++)
		if (t->action[page] == WRITTEN_LATER)
			write_tracked(t, page);
	check_bits(t);
	send_out(t, !pageout);
	check_bits(t);
	expected_verify_all(&t->expected);
	check_bits(t);
}

static void all_rounds(struct tracked *t, const char *what, char *region, bool soft_dirty,
		       uint64_t rounds)
{
	uint64_t round;
	size_t page;

	expected_reset(&t->expected, what, region, REGION_BYTES);
	t->soft_dirty = soft_dirty;
	for (page = 0; page < t->expected.pages; page++)
		expected_write(&t->expected, page);
	if (!soft_dirty)
		register_wp(t);
	for (round = 0; round < rounds && !t->lost && !t->expected.bad; round++)
		one_round(t, round & 1);
	region_unmap(region, REGION_BYTES);
}

static char *private_region(unsigned int size_kb)
{
	char *region = region_map(REGION_BYTES, REGION_BYTES);

	thp_choose(region, REGION_BYTES, size_kb);
	return region;
}

static char *shared_region(void)
{
	void *region = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED)
		bail("no shared memory: %s", strerror(errno));
	return region;
}

/* Where the architecture has the bit, a page that was just written is soft-dirty. */
static bool has_soft_dirty(void)
{
	char *page = locked_alloc(page_size());

	*(volatile char *)page = 1;
	return pagemap_entry(page) & PAGEMAP_SOFT_DIRTY;
}

static void report(const struct tracked *t, bool soft_dirty)
{
	if (!soft_dirty)
		diag("no soft-dirty bits on this architecture: only uffd-wp bits were tested");
	counter("soft_dirty_tested", soft_dirty);
	counter("uffd_wp_kept_out", t->wp_kept_out);
	counter("uffd_wp_kept_in", t->wp_kept_in);
	counter("uffd_writes_noticed", t->noticed);
	counter("soft_dirty_kept_out", t->dirty_kept_out);
	counter("soft_dirty_kept_in", t->dirty_kept_in);
	counter("soft_dirty_unwritten", t->dirty_unwritten);
	counter("lost", t->lost);
	expected_report(&t->expected);
}

enum outcome uffd_wp_and_soft_dirty_kept(const struct guest_args *args)
{
	static struct tracked t;
	struct vmstat_delta pswpout = { .name = "pswpout" };
	bool soft_dirty = has_soft_dirty();
	size_t pages = REGION_BYTES / page_size();

	open_uffd(&t);
	if (t.uffd < 0)
		return skip("no userfaultfd with asynchronous write protection (in v6.7)");
	t.rng = rng_fork(args->seed, 0);
	expected_init(&t.expected, "region", NULL, REGION_BYTES, args->seed);
	t.entries = locked_alloc(pages * sizeof(*t.entries));
	t.action = locked_alloc(pages * sizeof(*t.action));
	t.written = locked_alloc(pages * sizeof(*t.written));
	swap_require(4 * REGION_BYTES);
	lock_present();
	memcg_enter();
	pin_self(0);
	vmstat_start(&pswpout, 1);
	all_rounds(&t, "uffd-wp, single pages", private_region(0), false, args->iterations);
	all_rounds(&t, "uffd-wp, large folios", private_region(folio_kb(FOLIO_SMALL)), false,
		   args->iterations);
	all_rounds(&t, "uffd-wp, shared", shared_region(), false, args->iterations);
	if (soft_dirty) {
		all_rounds(&t, "soft-dirty, single pages", private_region(0), true,
			   args->iterations);
		all_rounds(&t, "soft-dirty, large folios", private_region(folio_kb(FOLIO_SMALL)), true,
			   args->iterations);
	}
	counter("pswpout", vmstat_since(&pswpout, 1, "pswpout"));
	report(&t, soft_dirty);
	return t.lost || t.expected.bad ? NOT_OK : OK;
}
