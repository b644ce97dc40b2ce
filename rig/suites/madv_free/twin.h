/* SPDX-License-Identifier: GPL-2.0-only */
/* A forked child that runs one step at a time, on request, and answers each time. */
#ifndef TWIN_H
#define TWIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct twin_answer {
	uint64_t old, zero, bad;
};

struct twin {
	pid_t pid;
	int to, from;
};

/* Runs in the child, on the child's copy of all memory: do `step` and fill in *answer. */
typedef void (*twin_step)(void *arg, unsigned int step, struct twin_answer *answer);

void twin_start(struct twin *t, twin_step run, void *arg);

/* Let the child run a step. False, with evidence, when the child has died. */
bool twin_tell(struct twin *t, unsigned int step, struct twin_answer *answer);

void twin_end(struct twin *t);

#endif
