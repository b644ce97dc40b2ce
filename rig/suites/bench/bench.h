/* SPDX-License-Identifier: GPL-2.0-only */
/* What benchmarks share: what the kernel counts, between two moments. */
#ifndef BENCH_H
#define BENCH_H

#include "guest.h"

/*
 * Starts to count; bench_stop() ends it, bench_report() says it. Between them: time, interrupts,
 * what reclaim has scanned and taken, and processes killed for want of memory.
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
