// SPDX-License-Identifier: GPL-2.0-only
#include "expected.h"
#include "guest.h"

#include <inttypes.h>
#include <string.h>

void book_open(struct book *b, const char *what, char *region, size_t bytes, uint64_t seed)
{
	*b = (struct book){
		.what = what, .region = region, .pages = bytes / page_size(), .seed = seed,
	};
	b->key = locked_alloc(b->pages * sizeof(*b->key));
	b->before = locked_alloc(b->pages * sizeof(*b->before));
}

void book_reopen(struct book *b, const char *what, char *region, size_t bytes)
{
	b->pages = bytes / page_size();
	b->what = what;
	b->region = region;
	memset(b->key, 0, b->pages * sizeof(*b->key));
	memset(b->before, 0, b->pages * sizeof(*b->before));
}

char *book_page(const struct book *b, size_t page)
{
	return b->region + page * page_size();
}

uint64_t book_next(struct book *b, size_t page)
{
	b->before[page] = b->key[page];
	return b->key[page] = pattern_key(b->seed, ++b->writes, page);
}

void book_zero(struct book *b, size_t page)
{
	b->before[page] = b->key[page];
	b->key[page] = 0;
}

void book_write(struct book *b, size_t page)
{
	pattern_fill(book_page(b, page), page_size(), book_next(b, page));
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

static const char *origin(const struct book *b, size_t page, const struct pattern_fault *fault)
{
	size_t i, word = fault->offset / sizeof(uint64_t);

	if (fault->read == word_of(b->before[page], word))
		return "as before it was last written";
	if (!fault->read)
		return "zero";
	for (i = 0; i < b->pages; i++)
		if (fault->read == word_of(b->key[i], word))
			return "another page of it";
	return "foreign";
}

bool book_verify_copy(struct book *b, size_t page, const void *copy, const char *how)
{
	struct pattern_fault fault;
	uint64_t key = b->key[page];

	b->verified++;
	if (key ? !pattern_first_fault(copy, page_size(), key, &fault) : !zero_fault(copy, &fault))
		return true;
	evidence("%s, page %zu, offset %zu, %s: wrote 0x%" PRIx64 ", read back 0x%" PRIx64 " (%s)",
		 b->what, page, fault.offset, how, fault.wrote, fault.read,
		 origin(b, page, &fault));
	b->bad++;
	if (key)
		b->bad_bytes += pattern_bad_bytes(copy, page_size(), key);
	return false;
}

bool book_verify(struct book *b, size_t page)
{
	return book_verify_copy(b, page, book_page(b, page), "mapped");
}

bool book_is_hopeless(const struct book *b)
{
	return b->bad >= BOOK_BAD_MAX;
}

void book_verify_last(struct book *b, size_t from, size_t folio_pages)
{
	size_t page;

	for (page = from + folio_pages - 1; page < b->pages && !book_is_hopeless(b);
	     page += folio_pages)
		book_verify(b, page);
}

void book_verify_all(struct book *b)
{
	size_t page;

	for (page = 0; page < b->pages && !book_is_hopeless(b); page++)
		book_verify(b, page);
}

void book_report(const struct book *b)
{
	counter("pages_verified", b->verified);
	counter("pages_bad", b->bad);
	counter("bytes_bad", b->bad_bytes);
}
