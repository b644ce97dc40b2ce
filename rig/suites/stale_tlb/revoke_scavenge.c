// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interrupter of revoke.h, for UNMAP_ANON: it allocates what munmap() has freed and has
 * not flushed.
 */
#include "revoke.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The interrupter allocates this many pages at a time, and then waits for two passes of the
 * writer. Few, because on a slow CPU the pages that it wants may be freed only before its
 * next turn.
 */
#define SCAVENGE_CHUNK		4U
#define SCAVENGE_SPIN_NS	10000000

/* Reads statm, which needs no lock; munmap() may hold mmap_lock. */
unsigned long scavenge_shared_pages(const struct revoke *r)
{
	unsigned long size, resident, shared;
	char text[128] = "";

	if (pread(r->statm, text, sizeof(text) - 1, 0) <= 0 ||
	    sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3)
		bail("cannot read /proc/self/statm: %s", strerror(errno));
	return shared;
}

/* Allocate what this CPU has freed last, fill it, and let the writer run for a while. */
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

	/* The count is exact only to half a page table. */
	if (in_kernel && scavenge_shared_pages(r) + BALLAST_PAGES - 256 > r->shared)
		return false;
	/* Everything is unmapped. Wait until the first pages are freed. */
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
		evidence("a page %s has freed, then CPU 0 allocated: at %zu wrote 0x%" PRIx64
			 ", read back 0x%" PRIx64 "%s", r->call_name, fault.offset, fault.wrote,
			 fault.read, revoke_is_writers(fault.read) ? ", a writer's" : "");
		revoke_note_landed(r);
	}
}
