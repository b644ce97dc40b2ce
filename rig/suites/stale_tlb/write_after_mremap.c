// SPDX-License-Identifier: GPL-2.0-only
/*
 * write_after_mremap: after mremap() has moved pages, no store of another thread to their
 * old address succeeds.
 *
 * The rule: move_ptes() flushes the old addresses before it releases the page table lock:
 * commit eb66ae030829 ("mremap: properly flush TLB before releasing the page") (in v4.19).
 * A page that reclaim has just unmapped has no PTE to move, but its flush may still be
 * pending in reclaim's batch; move_ptes() must do this flush too
 * (flush_tlb_batched_pending()): commit 3ea277194daa ("mm, mprotect: flush TLB if
 * potentially racing with a parallel reclaim leaving stale TLB entries") (in v4.13).
 *
 * mremap() unmaps the old addresses, and that does the pending flush as well
 * (zap_pte_range()). Nothing but move_ptes() does it with MREMAP_DONTUNMAP. So most calls for
 * anonymous memory keep the old mapping, with userfaultfd, which refuses a store to a page
 * that is not there.
 */
#include "stale_tlb.h"
#include "revoke.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer (in v5.7) than some systems' headers. */
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif

static int uffd;
static unsigned int anon_calls;
static uint64_t calls_dontunmap;

static bool open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS };

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	return uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api);
}

/* The kernel chooses the new address: it then has nothing to unmap there first. */
static void move_and_keep_mapping(struct revoke *r, char *address, size_t size)
{
	struct uffdio_register wanted = {
		.range = { .start = (uintptr_t)address, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(uffd, UFFDIO_REGISTER, &wanted))
		bail("UFFDIO_REGISTER: %s", strerror(errno));
	r->moved = mremap(address, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	if (r->moved == MAP_FAILED)
		bail("mremap: %s", strerror(errno));
	r->moved_size = size;
	calls_dontunmap++;
}

static void move_away(struct revoke *r, char *address, size_t size)
{
	char *to = r->spare + (address - r->window);

	if (r->method != MIGRATE_FILE && anon_calls++ % 6)
		move_and_keep_mapping(r, address, size);
	else if (mremap(address, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		bail("mremap: %s", strerror(errno));
}

enum outcome write_after_mremap(const struct guest_args *args)
{
	static struct revoke r = { .call_name = "mremap", .call = move_away };
	enum outcome outcome;

	if (!open_uffd())
		return skip("no userfaultfd: %s", strerror(errno));
	outcome = revoke_run(&r, args, false);
	counter("calls_dontunmap", calls_dontunmap);
	return outcome;
}
