// SPDX-License-Identifier: GPL-2.0-only
#include "pattern.h"

void pattern_fill(void *page, size_t size, uint64_t key)
{
	uint64_t *word = page, *end = word + size / sizeof(*word);

	for (; word < end; word++, key += GOLDEN_RATIO)
		*word = key;
}

bool pattern_first_fault(const void *page, size_t size, uint64_t key,
			 struct pattern_fault *fault)
{
	const volatile uint64_t *words = page;
	size_t i, count = size / sizeof(*words);
	uint64_t word;

	for (i = 0; i < count; i++, key += GOLDEN_RATIO) {
		word = words[i];
		if (word == key)
			continue;
		*fault = (struct pattern_fault){
			.offset = i * sizeof(word), .wrote = key, .read = word,
		};
		return true;
	}
	return false;
}

static size_t differing_bytes(uint64_t a, uint64_t b)
{
	size_t count = 0;
	uint64_t x;

	for (x = a ^ b; x; x >>= 8)
		count += (x & 0xff) != 0;
	return count;
}

size_t pattern_bad_bytes(const void *page, size_t size, uint64_t key)
{
	const volatile uint64_t *words = page;
	size_t i, count = size / sizeof(*words), bad = 0;

	for (i = 0; i < count; i++, key += GOLDEN_RATIO)
		bad += differing_bytes(words[i], key);
	return bad;
}

bool page_is_zero(const void *page, size_t size)
{
	const volatile uint64_t *words = page;
	size_t i, count = size / sizeof(*words);

	for (i = 0; i < count; i++)
		if (words[i])
			return false;
	return true;
}
