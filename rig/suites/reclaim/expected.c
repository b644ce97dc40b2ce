// SPDX-License-Identifier: GPL-2.0-only
#include "expected.h"
#include "guest.h"

#include <inttypes.h>
#include <string.h>

void expected_init(struct expected *e, const char *what, char *region, size_t bytes,
		   uint64_t seed)
{
	*e = (struct expected){
		.what = what, .region = region, .pages = bytes / page_size(), .seed = seed,
	};
	e->key = locked_alloc(e->pages * sizeof(*e->key));
	e->before = locked_alloc(e->pages * sizeof(*e->before));
}

void expected_reset(struct expected *e, const char *what, char *region, size_t bytes)
{
	e->pages = bytes / page_size();
	e->what = what;
	e->region = region;
	memset(e->key, 0, e->pages * sizeof(*e->key));
	memset(e->before, 0, e->pages * sizeof(*e->before));
}

char *expected_page(const struct expected *e, size_t page)
{
	return e->region + page * page_size();
}

uint64_t expected_next(struct expected *e, size_t page)
{
	e->before[page] = e->key[page];
	return e->key[page] = pattern_key(e->seed, ++e->writes, page);
}

void expected_zero(struct expected *e, size_t page)
{
	e->before[page] = e->key[page];
	e->key[page] = 0;
}

void expected_write(struct expected *e, size_t page)
{
	pattern_fill(expected_page(e, page), page_size(), expected_next(e, page));
}

/* Word i of a page with this key. */
static uint64_t word_of(uint64_t key, size_t i)
{
	return key ? key + i * GOLDEN_RATIO : 0;
}

static bool zero_fault(const void *page, struct pattern_fault *fault)
{
	const volatile uint64_t *words = page;
	size_t i, count = page_size() / sizeof(*words);

	for (i = 0; i < count; i++) {
		uint64_t word = words[i];

		if (!word)
			continue;
		*fault = (struct pattern_fault){ .offset = i * sizeof(word), .read = word };
		return true;
	}
	return false;
}

static const char *origin(const struct expected *e, size_t page,
			  const struct pattern_fault *fault)
{
	size_t i, word = fault->offset / sizeof(uint64_t);

	if (fault->read == word_of(e->before[page], word))
		return "the content before the last write";
	if (!fault->read)
		return "zero";
	for (i = 0; i < e->pages; i++)
		if (fault->read == word_of(e->key[i], word))
			return "the content of another page";
	return "foreign";
}

bool expected_verify_copy(struct expected *e, size_t page, const void *copy, const char *how)
{
	struct pattern_fault fault;
	uint64_t key = e->key[page];

	e->verified++;
	if (key ? !pattern_first_fault(copy, page_size(), key, &fault) : !zero_fault(copy, &fault))
		return true;
	evidence("%s, page %zu, offset %zu, %s: wrote 0x%" PRIx64 ", read back 0x%" PRIx64 " (%s)",
		 e->what, page, fault.offset, how, fault.wrote, fault.read,
		 origin(e, page, &fault));
	e->bad++;
	if (key)
		e->bad_bytes += pattern_bad_bytes(copy, page_size(), key);
	return false;
}

bool expected_verify(struct expected *e, size_t page)
{
	return expected_verify_copy(e, page, expected_page(e, page), "mapped");
}

bool expected_many_bad(const struct expected *e)
{
	return e->bad >= EXPECTED_BAD_MAX;
}

void expected_verify_last(struct expected *e, size_t from, size_t folio_pages)
{
	size_t page;

	for (page = from + folio_pages - 1; page < e->pages && !expected_many_bad(e);
	     page += folio_pages)
		expected_verify(e, page);
}

void expected_verify_all(struct expected *e)
{
	size_t page;

	for (page = 0; page < e->pages && !expected_many_bad(e); page++)
		expected_verify(e, page);
}

void expected_report(const struct expected *e)
{
	counter("pages_verified", e->verified);
	counter("pages_bad", e->bad);
	counter("bytes_bad", e->bad_bytes);
}
