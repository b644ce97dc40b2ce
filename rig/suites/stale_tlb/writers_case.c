// SPDX-License-Identifier: GPL-2.0-only
/* What the cases with writers have in common: their beginning, their rounds and their end. */
#include "writers.h"

/*
 * On a kernel that loses writes, these land in memory that was given to somebody else. The
 * more pages it has freed, the sooner it crashes. So the first rounds take few pages: the
 * lost write is reported before the kernel goes down.
 */
#define GENTLE_ROUNDS	4
#define FIRST_PAGES	8U

bool writers_init(struct writers *w, const struct guest_args *args)
{
	if (args->cpus < 2) {
		skip("the writers need a CPU besides CPU 0");
		return false;
	}
	w->seed = args->seed;
	w->rng = rng_fork(args->seed, 0);
	w->pages = args->pages;
	w->count = args->cpus - 1;
	return true;
}

void writers_map_anon(struct writers *w)
{
	size_t size = w->pages * page_size();

	swap_require(2 * size);
	pin_self(0);
	lock_present();
	memcg_enter();
	w->other_page = locked_alloc(page_size());
	w->region = region_map(size, page_size());
	thp_choose(w->region, size, 0);
}

void writers_choose_busy_cpu(struct writers *w)
{
	atomic_store(&w->busy_cpu, 1 + rng_below(&w->rng, w->count));
}

void writers_read_window(struct writers *w, unsigned int window)
{
	unsigned int previous = atomic_load(&w->window);

	writers_set(w, PARKED);
	region_pageout(w->region + previous * page_size(), w->window_pages * page_size());
	atomic_store(&w->window, window);
	writers_choose_busy_cpu(w);
	writers_set(w, READ_ONLY);
	writers_wait(w);
}

unsigned int writers_gentle_pages(const struct writers *w, uint64_t round)
{
	if (round >= GENTLE_ROUNDS || FIRST_PAGES << round > w->window_pages)
		return w->window_pages;
	return FIRST_PAGES << round;
}

void writers_run_rounds(struct writers *w, uint64_t rounds, unsigned int lru_phases,
			void (*one_round)(void *arg, uint64_t round), void *arg)
{
	uint64_t round, phase_rounds = (rounds + lru_phases - 1) / lru_phases;

	for (round = 0; round < rounds && !atomic_load(&w->lost); round++) {
		if (round % phase_rounds == 0)
			lru_gen_set(round / phase_rounds % 2);
		*(lru_gen_is_on() ? &w->rounds_mglru : &w->rounds_classic) += 1;
		one_round(arg, round);
	}
}

void writers_end_round(struct writers *w, uint64_t round)
{
	if (round % 8 >= 6)
		writers_wait(w);
	flush_pending_batch(w->other_page);
	writers_wait(w);
}

uint64_t writers_verify_after_swap(struct writers *w)
{
	if (atomic_load(&w->lost))
		return 0;
	region_pageout(w->region, w->pages * page_size());
	return writers_verify(w);
}

void writers_count_swap(struct writers *w)
{
	w->swapped[0].name = "pswpout";
	w->swapped[1].name = "pswpin";
	vmstat_start(w->swapped, 2);
}

void writers_report_rounds(const struct writers *w)
{
	counter("rounds_classic", w->rounds_classic);
	counter("rounds_mglru", w->rounds_mglru);
}

enum outcome writers_report_swap(struct writers *w, uint64_t words)
{
	counter("pswpout", vmstat_since(w->swapped, 2, "pswpout"));
	counter("pswpin", vmstat_since(w->swapped, 2, "pswpin"));
	counter("reclaimed_by_memory_reclaim", w->by_memory_reclaim);
	counter("reclaimed_by_pageout", w->by_pageout);
	counter("words_verified", words);
	writers_report(w);
	return atomic_load(&w->lost) ? NOT_OK : OK;
}
