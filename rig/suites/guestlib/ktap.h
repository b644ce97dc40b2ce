/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel TAP (Documentation/dev-tools/ktap.rst) with two additions of the rig: "# counter
 * NAME VALUE" and "# evidence TEXT".
 *
 * Every line is printed at once, by one write(2), from any thread. A kernel that crashes
 * later cannot take away what was printed before.
 */
#ifndef KTAP_H
#define KTAP_H

#include <stdint.h>

enum outcome { OK, NOT_OK, SKIPPED };

/* Enough to see the pattern; a serial console is slow. */
#define EVIDENCE_MAX	32

#define PRINTF_LIKE	__attribute__((format(printf, 1, 2)))

void ktap_plan(unsigned int cases);
void ktap_result(enum outcome outcome, const char *name);
void diag(const char *format, ...) PRINTF_LIKE;
void counter(const char *name, uint64_t value);
void evidence(const char *format, ...) PRINTF_LIKE;

/* Number of calls of evidence(), printed or not. */
unsigned int evidence_count(void);

/* Returns SKIPPED, so that a case can say `return skip("...")`. */
enum outcome skip(const char *format, ...) PRINTF_LIKE;

/* The guest lacks something that the case needs. This is no verdict on the kernel. */
void bail(const char *format, ...) PRINTF_LIKE __attribute__((noreturn));

#endif
