/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writers on CPUs 1..cpus-1, each of which counts up in a word of its own in
 * every page of a shared region, and keeps its own locked book of what it wrote.
 * Before each write it reads its word back: anything but what the book says is a
 * lost write, and the only writer of the word knows which one.
 *
 * All writers walk the same window of pages, small enough to stay in their TLBs,
 * until CPU 0 gives them another.
 */
#ifndef WRITERS_H
#define WRITERS_H

#include "guest.h"

/* A broken kernel is scribbled over with every further write: enough is enough. */
#define LOST_MAX	32

struct writer {
	struct writers *all;
	pthread_t thread;
	unsigned int cpu;
	uint32_t *book;			/* per page: the last count written */
	uint64_t writes;
	uint64_t raced;
	uint64_t swap_ins;
	_Atomic uint64_t passes;	/* whole passes over a window */
	_Atomic uint64_t passes_wanted;	/* tell CPU 0 when there are so many; 0: do not */
} CACHE_ALIGNED;

struct writers {
	char *region;
	unsigned int pages;
	unsigned int window_pages;
	unsigned int count;
	uint64_t seed;

	/* Written by CPU 0. */
	_Atomic uint32_t window CACHE_ALIGNED;	/* its first page */
	atomic_bool reclaiming;			/* a reclaim call is under way */
	_Atomic uint32_t restless;		/* the CPU that does not rest meanwhile */
	atomic_bool stop;

	/* Written by all. */
	_Atomic uint32_t lost CACHE_ALIGNED;

	/* Writers which have what CPU 0 wants. */
	_Atomic uint32_t arrived CACHE_ALIGNED;

	struct writer writer[THREADS_MAX];
};

/* The region is in swap when this returns, but for what the writers use. */
void writers_start(struct writers *w);

/* Until every writer has begun and ended a pass, or a loss has stopped them. */
void writers_wait(struct writers *w);

void writers_join(struct writers *w);

/* Every word of the region against the books, from this CPU; the words read. */
uint64_t writers_verify(struct writers *w);

/* True when there is nothing left to find out. */
bool writers_stopped(struct writers *w);

#endif
