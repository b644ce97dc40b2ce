/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every guest program is made of: a table of cases, and a main() that
 * speaks the protocol of the rig.
 *
 *	PROGRAM --list
 *	PROGRAM CASE [--iterations N] [--seed S] [--cpus N] [--pages N]
 *		[--promised CASE+...]
 *
 * Exit status: 0 ok or skipped, 1 not ok, 2 usage, 3 bail out.
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
	uint64_t iterations;	/* when the caller names none */
	enum outcome (*run)(const struct guest_args *args);
	unsigned int pages;	/* of the memory it works on; 0: not a matter of choice */
};

/*
 * Whether this kernel is held to a case though its version does not promise what that
 * tests: with a series on top it may.
 */
bool promised(const char *name);

int guest_main(int argc, char **argv, const struct guest_case *cases, size_t count);

#endif
