// SPDX-License-Identifier: GPL-2.0-only
#include "pagemap.h"
#include "ktap.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES_AT_ONCE	256

/* Opened for each call: a file opened before fork() would still show the parent. */
void pagemap_read(const void *address, size_t pages, uint64_t *entries)
{
	size_t size = pages * sizeof(*entries);
	off_t offset = (off_t)((uintptr_t)address / page_size() * sizeof(*entries));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		bail("/proc/self/pagemap: %s", strerror(errno));
	if (pread(fd, entries, size, offset) != (ssize_t)size)
		bail("cannot read %zu entries of /proc/self/pagemap: %s", pages, strerror(errno));
	close(fd);
}

uint64_t pagemap_entry(const void *address)
{
	uint64_t entry;

	pagemap_read(address, 1, &entry);
	return entry;
}

size_t pagemap_count(const void *address, size_t pages, uint64_t bits)
{
	uint64_t entries[ENTRIES_AT_ONCE];
	const char *next = address;
	size_t i, chunk, count = 0;

	for (; pages; pages -= chunk, next += chunk * page_size()) {
		chunk = pages < ENTRIES_AT_ONCE ? pages : ENTRIES_AT_ONCE;
		pagemap_read(next, chunk, entries);
		for (i = 0; i < chunk; i++)
			count += (entries[i] & bits) != 0;
	}
	return count;
}
