// SPDX-License-Identifier: GPL-2.0-only
#include "guest.h"

#include <stdlib.h>
#include <sys/mman.h>

#define LRU_GEN	"/sys/kernel/mm/lru_gen/enabled"

/*
 * madvise_willneed() of anonymous memory ends with lru_add_drain(), and on a page
 * never touched it does nothing else. Not MADV_COLD, which drains too: it opens an
 * mmu_gather, and where two of those meet tlb_finish_mmu() flushes all of the mm on
 * every CPU, which would mend what stale_tlb is there to find.
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
	/* Without the file there is the classic LRU and nothing else. */
	return set_file(LRU_GEN, on ? "y" : "n") || !on;
}
