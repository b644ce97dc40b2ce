// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rounds of revoke.h in which the call takes a huge page: the kernel changes one PMD, and
 * notes its flush elsewhere than that of a PTE. Nothing is interrupted: only the flush of
 * the call itself is tested.
 */
#include "revoke.h"

#include <sys/mman.h>

/* The size of a PMD in KiB, the largest that a THP has; 0 without THP. */
static unsigned int pmd_kb(void)
{
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t count = thp_sizes(sizes_kb);

	return count ? sizes_kb[count - 1] : 0;
}

void revoke_pmd_round(struct revoke *r)
{
	unsigned int size_kb = pmd_kb();
	size_t size = (size_t)size_kb << 10;
	uint64_t before = thp_stat(size_kb, "anon_fault_alloc");

	/* The window is aligned to more than a PMD, and all of it is mapped anew each round. */
	if (!size || size > (HOT_PAGES + BALLAST_PAGES) * page_size())
		return;
	if (mmap(r->window, size, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != r->window)
		bail("cannot map the window for a huge page");
	thp_choose(r->window, size, size_kb);
	*(volatile char *)r->window = 1;
	r->pmds_taken += thp_stat(size_kb, "anon_fault_alloc") > before;
	r->method = WHOLE_PMD;
	r->active = 1 + rng_below(&r->rng, r->count);
	revoke_next_state(r);
	revoke_wait_for_passes(r);
	r->call(r, r->window, size);
	r->taken_first = 0;
	r->taken_pages = HOT_PAGES;
	atomic_store(&r->arrived, 0);
	revoke_next_state(r);
	revoke_wait_for_arrival(r, 0);
}
