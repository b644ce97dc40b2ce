// SPDX-License-Identifier: GPL-2.0-only
/*
 * shmem_lost_write: no store through a MAP_SHARED mapping of tmpfs is lost when
 * reclaim takes the page to swap.
 *
 * Two rules:
 *
 * - As with anonymous memory, every CPU's TLB entry is gone before the page is
 *   written (try_to_unmap_flush_dirty() in shrink_folio_list()) and freed. commit
 *   d950c9477d51 ("mm: defer flush of writable TLB entries") (in v4.3).
 * - A PTE's dirty bit is the folio's when it is unmapped (try_to_unmap_one()). tmpfs
 *   is where that matters: nobody counts its dirty pages, so a store to a page mapped
 *   by a read faults nowhere (vma_wants_writenotify()), and for a hole that has been
 *   read, and only then written, the PTE's bit is all that is known of the store. A
 *   folio thought to be clean is freed, not written: a hole again.
 *
 * and, where two holes of three are filled with large folios, a third:
 *
 * - Where the PTEs of a large folio are cleared together, all its pages are flushed
 *   (set_tlb_ubc_flush_pending(), arm64's arch_tlbbatch_add_pending()). commit
 *   2f4ab3ac10e1 ("mm: support tlbbatch flush for a range of PTEs") (in v6.15).
 *
 * One round: as in anon_lost_write. In every other one the window is first made a
 * hole, the writers only read it, zeroes, and then write: page, translation and what
 * is stored are new.
 */
#include "stale_tlb.h"
#include "writers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_PAGES	128

/* Few pages at first, see anon_lost_write.c. */
#define GENTLE_ROUNDS	4
#define FIRST_PAGES		8U

#define LRU_PHASES	4

#define LARGE_KB	64
#define LARGE_SWITCH	"/sys/kernel/mm/transparent_hugepage/hugepages-64kB/shmem_enabled"

struct shmem {
	struct writers *w;
	struct rng rng;
	char *other_page;
	int fd;
	bool large;		/* this kernel has large folios in tmpfs */
	uint64_t rounds_classic;
	uint64_t rounds_mglru;
	uint64_t rounds_holes;
	uint64_t by_pageout;
	uint64_t by_memory_reclaim;
};

/* A hole where nobody is, and the writers, who only look, into it. */
static void read_hole(struct shmem *s, unsigned int window)
{
	struct writers *w = s->w;

	if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(window * page_size()), (off_t)(w->window_pages * page_size())))
		bail("no FALLOC_FL_PUNCH_HOLE: %s", strerror(errno));
	/* Not thp_choose(), which speaks of anonymous memory. */
	region_advise(w->region + window * page_size(), w->window_pages * page_size(),
		      s->large && s->rounds_holes % 3 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	writers_expect_zero(w, window, w->window_pages);
	writers_set(w, READ_ONLY);
	writers_wait(w);
	atomic_store(&w->window, window);
	writers_wait(w);
	writers_set(w, WRITE_ALWAYS);
	s->rounds_holes++;
}

static void one_round(struct shmem *s, uint64_t round)
{
	struct writers *w = s->w;
	unsigned int previous = atomic_load(&w->window), window = previous;
	unsigned int pages = round < GENTLE_ROUNDS ? FIRST_PAGES << round : w->window_pages;
	bool pageout = round / 2 % 2;

	while (window == previous)
		window = rng_below(&s->rng, w->pages / w->window_pages) * w->window_pages;
	atomic_store(&w->busy_cpu, 1 + rng_below(&s->rng, w->count));
	if (round % 2 == 0)
		read_hole(s, window);
	atomic_store(&w->window, window);
	writers_wait(w);
	region_pageout(w->region + previous * page_size(), w->window_pages * page_size());
	writers_wait(w);
	*(pageout ? &s->by_pageout : &s->by_memory_reclaim) +=
		writers_reclaim(w, window, pages * page_size(), pageout);
	if (round % 8 >= 6)
		writers_wait(w);
	flush_pending_batch(s->other_page);
	writers_wait(w);
}

static void all_rounds(struct shmem *s, uint64_t rounds)
{
	uint64_t round, phase_rounds = (rounds + LRU_PHASES - 1) / LRU_PHASES;

	for (round = 0; round < rounds && !atomic_load(&s->w->lost); round++) {
		if (round % phase_rounds == 0)
			lru_gen_set(round / phase_rounds % 2);
		*(lru_gen_is_on() ? &s->rounds_mglru : &s->rounds_classic) += 1;
		one_round(s, round);
	}
}

static void prepare(struct shmem *s)
{
	size_t size = s->w->pages * page_size();

	s->fd = memfd_create("shmem_lost_write", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)size))
		bail("no tmpfs file: %s", strerror(errno));
	lock_present();
	memcg_enter();
	s->other_page = locked_alloc(page_size());
	/* A large folio is one in the file and in memory alike. */
	s->w->region = mmap(region_map(size, LARGE_KB * 1024), size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, s->fd, 0);
	if (s->w->region == MAP_FAILED)
		bail("cannot map a tmpfs file: %s", strerror(errno));
	s->large = set_file(LARGE_SWITCH, "advise");
}

enum outcome shmem_lost_write(const struct guest_args *args)
{
	static struct writers w = { .window_pages = WINDOW_PAGES, .holes = true };
	struct shmem s = { .w = &w, .rng = rng_fork(args->seed, 0) };
	struct vmstat_delta deltas[] = { { .name = "pswpout" }, { .name = "pswpin" } };
	size_t count = sizeof(deltas) / sizeof(*deltas);
	uint64_t large = thp_stat(LARGE_KB, "shmem_alloc"), words = 0;

	if (args->cpus < 2)
		return skip("a writer needs a CPU besides the reclaimer's");
	w.seed = args->seed;
	w.pages = args->pages;
	w.count = args->cpus - 1;
	swap_require(2 * args->pages * page_size());
	pin_self(0);
	prepare(&s);
	vmstat_start(deltas, count);
	writers_start(&w);
	all_rounds(&s, args->iterations);
	writers_join(&w);
	if (!atomic_load(&w.lost)) {
		/* Once more through swap, so that the last word is not a stale entry's. */
		region_pageout(w.region, w.pages * page_size());
		words = writers_verify(&w);
	}
	counter("rounds_classic", s.rounds_classic);
	counter("rounds_mglru", s.rounds_mglru);
	counter("rounds_holes", s.rounds_holes);
	counter("large_folios", thp_stat(LARGE_KB, "shmem_alloc") - large);
	counter("pswpout", vmstat_since(deltas, count, "pswpout"));
	counter("pswpin", vmstat_since(deltas, count, "pswpin"));
	counter("reclaimed_by_memory_reclaim", s.by_memory_reclaim);
	counter("reclaimed_by_pageout", s.by_pageout);
	counter("words_verified", words);
	writers_report(&w);
	return atomic_load(&w.lost) ? NOT_OK : OK;
}
