/* SPDX-License-Identifier: GPL-2.0-only */
/* What benchmarks share: the kernel's counters over a period. */
#ifndef BENCH_H
#define BENCH_H

#include "guest.h"

/*
 * bench_start() begins the period, bench_stop() ends it, bench_report() prints the
 * counters: time, interrupts, pages scanned and reclaimed, and OOM kills.
 */
void bench_start(void);
void bench_stop(void);
void bench_report(void);

enum outcome shared_dirty_reclaim(const struct guest_args *args);
enum outcome shared_clean_reclaim(const struct guest_args *args);
enum outcome dirty_reclaim(const struct guest_args *args);
enum outcome lazyfree_reclaim(const struct guest_args *args);
enum outcome lazyfree_redirtied(const struct guest_args *args);

#endif
