/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fill pattern in which every word differs: from the other words of its page, from the
 * other pages, and from earlier generations. Word i is key + i * GOLDEN_RATIO, and the key
 * is well mixed. One addition per word keeps it fast on emulated CPUs.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rng.h"

static inline uint64_t pattern_key(uint64_t seed, uint64_t generation, uint64_t page)
{
	return mix64(mix64(seed + generation * GOLDEN_RATIO) + page) | 1;
}

void pattern_fill(void *page, size_t size, uint64_t key);

/* Number of bytes that differ from what pattern_fill() wrote. */
size_t pattern_bad_bytes(const void *page, size_t size, uint64_t key);

/* True when all bytes are zero. */
bool page_is_zero(const void *page, size_t size);

/* The first wrong word of a page, for evidence(). */
struct pattern_fault {
	size_t offset;
	uint64_t wrote;
	uint64_t read;
};

/* True, with *fault filled in, when the page differs from what pattern_fill() wrote. */
bool pattern_first_fault(const void *page, size_t size, uint64_t key,
			 struct pattern_fault *fault);

#endif
