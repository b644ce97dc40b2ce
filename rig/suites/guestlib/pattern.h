/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages filled so that every word of every page of every generation is another:
 * word i is key + i * GOLDEN_RATIO. One multiplication-free step per word keeps
 * emulated CPUs quick; the key is well mixed, and no two words of a page agree.
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

/* Number of bytes which are not as pattern_fill() wrote them. */
size_t pattern_bad_bytes(const void *page, size_t size, uint64_t key);

/* True when all bytes are zero. */
bool page_is_zero(const void *page, size_t size);

/* The first wrong word, for evidence(). */
struct pattern_fault {
	size_t offset;
	uint64_t wrote;
	uint64_t read;
};

/* True, and *fault filled in, when the page is not as pattern_fill() wrote it. */
bool pattern_first_fault(const void *page, size_t size, uint64_t key,
			 struct pattern_fault *fault);

#endif
