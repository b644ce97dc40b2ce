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
 */
#include "stale_tlb.h"
#include "revoke.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void move_away(struct revoke *r, char *address, size_t size)
{
	char *to = r->spare + (address - r->window);

	if (mremap(address, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		bail("mremap: %s", strerror(errno));
}

enum outcome write_after_mremap(const struct guest_args *args)
{
	static struct revoke r = { .call_name = "mremap", .call = move_away };

	return revoke_run(&r, args, false);
}
