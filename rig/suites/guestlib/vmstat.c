// SPDX-License-Identifier: GPL-2.0-only
#include "vmstat.h"
#include "ktap.h"
#include "undo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX	16384

static void read_stats(const char *path, char *text)
{
	if (read_file(path, text, TEXT_MAX) < 0)
		bail("cannot read %s: %s", path, strerror(errno));
}

static uint64_t value_of(const char *text, const char *name)
{
	size_t length = strlen(name);
	const char *line;

	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, length) && strspn(line + length, ": "))
			return strtoull(line + length + strspn(line + length, ": "), NULL, 10);
	}
	return 0;
}

uint64_t stat_file_value(const char *path, const char *name)
{
	char text[TEXT_MAX];

	read_stats(path, text);
	return value_of(text, name);
}

/* One read, also for two lines: cases call this while the writers race. */
uint64_t vmstat(const char *name)
{
	char text[TEXT_MAX];
	uint64_t value;

	read_stats("/proc/vmstat", text);
	value = value_of(text, name);
	/* With zswap in front of the swap devices, pages go there and come from there. */
	if (!strcmp(name, "pswpout"))
		value += value_of(text, "zswpout");
	else if (!strcmp(name, "pswpin"))
		value += value_of(text, "zswpin");
	return value;
}

/* "TLB:   <count of each CPU>   TLB shootdowns" */
bool interrupt_count(const char *description, uint64_t *count)
{
	char text[16384], *end;
	const char *line, *match;
	uint64_t cpu_count;

	if (read_file("/proc/interrupts", text, sizeof(text)) < 0)
		bail("cannot read /proc/interrupts: %s", strerror(errno));
	match = strstr(text, description);
	if (!match)
		return false;
	for (line = match; line > text && line[-1] != '\n'; line--)
		;
	line = strchr(line, ':');
	if (!line || line > match)
		return false;
	*count = 0;
	for (line++; ; line = end) {
		cpu_count = strtoull(line, &end, 10);
		if (end == line)
			return true;
		*count += cpu_count;
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
	bail("vmstat_start() was not called for %s", name);
}
