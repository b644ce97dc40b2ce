/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel TAP (Documentation/dev-tools/ktap.rst) with the rig's two additions,
 * "# counter NAME VALUE" and "# evidence TEXT".
 *
 * Every line leaves in one write(2), at once and from any thread: what was seen
 * before the kernel went down is worth more than what could have been printed
 * after.
 */
#ifndef KTAP_H
#define KTAP_H

#include <stdint.h>

enum outcome { OK, NOT_OK, SKIPPED };

/* More says nothing more, and a serial console is slow. */
#define EVIDENCE_MAX	32

#define PRINTF_LIKE	__attribute__((format(printf, 1, 2)))

void ktap_plan(unsigned int cases);
void ktap_result(enum outcome outcome, const char *name);
void diag(const char *format, ...) PRINTF_LIKE;
void counter(const char *name, uint64_t value);
void evidence(const char *format, ...) PRINTF_LIKE;

/* How many calls of evidence() there were, printed or not. */
unsigned int evidence_count(void);

/* Returns SKIPPED, for `return skip("...")`. */
enum outcome skip(const char *format, ...) PRINTF_LIKE;

/* The guest is not what the case needs: no verdict on the kernel. */
void bail(const char *format, ...) PRINTF_LIKE __attribute__((noreturn));

#endif
