// SPDX-License-Identifier: GPL-2.0-only
/*
 * write_after_mprotect: after mprotect(PROT_READ) has returned, no store of another thread
 * to this memory succeeds.
 *
 * First rule: change_pte_range() has the TLB entries flushed, for all PTEs that it made
 * read-only, before mprotect() returns (mm/mprotect.c, the mmu_gather of
 * change_protection_range()). change_huge_pmd() does so for a PMD (mm/huge_memory.c).
 *
 * Second rule: a page that reclaim has just unmapped has no PTE to change, but its flush
 * may still be pending in reclaim's batch. mprotect() must do this flush
 * (flush_tlb_batched_pending()). commit 3ea277194daa ("mm, mprotect: flush TLB if
 * potentially racing with a parallel reclaim leaving stale TLB entries") (in v4.13).
 */
#include "stale_tlb.h"
#include "revoke.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void make_read_only(struct revoke *r, char *address, size_t size)
{
	(void)r;
	if (mprotect(address, size, PROT_READ))
		bail("mprotect: %s", strerror(errno));
}

enum outcome write_after_mprotect(const struct guest_args *args)
{
	static struct revoke r = {
		.call_name = "mprotect", .call = make_read_only, .pmd_rounds = true,
	};

	return revoke_run(&r, args, false);
}
