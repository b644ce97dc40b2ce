/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The PTE of a clean, old, writable anonymous page, for pages that imitate page tables. 0
 * for an architecture whose PTE format is not written down here.
 */
#ifndef FAKE_PTE_H
#define FAKE_PTE_H

#include <stdint.h>

#include "region.h"

#define BIT(n)	(1ULL << (n))

static inline uint64_t fake_pte(uint64_t pfn)
{
#if defined(__x86_64__)
	/* Present, writable, user, soft-dirty (which mremap() sets), no execution. */
	return pfn << 12 | BIT(0) | BIT(1) | BIT(2) | BIT(11) | BIT(63);
#elif defined(__aarch64__)
	/*
	 * A page, user, read-only (it is clean), inner shareable, not global, writable
	 * once dirty (DBM), never executable. The memory type's index is 0.
	 */
	return pfn * page_size() | BIT(0) | BIT(1) | BIT(6) | BIT(7) | 3ULL << 8 | BIT(11) | BIT(51) |
	       BIT(53) | BIT(54);
#elif defined(__riscv)
	/* Valid, readable, writable, user, no execution, neither accessed nor dirty. */
	return pfn << 10 | BIT(0) | BIT(1) | BIT(2) | BIT(4);
#else
	(void)pfn;
	return 0;
#endif
}

/* From one page's to the next one's. */
#define FAKE_PTE_STEP	(fake_pte(1) - fake_pte(0))

#endif
