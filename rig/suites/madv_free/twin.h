/* SPDX-License-Identifier: GPL-2.0-only */
/* A forked child that does as it is told, a step at a time, and answers. */
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

/* In the child, on its own copy of everything: do `step`, answer what is in *answer then. */
typedef void (*twin_step)(void *arg, unsigned int step, struct twin_answer *answer);

void twin_start(struct twin *t, twin_step run, void *arg);

/* False when the child is gone, by no fault of its own. */
bool twin_tell(struct twin *t, unsigned int step, struct twin_answer *answer);

void twin_end(struct twin *t);

#endif
