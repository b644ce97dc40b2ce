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

/* What the writers do with each word of the window they walk. */
enum writers_mode {
	WRITE_ALWAYS,		/* check it and count it up */
	READ_ONLY,		/* check it: the page stays clean, its translation warm */
	WRITE_OWN,		/* each page has its one writer, the others check it */
	WRITE_PACED,		/* the same, and the writer waits for the front */
	PARKED,			/* leave the CPU to others */
};

/* A broken kernel is scribbled over with every further write: enough is enough. */
#define LOST_MAX	32

struct writer {
	struct writers *writers;
	pthread_t thread;
	unsigned int cpu;
	uint32_t *counts;		/* per page: the last count written */
	uint64_t writes;
	uint64_t reads;			/* of words left as they were */
	uint64_t raced;			/* of both, while pages were being taken */
	uint64_t swap_ins;
	uint32_t rests_skipped;		/* rests not taken */
	_Atomic uint64_t passes;	/* whole passes over a window */
	_Atomic uint64_t passes_wanted;	/* tell CPU 0 when there are so many; 0: do not */
} CACHE_ALIGNED;

struct writers {
	const char *taken_by;	/* for evidence(); NULL is reclaim */
	char *region;
	bool holes;		/* it starts as one: a word never written is 0 */
	bool resident;		/* writers_start() leaves the region in memory */
	unsigned int pages;
	unsigned int window_pages;
	unsigned int walked;	/* pages of a window that are walked; 0 is all */
	unsigned int count;
	uint64_t seed;

	/* CPU 0's own. */
	struct rng rng;
	char *other_page;	/* for flush_pending_batch() */
	uint64_t rounds_classic;
	uint64_t rounds_mglru;
	uint64_t by_pageout;	/* pages swapped out by MADV_PAGEOUT */
	uint64_t by_memory_reclaim;
	struct vmstat_delta swapped[2];

	/* Written by CPU 0, read by the writers. */
	_Atomic uint32_t window CACHE_ALIGNED;	/* its first page */
	atomic_bool reclaiming;			/* pages are being taken */
	atomic_bool no_rest;			/* busy_cpu does not rest either */
	_Atomic uint32_t busy_cpu;		/* does not rest while pages are taken */
	atomic_bool stop;
	_Atomic uint32_t mode;			/* enum writers_mode; writers_set() */
	_Atomic uint32_t front;			/* WRITE_PACED leaves pages from here on */
	_Atomic uint32_t pace_ns;		/* and is up to so long behind it */

	/* Written by all. */
	_Atomic uint32_t lost CACHE_ALIGNED;

	/* Writers which have what CPU 0 wants. */
	_Atomic uint32_t arrived CACHE_ALIGNED;

	struct writer writer[THREADS_MAX];
};

/*
 * The region is in swap when this returns, but for what the writers use. Books are
 * new and clean, totals are kept: a region after another can be written.
 */
void writers_start(struct writers *w);

/* Until every writer has begun and ended a pass, or a loss has stopped them. */
void writers_wait(struct writers *w);

/* From the next page on. Who waits for PARKED writers, waits for ever. */
void writers_set(struct writers *w, enum writers_mode mode);

void writers_join(struct writers *w);

/*
 * Take `bytes` from `page` on while the writers write: with MADV_PAGEOUT, or with
 * memory.reclaim, which takes what it finds. Pages swapped out are added to
 * w->by_pageout or w->by_memory_reclaim.
 */
void writers_reclaim(struct writers *w, unsigned int page, size_t bytes, bool pageout);

/* writes, reads, writes_raced, writer_swap_ins, lost */
void writers_report(struct writers *w);

/*
 * A clean kernel does nothing here that matters to anybody, on a broken one stale
 * entries are gone: mprotect() of `other_page`, which nobody uses, flushes this mm
 * on all CPUs if a batched flush may be pending (flush_tlb_batched_pending()).
 */
void flush_pending_batch(char *other_page);

/* Words of pages [first, first + pages) against the books; the words read. */
uint64_t writers_verify_pages(struct writers *w, unsigned int first, unsigned int pages);

/*
 * The words of pages [first, first + pages) as the books have them, after the
 * memory was given back. The writers must be elsewhere.
 */
void writers_rewrite(struct writers *w, unsigned int first, unsigned int pages);

/*
 * The same of a copy of these pages, taken from `where` ("the disk") while the
 * writers only read or were elsewhere.
 */
uint64_t writers_verify_copy(struct writers *w, unsigned int first, unsigned int pages,
			     const char *copy, const char *where);

/* A hole was punched into pages [first, first + pages), the writers being elsewhere. */
void writers_expect_zero(struct writers *w, unsigned int first, unsigned int pages);

/* Every word of the region against the books, from this CPU; the words read. */
uint64_t writers_verify(struct writers *w);

/* True when there is nothing left to find out. */
bool writers_stopped(struct writers *w);

/* The rest is what the cases have in common (writers_case.c). */

/*
 * One writer on each CPU but the first, a region of args->pages, and the seed. False,
 * with skip() called, when there is only one CPU.
 */
bool writers_init(struct writers *w, const struct guest_args *args);

/* Swap for it, this thread on CPU 0, a memory cgroup, and the region: private, of order 0. */
void writers_map_anon(struct writers *w);

/* Another writer than the last one may stay awake while pages are taken. */
void writers_choose_busy_cpu(struct writers *w);

/*
 * The previous window goes to swap. The new one comes in by reads: its pages are clean,
 * and every writer has their translations.
 */
void writers_read_window(struct writers *w, unsigned int window);

/* How many pages of the window are taken in this round: few in the first ones. */
unsigned int writers_gentle_pages(const struct writers *w, uint64_t round);

/*
 * one_round(arg, round) for each round until a write is lost. They are divided into
 * `lru_phases` phases, in turn on the classic and on the multi-generational LRU.
 */
void writers_run_rounds(struct writers *w, uint64_t rounds, unsigned int lru_phases,
			void (*one_round)(void *arg, uint64_t round), void *arg);

/*
 * After the window was taken: lets lost writes show. Only in two rounds of eight the
 * writers go on with their stale entries before these are flushed: on a broken kernel
 * such writes land in memory that belongs to somebody else by now, and the kernel must
 * live long enough to report them.
 */
void writers_end_round(struct writers *w, uint64_t round);

/*
 * Unless a write was lost: all pages go through swap once more, so that the last check
 * does not read through a stale entry, and every word is checked. The words read.
 */
uint64_t writers_verify_after_swap(struct writers *w);

/* Start to count pswpout and pswpin. */
void writers_count_swap(struct writers *w);

/* Counters rounds_classic and rounds_mglru. */
void writers_report_rounds(const struct writers *w);

/*
 * Counters pswpout, pswpin, reclaimed_by_memory_reclaim, reclaimed_by_pageout and
 * words_verified, then writers_report(); the case's outcome.
 */
enum outcome writers_report_swap(struct writers *w, uint64_t words);

#endif
