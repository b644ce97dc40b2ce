// SPDX-License-Identifier: GPL-2.0-only
/*
 * write_after_munmap: after munmap() has returned, no store of another thread to this
 * memory succeeds, and no store reaches its pages after they were freed.
 *
 * First rule: a page that reclaim has just unmapped has no PTE for munmap() to clear, but
 * its flush may still be pending in reclaim's batch. zap_pte_range() must do this flush
 * (flush_tlb_batched_pending()). commit 3ea277194daa ("mm, mprotect: flush TLB if
 * potentially racing with a parallel reclaim leaving stale TLB entries") (in v4.13).
 *
 * Second rule: the mmu_gather frees the pages only after the TLBs were flushed
 * (mm/mmu_gather.c, tlb_flush_mmu()). In every other round a real-time thread interrupts
 * munmap() and allocates the pages that this CPU has freed last. If it finds a writer's
 * store there, the store used the translation of a page that had been freed.
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
