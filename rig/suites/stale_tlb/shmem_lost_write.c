// SPDX-License-Identifier: GPL-2.0-only
/*
 * shmem_lost_write: no store through a MAP_SHARED mapping of tmpfs is lost when reclaim
 * writes the page to swap.
 *
 * Two rules:
 *
 * - As for anonymous memory, every CPU's TLB entry is flushed before the page is written
 *   (try_to_unmap_flush_dirty() in shrink_folio_list()) and before it is freed. commit
 *   d950c9477d51 ("mm: defer flush of writable TLB entries") (in v4.3).
 * - When a page is unmapped, the PTE's dirty bit goes to the folio (try_to_unmap_one()).
 *   tmpfs depends on this: it does not count dirty pages, so a store to a page that was
 *   mapped by a read causes no fault (vma_wants_writenotify()). If a hole was read first
 *   and written later, the PTE's dirty bit is the only trace of the store. A folio that is
 *   taken for clean is freed without being written, and the file has a hole there again.
 *
 * Two of three holes are filled with large folios, for a third rule:
 *
 * - Where the PTEs of a large folio are cleared together, all its pages are flushed
 *   (set_tlb_ubc_flush_pending(), arm64's arch_tlbbatch_add_pending()). commit 2f4ab3ac10e1
 *   ("mm: support tlbbatch flush for a range of PTEs") (in v6.15).
 *
 * A round is like one of anon_lost_write. In every other round the window is first made a
 * hole; the writers read it, which must give zeroes, and then write to it. So the page, its
 * translation and what is stored are all new.
 */
#include "stale_tlb.h"
#include "writers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_PAGES	128

#define LRU_PHASES	4


struct shmem {
	struct writers *w;
	int fd;
	bool large;		/* this kernel has large folios in tmpfs */
	uint64_t rounds_holes;
};

/* Punch a hole where no writer is. Then the writers go there and only read. */
static void read_hole(struct shmem *s, unsigned int window)
{
	struct writers *w = s->w;

	if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(window * page_size()), (off_t)(w->window_pages * page_size())))
		bail("no FALLOC_FL_PUNCH_HOLE: %s", strerror(errno));
	/* Not thp_choose(), which is for anonymous memory. */
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

static void one_round(void *arg, uint64_t round)
{
	struct shmem *s = arg;
	struct writers *w = s->w;
	unsigned int previous = atomic_load(&w->window), window = previous;
	size_t bytes = writers_gentle_pages(w, round) * page_size();

	while (window == previous)
		window = rng_below(&w->rng, w->pages / w->window_pages) * w->window_pages;
	writers_choose_busy_cpu(w);
	if (round % 2 == 0)
		read_hole(s, window);
	atomic_store(&w->window, window);
	writers_wait(w);
	region_pageout(w->region + previous * page_size(), w->window_pages * page_size());
	writers_wait(w);
	writers_reclaim(w, window, bytes, round / 2 % 2);
	writers_end_round(w, round);
}

static void prepare(struct shmem *s)
{
	size_t size = s->w->pages * page_size();
	char path[96];

	s->fd = memfd_create("shmem_lost_write", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)size))
		bail("no tmpfs file: %s", strerror(errno));
	lock_present();
	memcg_enter();
	s->w->other_page = locked_alloc(page_size());
	/* Aligned in memory as in the file, so that large folios can be mapped. */
	s->w->region = mmap(region_map(size, FOLIO_SMALL * page_size()), size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, s->fd, 0);
	if (s->w->region == MAP_FAILED)
		bail("cannot map a tmpfs file: %s", strerror(errno));
	snprintf(path, sizeof(path),
		 "/sys/kernel/mm/transparent_hugepage/hugepages-%ukB/shmem_enabled",
		 folio_kb(FOLIO_SMALL));
	s->large = set_file(path, "advise");
}

enum outcome shmem_lost_write(const struct guest_args *args)
{
	static struct writers w = { .window_pages = WINDOW_PAGES, .holes = true };
	struct shmem s = { .w = &w };
	uint64_t large = thp_stat(folio_kb(FOLIO_SMALL), "shmem_alloc"), words;

	if (!writers_init(&w, args))
		return SKIPPED;
	swap_require(2 * args->pages * page_size());
	pin_self(0);
	prepare(&s);
	writers_count_swap(&w);
	writers_start(&w);
	writers_run_rounds(&w, args->iterations, LRU_PHASES, one_round, &s);
	writers_join(&w);
	words = writers_verify_after_swap(&w);
	writers_report_rounds(&w);
	counter("rounds_holes", s.rounds_holes);
	counter("large_folios", thp_stat(folio_kb(FOLIO_SMALL), "shmem_alloc") - large);
	return writers_report_swap(&w, words);
}
