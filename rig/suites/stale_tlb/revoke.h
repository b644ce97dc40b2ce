/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A system call (munmap, mprotect, mremap) takes memory from a process while other threads
 * store to it. After the call has returned, none of their stores may land.
 *
 * Who does what:
 *
 * - A writer on one of the CPUs 1..cpus-1 stores to a window of pages until its
 *   translations are in the TLB, and keeps them there. When it sees that the call has
 *   returned, it stores to the pages that the call took; each of these stores must fault.
 *   Only one writer per round, so that the rest of the kernel has idle CPUs to run on: on
 *   x86-64 a thread that was off its CPU has its TLB flushed (switch_mm_irqs_off()).
 * - The main thread on CPU 0 is in the kernel, in an operation with a pending TLB flush:
 *   reclaim; migration, which unmaps with the same batch (commit 7e12beb8ca2a
 *   ("migrate_pages: batch flushing TLB") (in v6.3)) and, unlike reclaim, unmaps many pages
 *   before it flushes; or munmap itself.
 * - A real-time thread on CPU 0 interrupts the main thread at a random moment. While it
 *   runs, the flush stays pending. A window of microseconds lasts as long as the writer
 *   needs, so the race does not depend on luck.
 */
#ifndef REVOKE_H
#define REVOKE_H

#include "guest.h"

/*
 * The window, and the part of it that the writer uses. QEMU's TLB of a CPU that was idle
 * has 64 entries and is direct-mapped, so only this many can be relied on. The other pages
 * make CPU 0's operation last longer between the unmapping of the writer's pages and the
 * flush.
 */
#define REVOKE_PAGES	128U
#define HOT_PAGES	32U

/*
 * File pages that munmap() unmaps after the writer's pages. They take time: the writer's
 * pages are freed, and munmap() has not returned yet. They are not freed themselves, so the
 * writer's pages remain the first that this CPU allocates. They fill sixteen page tables of
 * 4 KiB, so that the mapped size shows at once when munmap() has finished with the last one. Not
 * more: with about 10,000 pages munmap() would flush early (mm/mmu_gather.c:
 * MAX_GATHER_BATCH_COUNT).
 */
#define BALLAST_PAGES	8160U
#define BALLAST_BYTES_MAX	(32UL << 20)

/* The interrupter allocates this many of the pages that munmap() has freed. */
#define SCAVENGE_PAGES	64U

/*
 * How often the interrupter looks, with longer pauses each time. It sleeps as long as it
 * has looked: the interrupted operation needs time to proceed, also on a slow and busy host
 * and where an instruction takes 128 ns.
 */
#define LOOK_NS		40000

/* Stop after this many stores that landed. */
#define LANDED_MAX	32

/* What CPU 0 is doing when it is interrupted, and to which memory. */
enum revoke_method {
	RECLAIM_ANON,
	MIGRATE_ANON,
	MIGRATE_FILE,
	UNMAP_ANON,	/* munmap of everything; the interrupter allocates the freed pages */
	WHOLE_PMD,	/* nothing: the call takes memory that a PMD maps (revoke_pmd.c) */
	REVOKE_METHODS,
};

struct revoke_writer {
	struct revoke *revoke;
	pthread_t thread;
	unsigned int cpu;
	uint64_t stores;		/* that landed while this was allowed */
	uint32_t refused_mask;		/* a bit for each page where a store faulted this round */
	uint64_t refused;		/* stores that faulted after the call, as they must */
	_Atomic uint64_t passes;	/* whole passes over the window */
	_Atomic uint64_t passes_wanted;	/* notify CPU 0 at this number; 0: do not */
} CACHE_ALIGNED;

struct revoke {
	const char *call_name;
	/* Makes the call, which takes [address, address + size) from the writers. */
	void (*call)(struct revoke *r, char *address, size_t size);
	bool pmd_rounds;		/* some rounds are WHOLE_PMD */
	uint64_t seed;
	unsigned int count;

	/* Used by CPU 0. */
	struct rng rng;
	enum revoke_method method;		/* of this round */
	char *window;			/* aligned to what a page table maps */
	char *spare;			/* free addresses, for mremap() */
	char *moved;			/* where mremap() has moved pages to, if not to spare */
	size_t moved_size;
	char *scavenged;		/* pages that the interrupter has allocated */
	int file;
	int ballast;
	int pagemap;
	int statm;
	unsigned int scavenged_pages;
	unsigned long shared;		/* shared pages while the ballast is mapped */
	uint64_t reclaimed;
	uint64_t migrated;
	uint64_t pmds_taken;

	/* Used by the interrupter. */
	pthread_t interrupter;
	_Atomic uint32_t armed;		/* the round that it is to interrupt */
	_Atomic uint32_t interrupted;	/* the round that it has finished */
	uint64_t rounds[REVOKE_METHODS];
	uint64_t in_time[REVOKE_METHODS];	/* rounds in which a flush may have been pending */
	uint64_t unmapped[REVOKE_METHODS];	/* pages without a PTE that the call took then */

	/* Odd after the call has returned. */
	_Atomic uint32_t state CACHE_ALIGNED;
	unsigned int active;		/* CPU of this round's writer */
	/* What the call took, in pages of the window: */
	unsigned int taken_first;
	unsigned int taken_pages;
	atomic_bool in_kernel;		/* CPU 0 is in the kernel, or was when interrupted */
	atomic_bool stop;

	_Atomic uint32_t landed CACHE_ALIGNED;	/* stores that landed after the call */
	_Atomic uint32_t arrived CACHE_ALIGNED;	/* the writer has done what CPU 0 waits for */

	struct revoke_writer writer[THREADS_MAX];
};

/* For evidence() and counter(). */
extern const char *const revoke_method_names[REVOKE_METHODS];

void revoke_writers_start(struct revoke *r);
void revoke_writers_stop(struct revoke *r);

/*
 * Tell the writers that the call has returned (taken_first and taken_pages are set), or
 * that the next round begins.
 */
void revoke_next_state(struct revoke *r);

/*
 * Wait until the writer has stored to what was taken. CPU 0 spins for `spin_ns` before it
 * sleeps.
 */
void revoke_wait_for_arrival(struct revoke *r, uint64_t spin_ns);

/* Wait until the writer has begun and finished a pass. */
void revoke_wait_for_passes(struct revoke *r);

/* Count a store that landed after the call. */
void revoke_note_landed(struct revoke *r);

/* True when a writer has stored this value. */
bool revoke_is_writers(uint64_t value);

/*
 * Number of file pages that this process has mapped. Takes no lock, because munmap() may
 * hold it.
 */
unsigned long scavenge_shared_pages(const struct revoke *r);

/* What the interrupter does for UNMAP_ANON. True when it has finished. */
bool scavenge_try(struct revoke *r, uint32_t round, struct rng *rng);

/* Report stores of the writer that are in the pages the interrupter has allocated. */
void scavenge_verify(struct revoke *r, uint32_t round);

/* A whole round of WHOLE_PMD. */
void revoke_pmd_round(struct revoke *r);

/* Run a whole case. With `scavenge`, every other round is UNMAP_ANON. */
enum outcome revoke_run(struct revoke *r, const struct guest_args *args, bool scavenge);

#endif
