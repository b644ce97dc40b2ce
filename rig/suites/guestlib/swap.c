// SPDX-License-Identifier: GPL-2.0-only
#include "swap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/swap.h>

#include "ktap.h"
#include "undo.h"
#include "vmstat.h"

#define AREAS_MAX	8

struct area {
	char device[64];
	int priority;
	bool noted;
};

/* The swap areas that were on when the case began. Kept, because later calls need them too. */
static struct area areas[AREAS_MAX];
static unsigned int area_count;

uint64_t swap_free(void)
{
	return stat_file_value("/proc/meminfo", "SwapFree") * 1024;
}

static const char *kind_of(const char *device)
{
	return strncmp(device, "/dev/zram", strlen("/dev/zram")) ? "disk" : "zram";
}

/*
 * zram gets an explicit priority, which is above those that the kernel assigns, so it is
 * filled first as at boot. EBUSY: the area is on already.
 */
static bool turn_on(const char *device, const char *kind)
{
	int flags = strcmp(kind, "zram") ? 0 : SWAP_FLAG_PREFER | 1;

	return !swapon(device, flags) || errno == EBUSY;
}

static void turn_off(struct area *area)
{
	if (!area->noted)
		undo_add(turn_on, area->device, kind_of(area->device));
	area->noted = true;
	/* EINVAL: it is off already. */
	if (swapoff(area->device) && errno != EINVAL)
		bail("swapoff %s: %s", area->device, strerror(errno));
}

/* A header line, then one line for each device, with the device name first. */
static void read_areas(void)
{
	char text[4096], *line;

	if (read_file("/proc/swaps", text, sizeof(text)) < 0)
		bail("/proc/swaps: %s", strerror(errno));
	for (line = strchr(text, '\n'); line && area_count < AREAS_MAX; line = strchr(line, '\n')) {
		struct area *area = &areas[area_count];

		if (sscanf(++line, "%63s %*s %*s %*s %d", area->device, &area->priority) == 2)
			area_count++;
	}
}

/*
 * v6.12 gives each device a lower priority than the one before, and zram is switched on
 * first at boot. v7.2 gives all devices the same priority and fills them in turn. init
 * cannot set a priority, because busybox's swapon has no option for it. So zram is switched
 * off and on again with one, and keeps it.
 */
static void fill_zram_first(void)
{
	unsigned int k, other;

	if (!area_count)
		read_areas();
	for (k = 0; k < area_count; k++) {
		for (other = 0; other < area_count; other++)
			if (other != k && areas[other].priority >= areas[k].priority)
				break;
		if (other == area_count || strcmp(kind_of(areas[k].device), "zram"))
			continue;
		if (swapoff(areas[k].device) || !turn_on(areas[k].device, "zram"))
			bail("%s: %s", areas[k].device, strerror(errno));
	}
}

void swap_require(uint64_t bytes)
{
	uint64_t free = swap_free();

	if (free < bytes)
		bail("%" PRIu64 " MiB of swap are free, the case needs %" PRIu64,
		     free >> 20, bytes >> 20);
	fill_zram_first();
}

bool swap_only(const char *kind)
{
	unsigned int k;
	bool has_kind = false;

	if (!area_count)
		read_areas();
	for (k = 0; k < area_count; k++) {
		if (strcmp(kind_of(areas[k].device), kind))
			continue;
		has_kind = true;
		if (!turn_on(areas[k].device, kind))
			bail("swapon %s: %s", areas[k].device, strerror(errno));
	}
	for (k = 0; has_kind && k < area_count; k++)
		if (strcmp(kind_of(areas[k].device), kind))
			turn_off(&areas[k]);
	return has_kind;
}
