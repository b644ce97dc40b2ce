// SPDX-License-Identifier: GPL-2.0-only
#include "pagemap.h"
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PFN_BITS	55
#define SWAPPED		(1ULL << 62)
#define PRESENT		(1ULL << 63)

/* The file is of the process that has opened it, and a forked child is another. */
static int pagemap(void)
{
	static pid_t owner;
	static int fd;

	if (owner == getpid())
		return fd;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		bail("no /proc/self/pagemap: %s", strerror(errno));
	owner = getpid();
	return fd;
}

struct place place_of(const void *address)
{
	off_t at = (off_t)((uintptr_t)address / page_size() * sizeof(uint64_t));
	uint64_t entry;

	if (pread(pagemap(), &entry, sizeof(entry), at) != sizeof(entry))
		bail("cannot read /proc/self/pagemap: %s", strerror(errno));
	return (struct place){
		.present = entry & PRESENT,
		.swapped = entry & SWAPPED,
		.pfn = entry & PRESENT ? entry & ((1ULL << PFN_BITS) - 1) : 0,
	};
}
