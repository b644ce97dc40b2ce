// SPDX-License-Identifier: GPL-2.0-only
#include "guest.h"

#include <stdlib.h>
#include <sys/mman.h>

#define LRU_GEN	"/sys/kernel/mm/lru_gen/enabled"

/*
 * For anonymous memory, madvise_willneed() ends with lru_add_drain(), and on a page that
 * was never touched it does nothing else. MADV_COLD drains as well but opens an mmu_gather:
 * when two of those overlap, tlb_finish_mmu() flushes the whole mm on every CPU, and that
 * would hide the bugs that stale_tlb looks for.
 */
void lru_drain_local(void)
{
	static _Thread_local void *untouched;

	if (!untouched)
		untouched = region_map(page_size(), page_size());
	if (!region_advise(untouched, page_size(), MADV_WILLNEED))
		bail("no MADV_WILLNEED for anonymous memory");
}

bool lru_make_idle(void)
{
	return write_file("/proc/self/clear_refs", "1");
}

bool lru_gen_is_on(void)
{
	char text[32];

	return read_file(LRU_GEN, text, sizeof(text)) > 0 && strtoul(text, NULL, 0) & 1;
}

bool lru_gen_set(bool on)
{
	/* A kernel without this file has only the classic LRU. */
	return set_file(LRU_GEN, on ? "y" : "n") || !on;
}
