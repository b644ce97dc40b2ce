/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory taken from a process by a system call (munmap, mprotect, mremap) while
 * other threads store to it: once the call has returned, none of their stores lands.
 *
 * Who does what:
 *
 * - A writer on one of the CPUs 1..cpus-1 stores to a window of pages until its
 *   translations are in the TLB, and keeps them there. When it sees that the call has
 *   returned, it stores to the pages that were taken: each of these stores has to fault.
 *   One a round, so that there are idle CPUs for the rest of the kernel to run on: on
 *   x86-64 whoever has been off his CPU has his TLB flushed (switch_mm_irqs_off()).
 * - The main thread on CPU 0 is busy in the kernel with something that owes a TLB
 *   flush until it is done: reclaim, or migration, which unmaps with the same batch
 *   (commit 7e12beb8ca2a ("migrate_pages: batch flushing TLB") (in v6.3)) and, unlike
 *   reclaim, many pages before it flushes; or munmap itself.
 * - A real-time thread on CPU 0 interrupts it there, at a random moment. What is owed
 *   is owed as long as this thread goes on: a window of microseconds becomes as long
 *   as the writers need, and by design, not by luck.
 */
#ifndef REVOKE_H
#define REVOKE_H

#include "guest.h"

/*
 * The window, and its part the writers use. QEMU's TLB for a CPU that was idle has 64
 * entries, direct-mapped: so many of them can be relied on. The others are there to
 * keep CPU 0 busy between the unmapping of these and the flush.
 */
#define REVOKE_PAGES	128U
#define HOT_PAGES	32U

/*
 * munmap() takes a file's pages with them, behind them: these are let go after the
 * writer's pages have been freed and before munmap() has returned, and are nobody's to
 * allocate, so that what was freed stays the first this CPU has to give. They fill
 * sixteen page tables: when munmap() is through with the last, that shows at once. Not
 * more, for at some 10,000 pages it would flush (mm/mmu_gather.c: MAX_GATHER_BATCH_COUNT).
 */
#define BALLAST_PAGES	8160U

/* So many pages of what munmap() has freed does the interrupter take. */
#define SCAVENGE_PAGES	64U

/*
 * The interrupter looks every so often, and each time a little less often, and sleeps as
 * long as it has looked: there must be time for what it interrupts, on a slow and busy
 * host, and where an instruction takes 128 ns, too.
 */
#define LOOK_NS		40000

/* Enough is enough. */
#define LANDED_MAX	32

/* What CPU 0 does to which memory when it is interrupted. */
enum revoke_method {
	RECLAIM_ANON,
	MIGRATE_ANON,
	MIGRATE_FILE,
	UNMAP_ANON,	/* munmap of all of it, and the interrupter wants its pages */
	REVOKE_METHODS,
};

struct revoke_writer {
	struct revoke *revoke;
	pthread_t thread;
	unsigned int cpu;
	uint64_t stores;		/* that landed while they might */
	uint32_t refused_mask;		/* pages that have refused a store this round */
	uint64_t refused;		/* after the call had returned, as it has to be */
	_Atomic uint64_t passes;	/* whole passes over the window */
	_Atomic uint64_t passes_wanted;	/* tell CPU 0 when there are so many; 0: do not */
} CACHE_ALIGNED;

struct revoke {
	const char *call_name;
	/* The call; what it takes from the writers is [address, address + size). */
	void (*call)(struct revoke *r, char *address, size_t size);
	uint64_t seed;
	unsigned int count;

	/* CPU 0's. */
	struct rng rng;
	enum revoke_method method;		/* of this round */
	char *window;			/* a multiple of a page table's */
	char *spare;			/* as many addresses, nothing there */
	char *scavenged;		/* the interrupter's own pages */
	int file;
	int ballast;
	int pagemap;
	int statm;
	unsigned int scavenged_pages;
	unsigned long shared;		/* pages, with the ballast mapped */
	uint64_t reclaimed;
	uint64_t migrated;

	/* The interrupter's. */
	pthread_t interrupter;
	_Atomic uint32_t armed;		/* the round it is to interrupt */
	_Atomic uint32_t interrupted;	/* the round it is done with */
	uint64_t rounds[REVOKE_METHODS];
	uint64_t in_time[REVOKE_METHODS];	/* it came while a flush may have been owed */
	uint64_t unmapped[REVOKE_METHODS];	/* pages without a translation, taken then */

	/* Odd: the call has returned. */
	_Atomic uint32_t state CACHE_ALIGNED;
	unsigned int active;		/* the round's writer: its CPU */
	/* What the call took: */
	unsigned int taken_first;
	unsigned int taken_pages;
	atomic_bool in_kernel;		/* CPU 0 is in the kernel, or was when interrupted */
	atomic_bool stop;

	_Atomic uint32_t landed CACHE_ALIGNED;	/* stores that must not */
	_Atomic uint32_t arrived CACHE_ALIGNED;	/* the writer has done what CPU 0 wants */

	struct revoke_writer writer[THREADS_MAX];
};

/* For evidence() and counter(). */
extern const char *const revoke_method_names[REVOKE_METHODS];

void revoke_writers_start(struct revoke *r);
void revoke_writers_stop(struct revoke *r);

/* What the call takes is in `taken`, and the call has returned; or the next round begins. */
void revoke_next_state(struct revoke *r);

/* Until the writer has tried what was taken, CPU 0 spinning for so long before it sleeps. */
void revoke_wait_for_arrival(struct revoke *r, uint64_t spin_ns);

/* Until the writer has begun and ended a pass. */
void revoke_wait_for_passes(struct revoke *r);

/* A store landed where it must not. */
void revoke_note_landed(struct revoke *r);

/* Is it what a writer stores? */
bool revoke_is_writers(uint64_t value);

/* Pages of files this process has mapped. Without a lock, which munmap() may hold. */
unsigned long scavenge_shared_pages(const struct revoke *r);

/* UNMAP_ANON's interrupter looks, and takes; true when it has what it came for. */
bool scavenge_try(struct revoke *r, uint32_t round, struct rng *rng);

/* A store of a writer's in what was taken has landed where it must not. */
void scavenge_verify(struct revoke *r, uint32_t round);

/* A whole case. With `scavenge` every other round is UNMAP_ANON. */
enum outcome revoke_run(struct revoke *r, const struct guest_args *args, bool scavenge);

#endif
