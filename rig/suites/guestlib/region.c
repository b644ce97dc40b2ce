// SPDX-License-Identifier: GPL-2.0-only
#include "region.h"
#include "ktap.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

size_t page_size(void)
{
	static size_t size;

	if (!size)
		size = (size_t)sysconf(_SC_PAGESIZE);
	return size;
}

static char *map_anonymous(size_t size)
{
	void *address = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (address == MAP_FAILED)
		bail("cannot map %zu KiB: %s", size >> 10, strerror(errno));
	return address;
}

void *region_map(size_t size, size_t align)
{
	char *start = map_anonymous(size + align);
	size_t head = -(uintptr_t)start & (align - 1);

	if (head)
		region_unmap(start, head);
	if (align - head)
		region_unmap(start + head + size, align - head);
	return start + head;
}

void region_unmap(void *address, size_t size)
{
	if (munmap(address, size))
		bail("cannot unmap %zu KiB: %s", size >> 10, strerror(errno));
}

void *locked_alloc(size_t size)
{
	void *address = map_anonymous(size);

	if (mlock(address, size))
		bail("cannot lock %zu KiB: %s", size >> 10, strerror(errno));
	return address;
}

void lock_present(void)
{
	if (mlockall(MCL_CURRENT))
		bail("mlockall: %s", strerror(errno));
}

bool region_advise(void *address, size_t size, int advice)
{
	if (!madvise(address, size, advice))
		return true;
	if (errno != EINVAL)
		bail("madvise %d of %zu KiB: %s", advice, size >> 10, strerror(errno));
	return false;
}

void region_pageout(void *address, size_t size)
{
	if (!region_advise(address, size, MADV_PAGEOUT))
		bail("no MADV_PAGEOUT");
}
