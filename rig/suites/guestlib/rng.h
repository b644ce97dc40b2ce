/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All random numbers derive from --seed, so that a seed identifies a run. The generator is
 * splitmix64 (Steele, Lea, Flood 2014): its state is one word, every seed is a good one,
 * and mixing in a number gives an independent stream.
 */
#ifndef RNG_H
#define RNG_H

#include <stdint.h>

#define GOLDEN_RATIO	0x9e3779b97f4a7c15ULL

struct rng {
	uint64_t state;
};

static inline uint64_t mix64(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline struct rng rng_fork(uint64_t seed, uint64_t stream)
{
	return (struct rng){ .state = mix64(seed + GOLDEN_RATIO * (stream + 1)) };
}

static inline uint64_t rng_next(struct rng *rng)
{
	rng->state += GOLDEN_RATIO;
	return mix64(rng->state);
}

/* 0 <= result < bound; the bias is below 2^-32 for the bounds used here. */
static inline uint32_t rng_below(struct rng *rng, uint32_t bound)
{
	return (uint32_t)(((rng_next(rng) >> 32) * bound) >> 32);
}

#endif
