// SPDX-License-Identifier: GPL-2.0-only
/* Of revoke.h's interrupter: what munmap() has freed before it has returned. */
#include "revoke.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * So many are taken at a time, and for two passes of the writer's. Few, for on a slow
 * CPU the pages it is after may not be free before the next time.
 */
#define SCAVENGE_CHUNK		4U
#define SCAVENGE_SPIN_NS	10000000

/* Without a lock, which munmap() may hold. */
unsigned long scavenge_shared_pages(const struct revoke *r)
{
	unsigned long size, resident, shared;
	char text[128] = "";

	if (pread(r->statm, text, sizeof(text) - 1, 0) <= 0 ||
	    sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3)
		bail("cannot read /proc/self/statm: %s", strerror(errno));
	return shared;
}

/* Get what this CPU has freed last, make it ours, and let the writer go on for a while. */
static void scavenge(struct revoke *r, uint32_t round)
{
	struct revoke_writer *writer = &r->writer[r->active - 1];
	uint64_t end, passes;
	unsigned int page = r->scavenged_pages;

	r->scavenged_pages += SCAVENGE_CHUNK;
	for (; page < r->scavenged_pages; page++)
		pattern_fill(r->scavenged + page * page_size(), page_size(),
			     pattern_key(r->seed, round, page));
	passes = atomic_load(&writer->passes);
	end = now_ns() + SCAVENGE_SPIN_NS;
	while (atomic_load(&writer->passes) < passes + 2 && now_ns() < end)
		;
}

bool scavenge_try(struct revoke *r, uint32_t round, struct rng *rng)
{
	bool in_kernel = atomic_load(&r->in_kernel);

	/* Half a page table's are not told from all. */
	if (in_kernel && scavenge_shared_pages(r) + BALLAST_PAGES - 256 > r->shared)
		return false;
	/* All is unmapped. Some time to free the first pages. */
	sleep_ns(1 + rng_below(rng, 2 * LOOK_NS));
	in_kernel = atomic_load(&r->in_kernel);
	r->in_time[r->method] += in_kernel && !r->scavenged_pages;
	scavenge(r, round);
	return !in_kernel || r->scavenged_pages == SCAVENGE_PAGES;
}

void scavenge_verify(struct revoke *r, uint32_t round)
{
	struct pattern_fault fault;
	unsigned int page;

	for (page = 0; page < r->scavenged_pages; page++) {
		if (!pattern_first_fault(r->scavenged + page * page_size(), page_size(),
					 pattern_key(r->seed, round, page), &fault))
			continue;
		evidence("a page %s has freed, and CPU 0 got: at %zu wrote 0x%" PRIx64
			 ", read back 0x%" PRIx64 "%s", r->call_name, fault.offset, fault.wrote,
			 fault.read, revoke_is_writers(fault.read) ? ", a writer's" : "");
		revoke_note_landed(r);
	}
}
