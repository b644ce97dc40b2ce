// SPDX-License-Identifier: GPL-2.0-only
/* A miniature, written for the rig's tests. */
#include <linux/mm.h>

void try_to_unmap_flush(void);

static int nr_reclaimed;

static int pageout(int page)
{
	try_to_unmap_flush();
	return page & 1;
}

int shrink_list(int from, int to)
{
	int page;

	for (page = from; page < to; page++)
		nr_reclaimed += pageout(page);

	return nr_reclaimed;
}

int reclaimed(void)
{
	return nr_reclaimed;
}
