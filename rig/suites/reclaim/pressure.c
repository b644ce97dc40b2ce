// SPDX-License-Identifier: GPL-2.0-only
#include "guest.h"
#include "pressure.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIN_FREE	"/proc/sys/vm/min_free_kbytes"
#define SCALE_FACTOR	"/proc/sys/vm/watermark_scale_factor"

/*
 * The largest value: low is min plus 30 % of the zone (mm/page_alloc.c,
 * setup_per_zone_wmarks()).
 */
#define SCALE_MAX	"3000"

/* The free memory shall be this part of the zone above min: half way to low. */
#define ABOVE_MIN_PERCENT	15

struct zones {
	uint64_t managed;	/* pages of all zones */
	uint64_t node_managed;	/* of node 0's biggest zone */
	uint64_t node_free;
};

/* More page-count changes than the kernel keeps in its per-CPU batches, so that it updates. */
static void force_stat_update(void)
{
	size_t size = 128UL * threads_online() * page_size(), offset;
	char *page = region_map(size, page_size());

	region_advise(page, size, MADV_NOHUGEPAGE);
	for (offset = 0; offset < size; offset += page_size())
		page[offset] = 1;
	region_unmap(page, size);
}

void pressure_prepare(void)
{
	lru_drain_local();
	force_stat_update();
	/* Reading the statistics updates them; reclaim does not update them itself. */
	memcg_stat("anon");
	if (!lru_make_idle())
		bail("no /proc/self/clear_refs: %s", strerror(errno));
}

void pressure_bind(void *address, size_t size)
{
	unsigned long nodes = 1;

	/* A kernel without NUMA has only this node. */
	if (syscall(SYS_mbind, address, size, MPOL_BIND, &nodes, sizeof(nodes) * 8, 0) &&
	    errno != ENOSYS)
		bail("mbind: %s", strerror(errno));
}

/*
 * /proc/zoneinfo has a line "Node 0, zone   DMA32", and below it, among others, the lines "
 * pages free     1234" and "        managed  5678" of this zone.
 */
static struct zones read_zones(void)
{
	static char text[65536];
	struct zones z = { };
	uint64_t free = 0, value;
	unsigned int node = 0;
	char *line, *rest = text;

	if (read_file("/proc/zoneinfo", text, sizeof(text)) <= 0)
		bail("cannot read /proc/zoneinfo");
	while ((line = strsep(&rest, "\n"))) {
		sscanf(line, "Node %u, zone", &node);
		sscanf(line, " pages free %" SCNu64, &free);
		if (sscanf(line, " managed %" SCNu64, &value) != 1)
			continue;
		z.managed += value;
		if (node || value < z.node_managed)
			continue;
		z.node_managed = value;
		z.node_free = free;
	}
	return z;
}

/* The kernel divides min among the zones by their sizes. min_free_kbytes is in KiB. */
bool pressure_on(void)
{
	struct zones z = read_zones();
	uint64_t above = z.node_managed * ABOVE_MIN_PERCENT / 100;
	char value[32];

	if (!z.node_managed || z.node_free <= above)
		return false;
	snprintf(value, sizeof(value), "%" PRIu64,
		 z.managed * (page_size() >> 10) * (z.node_free - above) / z.node_managed);
	return set_file(SCALE_FACTOR, SCALE_MAX) && set_file(MIN_FREE, value);
}

/* Lower the watermarks now; the supervising process restores the original values later. */
void pressure_off(void)
{
	if (!set_file(MIN_FREE, "4096") || !set_file(SCALE_FACTOR, "10"))
		bail("cannot lower the watermarks: %s", strerror(errno));
}
