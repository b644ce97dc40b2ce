// SPDX-License-Identifier: GPL-2.0-only
#include "sizes.h"

#include <stdio.h>
#include <sys/utsname.h>

size_t folio_pages(unsigned int size_kb)
{
	return size_kb ? ((size_t)size_kb << 10) / page_size() : 1;
}

size_t sizes_large(unsigned int most_kb, unsigned int sizes_kb[THP_SIZES_MAX])
{
	size_t count = thp_sizes(sizes_kb);

	while (count && sizes_kb[count - 1] > most_kb)
		count--;
	return count;
}

enum outcome skip_no_large_folios(void)
{
	return skip("this kernel has no large anonymous folios of up to %u kB", LARGE_KB);
}

bool refill_whole(struct lazyfree *l, size_t bytes, unsigned int size_kb)
{
	uint64_t before = size_kb ? thp_stat(size_kb, "anon_fault_alloc") : 0;

	lazyfree_refill(l, bytes, size_kb);
	return !size_kb || thp_stat(size_kb, "anon_fault_alloc") - before
			   == l->pages / folio_pages(size_kb);
}

bool kernel_at_least(unsigned int major, unsigned int minor)
{
	unsigned int is_major = 0, is_minor = 0;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u", &is_major, &is_minor) != 2)
		bail("no version in uname()");
	return is_major > major || (is_major == major && is_minor >= minor);
}
