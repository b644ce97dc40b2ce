// SPDX-License-Identifier: GPL-2.0-only
#include "ktap.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES	512

static atomic_uint evidences;
static char skip_reason[LINE_MAX_BYTES / 2];

static void put_all(const char *text, size_t size)
{
	ssize_t done;

	while (size && (done = write(STDOUT_FILENO, text, size)) > 0) {
		text += done;
		size -= (size_t)done;
	}
}

static void put_line(const char *prefix, const char *format, va_list args)
{
	char line[LINE_MAX_BYTES];
	int size, more;

	size = snprintf(line, sizeof(line), "%s", prefix);
	more = vsnprintf(line + size, sizeof(line) - (size_t)size - 1, format, args);
	if (more < 0)
		return;
	size += more;
	if (size > (int)sizeof(line) - 2)
		size = (int)sizeof(line) - 2;
	line[size] = '\n';
	put_all(line, (size_t)size + 1);
}

static void put(const char *format, ...) PRINTF_LIKE;
static void put(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_line("", format, args);
	va_end(args);
}

void ktap_plan(unsigned int cases)
{
	put("KTAP version 1");
	put("1..%u", cases);
}

void ktap_result(enum outcome outcome, const char *name)
{
	unsigned int seen = evidence_count();

	if (seen > EVIDENCE_MAX)
		diag("%u more not printed", seen - EVIDENCE_MAX);
	if (outcome == SKIPPED)
		put("ok 1 %s # SKIP %s", name, skip_reason);
	else
		put("%s 1 %s", outcome == OK ? "ok" : "not ok", name);
}

void diag(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_line("# ", format, args);
	va_end(args);
}

void counter(const char *name, uint64_t value)
{
	put("# counter %s %" PRIu64, name, value);
}

void evidence(const char *format, ...)
{
	va_list args;

	if (atomic_fetch_add(&evidences, 1) >= EVIDENCE_MAX)
		return;
	va_start(args, format);
	put_line("# evidence ", format, args);
	va_end(args);
}

unsigned int evidence_count(void)
{
	return atomic_load(&evidences);
}

enum outcome skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(skip_reason, sizeof(skip_reason), format, args);
	va_end(args);
	return SKIPPED;
}

void bail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_line("Bail out! ", format, args);
	va_end(args);
	_exit(3);
}
