// SPDX-License-Identifier: GPL-2.0-only
#include "place.h"
#include "pagemap.h"

#define PFN_BITS	55

struct place place_of(const void *address)
{
	uint64_t entry = pagemap_entry(address);

	return (struct place){
		.present = entry & PAGEMAP_PRESENT,
		.swapped = entry & PAGEMAP_SWAPPED,
		.pfn = entry & PAGEMAP_PRESENT ? entry & ((1ULL << PFN_BITS) - 1) : 0,
	};
}
