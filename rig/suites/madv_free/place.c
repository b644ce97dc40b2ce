// SPDX-License-Identifier: GPL-2.0-only
#include "place.h"
#include "pagemap.h"

struct place place_of(const void *address)
{
	uint64_t entry = pagemap_entry(address);

	return (struct place){
		.present = entry & PAGEMAP_PRESENT,
		.swapped = entry & PAGEMAP_SWAPPED,
		.pfn = entry & PAGEMAP_PRESENT ? entry & PAGEMAP_PFN : 0,
	};
}
