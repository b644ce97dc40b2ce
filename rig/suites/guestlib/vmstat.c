// SPDX-License-Identifier: GPL-2.0-only
#include "vmstat.h"
#include "ktap.h"
#include "undo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

uint64_t stat_file_value(const char *path, const char *name)
{
	char text[16384];
	size_t length = strlen(name);
	const char *line;

	if (read_file(path, text, sizeof(text)) < 0)
		bail("cannot read %s: %s", path, strerror(errno));
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, length) && strspn(line + length, ": "))
			return strtoull(line + length + strspn(line + length, ": "), NULL, 10);
	}
	return 0;
}

uint64_t vmstat(const char *name)
{
	return stat_file_value("/proc/vmstat", name);
}

/* "TLB:   <count of each CPU>   TLB shootdowns" */
bool interrupt_count(const char *description, uint64_t *count)
{
	char text[16384], *end;
	const char *line, *found;
	uint64_t of_one;

	if (read_file("/proc/interrupts", text, sizeof(text)) < 0)
		bail("cannot read /proc/interrupts: %s", strerror(errno));
	found = strstr(text, description);
	if (!found)
		return false;
	for (line = found; line > text && line[-1] != '\n'; line--)
		;
	line = strchr(line, ':');
	if (!line || line > found)
		return false;
	*count = 0;
	for (line++; ; line = end) {
		of_one = strtoull(line, &end, 10);
		if (end == line)
			return true;
		*count += of_one;
	}
}

bool tlb_shootdowns(uint64_t *count)
{
	return interrupt_count("TLB shootdowns", count);
}

void vmstat_start(struct vmstat_delta *deltas, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		deltas[i].before = vmstat(deltas[i].name);
}

uint64_t vmstat_since(const struct vmstat_delta *deltas, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(deltas[i].name, name))
			return vmstat(name) - deltas[i].before;
	bail("nobody started to count %s", name);
}
