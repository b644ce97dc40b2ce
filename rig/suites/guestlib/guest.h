/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every guest program is a table of cases and a main() that calls guest_main():
 *
 *	PROGRAM --list
 *	PROGRAM CASE [--iterations N] [--seed S] [--cpus N] [--pages N]
 *		[--promised CASE+...]
 *
 * Exit status: 0 ok or skipped, 1 not ok, 2 usage error, 3 bail out.
 */
#ifndef GUEST_H
#define GUEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "disk.h"
#include "ktap.h"
#include "lru.h"
#include "memcg.h"
#include "pagemap.h"
#include "pattern.h"
#include "region.h"
#include "rng.h"
#include "swap.h"
#include "thp.h"
#include "thread.h"
#include "undo.h"
#include "vmstat.h"

struct guest_args {
	uint64_t iterations;
	uint64_t seed;
	unsigned int cpus;
	unsigned int pages;
};

struct guest_case {
	const char *name;
	uint64_t iterations;	/* default of --iterations */
	enum outcome (*run)(const struct guest_args *args);
	unsigned int pages;	/* default and maximum of --pages; 0: not selectable */
};

/*
 * True when --promised names the case. Then the kernel must pass it even if its version
 * number says that it cannot: a series on top may add what the case tests.
 */
bool promised(const char *name);

int guest_main(int argc, char **argv, const struct guest_case *cases, size_t count);

#endif
