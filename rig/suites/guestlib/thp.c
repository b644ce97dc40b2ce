// SPDX-License-Identifier: GPL-2.0-only
#include "guest.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define THP	"/sys/kernel/mm/transparent_hugepage"

static int ascending(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return (x > y) - (x < y);
}

size_t thp_sizes(unsigned int sizes_kb[THP_SIZES_MAX])
{
	DIR *directory = opendir(THP);
	struct dirent *entry;
	size_t count = 0;
	char path[96];

	if (!directory)
		return 0;
	while ((entry = readdir(directory)) && count < THP_SIZES_MAX) {
		if (sscanf(entry->d_name, "hugepages-%ukB", &sizes_kb[count]) != 1)
			continue;
		snprintf(path, sizeof(path), THP "/hugepages-%ukB/enabled", sizes_kb[count]);
		/* A size that exists only for files has no such file. */
		count += read_file(path, path, sizeof(path)) > 0;
	}
	closedir(directory);
	qsort(sizes_kb, count, sizeof(*sizes_kb), ascending);
	return count;
}

static void set_size(unsigned int size_kb, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), THP "/hugepages-%ukB/enabled", size_kb);
	if (!set_file(path, value))
		bail("cannot write %s to %s", value, path);
}

void thp_choose(void *address, size_t size, unsigned int size_kb)
{
	unsigned int sizes_kb[THP_SIZES_MAX];
	size_t i, count;

	if (!size_kb) {
		/* A kernel without THP does not know this advice and does not need it. */
		region_advise(address, size, MADV_NOHUGEPAGE);
		return;
	}
	count = thp_sizes(sizes_kb);
	for (i = 0; i < count; i++)
		set_size(sizes_kb[i], sizes_kb[i] == size_kb ? "madvise" : "never");
	if (!region_advise(address, size, MADV_HUGEPAGE))
		bail("no MADV_HUGEPAGE");
}

/*
 * arm64 swaps out large folios as a whole only with pages of 4 KiB (arch/arm64/Kconfig:
 * ARCH_WANTS_THP_SWAP).
 */
static bool swaps_whole_folios(void)
{
#ifdef __aarch64__
	return page_size() == 4096;
#else
	return true;
#endif
}

void thp_report_limits(void)
{
	counter("no_thp_swap", !swaps_whole_folios());
	counter("no_pmd_folios", pmd_size() > FOLIO_LARGE * page_size());
}

static uint64_t stat_of_size(unsigned int size_kb, const char *name)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), THP "/hugepages-%ukB/stats/%s", size_kb, name);
	if (read_file(path, text, sizeof(text)) <= 0)
		return 0;
	return strtoull(text, NULL, 10);
}

uint64_t thp_stat(unsigned int size_kb, const char *name)
{
	uint64_t value = stat_of_size(size_kb, name);

	/* With zswap a folio is swapped out into it first (in v6.13). */
	return strcmp(name, "swpout") ? value : value + stat_of_size(size_kb, "zswpout");
}
