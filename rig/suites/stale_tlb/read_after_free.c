// SPDX-License-Identifier: GPL-2.0-only
/*
 * read_after_free: a reader with a warm TLB entry never reads data of another process that
 * was given the page after it was freed.
 *
 * The rule: before a page is freed, every CPU's TLB entry for it is flushed, also the clean
 * and read-only ones: "if a PTE was dirty when it was unmapped ... it's flushed before any
 * IO is initiated on the page to prevent lost writes. Similarly, it must be flushed before
 * freeing to prevent data leakage" (mm/rmap.c, try_to_unmap_flush()). For pages that were
 * only read, nothing is flushed before pageout. Only the calls before free_unref_folios()
 * and at the end of shrink_folio_list() (mm/vmscan.c) flush them. commit 72b252aed506 ("mm:
 * send one IPI per CPU to TLB flush all entries after unmapping pages") (in v4.3).
 *
 * One round:
 *
 * 1. The readers go to another window, which is swapped in, and make whole passes over it:
 *    the pages are clean and in every reader's TLB.
 * 2. One reader does not rest any more: a CPU that returns from idle flushes what it has
 *    missed (x86-64: switch_mm_irqs_off()). Only one, because CPU 0 needs to run as well.
 * 3. CPU 0 reclaims the window and wakes the neighbour, another process on the same CPU. It
 *    allocates as many pages and writes to all of them. Most of them are the same pages,
 *    because this CPU's free list is last in, first out; how many is counted by their frame
 *    numbers.
 * 4. Whole passes: a reader that sees anything but what was written to the region has read
 *    the neighbour's memory.
 */
#include "stale_tlb.h"
#include "writers.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WINDOW_PAGES	128

/* Swap on zram, then on the disk; each on both LRUs. */
#define PHASES		4

/*
 * What the neighbour writes. "Neighbor" in ASCII, so that it is easy to see in the
 * evidence.
 */
#define NEIGHBOURS_WORD	0x4e65696768626f72ULL

struct neighbour {
	int ask[2];
	int answer[2];
	uint64_t *frames;	/* of its pages; in shared memory */
};

struct after_free {
	struct writers w;
	struct neighbour neighbour;
	uint64_t *frames;
	uint64_t frames_reused;
};

/* Frame numbers of the pages that are present, 0 for the rest. */
static void read_frames(uint64_t *frames, const void *start)
{
	size_t i;

	pagemap_read(start, WINDOW_PAGES, frames);
	for (i = 0; i < WINDOW_PAGES; i++)
		frames[i] = frames[i] & PAGEMAP_PRESENT ? frames[i] & PAGEMAP_PFN : 0;
}

/* Send the byte that the other process waits for. */
static void send_byte(int fd)
{
	if (write(fd, "", 1) != 1)
		bail("cannot write to a pipe: %s", strerror(errno));
}

static bool receive_byte(int fd)
{
	char byte;
	ssize_t got;

	while ((got = read(fd, &byte, 1)) < 0 && errno == EINTR)
		;
	return got == 1;
}

static void run_neighbour(struct neighbour *n)
{
	uint64_t *pages;
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin_self(0);
	while (receive_byte(n->ask[0])) {
		pages = region_map(WINDOW_PAGES * page_size(), page_size());
		thp_choose(pages, WINDOW_PAGES * page_size(), 0);
		for (i = 0; i < WINDOW_PAGES * page_size() / sizeof(*pages); i++)
			pages[i] = NEIGHBOURS_WORD;
		read_frames(n->frames, pages);
		send_byte(n->answer[1]);
		if (!receive_byte(n->ask[0]))
			break;
		region_unmap(pages, WINDOW_PAGES * page_size());
		send_byte(n->answer[1]);
	}
	_exit(0);
}

/* Forks: call it before this process enters a memory cgroup or starts a thread. */
static void start_neighbour(struct neighbour *n)
{
	pid_t pid;

	n->frames = mmap(NULL, WINDOW_PAGES * sizeof(*n->frames), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n->frames == MAP_FAILED || pipe(n->ask) || pipe(n->answer))
		bail("no memory or no pipe for a neighbour: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		bail("fork: %s", strerror(errno));
	if (!pid) {
		close(n->ask[1]);
		run_neighbour(n);
	}
	close(n->ask[0]);
	close(n->answer[1]);
}

static void neighbour_next_step(struct neighbour *n)
{
	send_byte(n->ask[1]);
	if (!receive_byte(n->answer[0]))
		bail("the neighbour is gone");
}

static uint64_t count_common(const uint64_t *a, const uint64_t *b)
{
	uint64_t common = 0;
	size_t i, k;

	for (i = 0; i < WINDOW_PAGES; i++)
		for (k = 0; a[i] && k < WINDOW_PAGES; k++)
			common += a[i] == b[k];
	return common;
}

static void one_round(struct after_free *a, uint64_t round)
{
	struct writers *w = &a->w;
	unsigned int window = rng_below(&w->rng, w->pages / WINDOW_PAGES) * WINDOW_PAGES;

	writers_read_window(w, window);
	atomic_store(&w->no_rest, true);
	writers_wait(w);
	read_frames(a->frames, w->region + window * page_size());
	writers_reclaim(w, window, WINDOW_PAGES * page_size(), round % 4 != 3);
	atomic_store(&w->reclaiming, true);
	neighbour_next_step(&a->neighbour);
	a->frames_reused += count_common(a->frames, a->neighbour.frames);
	writers_wait(w);
	atomic_store(&w->reclaiming, false);
	atomic_store(&w->no_rest, false);
	flush_pending_batch(w->other_page);
	neighbour_next_step(&a->neighbour);
}

static void all_rounds(struct after_free *a, uint64_t rounds)
{
	uint64_t round, phase_rounds = (rounds + PHASES - 1) / PHASES;

	for (round = 0; round < rounds && !atomic_load(&a->w.lost); round++) {
		uint64_t phase = round / phase_rounds;

		if (round % phase_rounds == 0) {
			const char *kind = phase < PHASES / 2 ? "zram" : "disk";

			if (!swap_only(kind))
				bail("no swap on %s", kind);
			lru_gen_set(phase % 2);
		}
		one_round(a, round);
	}
}

static void prepare(struct after_free *a)
{
	a->w.window_pages = WINDOW_PAGES;
	writers_set(&a->w, READ_ONLY);
	start_neighbour(&a->neighbour);
	writers_map_anon(&a->w);
	a->frames = locked_alloc(WINDOW_PAGES * sizeof(*a->frames));
	set_file("/proc/sys/vm/page-cluster", "0");
}

enum outcome read_after_free(const struct guest_args *args)
{
	static struct after_free a;
	uint64_t words = 0;

	if (!writers_init(&a.w, args))
		return SKIPPED;
	prepare(&a);
	writers_count_swap(&a.w);
	writers_start(&a.w);
	all_rounds(&a, args->iterations);
	writers_join(&a.w);
	if (!atomic_load(&a.w.lost))
		words = writers_verify(&a.w);
	counter("frames_reused", a.frames_reused);
	return writers_report_swap(&a.w, words);
}
