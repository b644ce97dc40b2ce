// SPDX-License-Identifier: GPL-2.0-only
#include "bench.h"

#include <stdio.h>
#include <time.h>

static struct vmstat_delta deltas[] = {
	{ .name = "pgscan_anon" }, { .name = "pgsteal_anon" }, { .name = "pgscan_file" },
	{ .name = "pgsteal_file" }, { .name = "pswpout" }, { .name = "pswpin" },
	{ .name = "pglazyfreed" }, { .name = "oom_kill" },
};
#define DELTAS	(sizeof(deltas) / sizeof(*deltas))

static struct {
	const char *name;
	const char *description;	/* as /proc/interrupts has it */
	uint64_t count;
	bool offered;
} interrupts[] = {
	/* Not on arm64, whose flushes are broadcast by hardware. */
	{ .name = "tlb_shootdowns", .description = "TLB shootdowns" },
	{ .name = "function_call_ipis", .description = "Function call interrupts" },
};
#define INTERRUPTS	(sizeof(interrupts) / sizeof(*interrupts))

static uint64_t values[DELTAS];
static uint64_t nanoseconds;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC_RAW, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Add the present values to the counts, or subtract them. */
static void count_interrupts(bool add)
{
	uint64_t count;
	size_t i;

	for (i = 0; i < INTERRUPTS; i++) {
		interrupts[i].offered = interrupt_count(interrupts[i].description, &count);
		interrupts[i].count += add ? count : -count;
	}
}

void bench_start(void)
{
	count_interrupts(false);
	vmstat_start(deltas, DELTAS);
	nanoseconds = now();
}

void bench_stop(void)
{
	size_t i;

	nanoseconds = now() - nanoseconds;
	for (i = 0; i < DELTAS; i++)
		values[i] = vmstat(deltas[i].name) - deltas[i].before;
	count_interrupts(true);
}

void bench_report(void)
{
	size_t i;

	counter("nanoseconds", nanoseconds);
	for (i = 0; i < DELTAS; i++)
		counter(deltas[i].name, values[i]);
	for (i = 0; i < INTERRUPTS; i++)
		if (interrupts[i].offered)
			counter(interrupts[i].name, interrupts[i].count);
}
