// SPDX-License-Identifier: GPL-2.0-only
/*
 * write_after_munmap: once munmap() has returned, no thread's store to that memory
 * lands, and none lands in its pages once they are free for others to have.
 *
 * The rule, first half: a page that reclaim has just unmapped has no PTE for
 * munmap() to clear, and its flush is still owed by reclaim's batch: zap_pte_range()
 * must have it done (flush_tlb_batched_pending()). commit 3ea277194daa ("mm,
 * mprotect: flush TLB if potentially racing with a parallel reclaim leaving stale
 * TLB entries") (in v4.13).
 *
 * Second half: the mmu_gather keeps the pages until the TLBs have been flushed
 * (mm/mmu_gather.c, tlb_flush_mmu()). Every other round a real-time thread interrupts
 * munmap() and allocates what this CPU has freed last: a store of a writer to be found
 * in there was made through a translation of a page no longer the writer's.
 */
#include "stale_tlb.h"
#include "revoke.h"

static void unmap(struct revoke *r, char *address, size_t size)
{
	(void)r;
	region_unmap(address, size);
}

enum outcome write_after_munmap(const struct guest_args *args)
{
	static struct revoke r = { .call_name = "munmap", .call = unmap };

	return revoke_run(&r, args, true);
}
