/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writers on CPUs 1..cpus-1. In every page of a shared region each writer has a word of its
 * own, in which it counts up. It keeps in locked memory which count it has written last.
 * Before each write it reads its word back: any other value is a lost write.
 *
 * All writers walk over the same window of pages, which is small enough to stay in their
 * TLBs, until CPU 0 gives them another window.
 */
#ifndef WRITERS_H
#define WRITERS_H

#include "guest.h"

/* What the writers do with the words of their window. */
enum writers_mode {
	WRITE_ALWAYS,		/* check the word and count it up */
	READ_ONLY,		/* only check it: the page stays clean and in the TLB */
	WRITE_OWN,		/* each page has one writer, the others check their words */
	WRITE_PACED,		/* as WRITE_OWN, and the writer waits for `front` */
	PARKED,			/* sleep */
};

/*
 * Stop after this many lost writes: each further write may corrupt memory that a broken
 * kernel has given to somebody else.
 */
#define LOST_MAX	32

struct writer {
	struct writers *writers;
	pthread_t thread;
	unsigned int cpu;
	uint32_t *counts;		/* per page: the last count written */
	uint64_t writes;
	uint64_t reads;			/* words checked and not written */
	uint64_t raced;			/* reads and writes while pages were being taken */
	uint64_t swap_ins;
	uint32_t rests_skipped;		/* rests not taken */
	_Atomic uint64_t passes;	/* whole passes over a window */
	_Atomic uint64_t passes_wanted;	/* notify CPU 0 at this number; 0: do not */
} CACHE_ALIGNED;

struct writers {
	const char *taken_by;	/* what takes the pages, for evidence(); NULL: reclaim */
	char *region;
	bool holes;		/* the region starts as a hole: words are 0 until written */
	bool resident;		/* writers_start() does not page the region out */
	unsigned int pages;
	unsigned int window_pages;
	unsigned int walked;	/* pages of the window that the writers use; 0: all */
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
	_Atomic uint32_t front;			/* WRITE_PACED waits before this page */
	_Atomic uint32_t pace_ns;		/* and sleeps up to this long after it */

	/* Written by all. */
	_Atomic uint32_t lost CACHE_ALIGNED;

	/* Number of writers that have made the passes CPU 0 waits for. */
	_Atomic uint32_t arrived CACHE_ALIGNED;

	struct writer writer[THREADS_MAX];
};

/*
 * Start the writers. The region is in swap when this returns, except for the pages that the
 * writers use already. The expected counts start at 0; the totals continue, so that a case
 * can use one region after another.
 */
void writers_start(struct writers *w);

/*
 * Wait until every writer has begun and finished a pass, or until a lost write has stopped
 * them.
 */
void writers_wait(struct writers *w);

/*
 * Takes effect with the writers' next page. Do not call writers_wait() for PARKED writers:
 * it would never return.
 */
void writers_set(struct writers *w, enum writers_mode mode);

void writers_join(struct writers *w);

/*
 * Reclaim `bytes` that start at `page` while the writers write: with MADV_PAGEOUT, or with
 * memory.reclaim, which chooses the pages itself. The pages swapped out are added to
 * w->by_pageout or w->by_memory_reclaim.
 */
void writers_reclaim(struct writers *w, unsigned int page, size_t bytes, bool pageout);

/* Counters writes, reads, writes_raced, writer_swap_ins and lost. */
void writers_report(struct writers *w);

/*
 * Make stale TLB entries disappear. mprotect() of `other_page`, which nobody else uses,
 * makes the kernel flush this mm on all CPUs if a batched flush may be pending
 * (flush_tlb_batched_pending()). On a correct kernel this has no effect that matters.
 */
void flush_pending_batch(char *other_page);

/* Check the words of pages [first, first + pages). Returns the number of words. */
uint64_t writers_verify_pages(struct writers *w, unsigned int first, unsigned int pages);

/*
 * Write the expected counts into pages [first, first + pages), whose memory was replaced.
 * The writers must be in another window.
 */
void writers_rewrite(struct writers *w, unsigned int first, unsigned int pages);

/*
 * Check a copy of these pages, which was read from `where` ("the disk") while the writers
 * only read or were in another window.
 */
uint64_t writers_verify_copy(struct writers *w, unsigned int first, unsigned int pages,
			     const char *copy, const char *where);

/*
 * Expect zeroes in pages [first, first + pages): a hole was punched there while the writers
 * were in another window.
 */
void writers_expect_zero(struct writers *w, unsigned int first, unsigned int pages);

/* Check every word of the region from this CPU. Returns the number of words. */
uint64_t writers_verify(struct writers *w);

/* True after LOST_MAX lost writes, and after writers_join(). */
bool writers_stopped(struct writers *w);

/* What the cases have in common (writers_case.c). */

/*
 * One writer on each CPU except CPU 0, a region of args->pages, and the seed. False, after
 * skip(), when there is only one CPU.
 */
bool writers_init(struct writers *w, const struct guest_args *args);

/*
 * Requires enough swap, moves this thread to CPU 0 and into a memory cgroup, and maps the
 * region: private memory of order 0.
 */
void writers_map_anon(struct writers *w);

/* Choose at random the writer that does not rest while pages are taken. */
void writers_choose_busy_cpu(struct writers *w);

/*
 * Page out the previous window and let the writers read the new one: its pages are clean,
 * and in every writer's TLB.
 */
void writers_read_window(struct writers *w, unsigned int window);

/* The number of pages that this round takes from its window: few in the first rounds. */
unsigned int writers_gentle_pages(const struct writers *w, uint64_t round);

/*
 * Call one_round(arg, round) for each round until a write is lost. The rounds are divided
 * into `lru_phases` phases, which use the classic and the multi-generational LRU in turn.
 */
void writers_run_rounds(struct writers *w, uint64_t rounds, unsigned int lru_phases,
			void (*one_round)(void *arg, uint64_t round), void *arg);

/*
 * Call it after the window was taken. It makes lost writes visible. In two rounds of eight
 * the writers go on with their stale entries before these are flushed. Not in every round:
 * on a broken kernel such writes land in somebody else's memory, and the kernel must live
 * long enough to report them.
 */
void writers_end_round(struct writers *w, uint64_t round);

/*
 * Unless a write was lost, page out the region once more, so that no stale entry is used in
 * the last check, and check every word. Returns the number of words.
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
