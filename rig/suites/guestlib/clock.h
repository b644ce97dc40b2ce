/* SPDX-License-Identifier: GPL-2.0-only */
/* Time, in nanoseconds. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* `ns` is less than a second. */
void sleep_ns(uint32_t ns);

#endif
