/* SPDX-License-Identifier: GPL-2.0-only */
/* Threads that are pinned to a CPU, and ways to wait for each other. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define THREADS_MAX	64

/* For data that one thread writes all the time: keeps it out of the others' cache lines. */
#define CACHE_ALIGNED	__attribute__((aligned(64)))

unsigned int threads_online(void);

/* Bail out unless this process may run on CPUs 0..cpus-1. */
void threads_require(unsigned int cpus);

void pin_self(unsigned int cpu);

/*
 * Start a thread on `cpu`, at most one per CPU at a time. Its stack is locked: on a kernel
 * that loses writes the stack would be damaged first, and the thread would crash before it
 * can report anything.
 */
pthread_t thread_on(unsigned int cpu, void *(*run)(void *), void *arg);
void thread_join(pthread_t thread);

/* Number of major faults, that is swap-ins, of this thread. */
uint64_t thread_major_faults(void);

/* Sleep while *word is `value`. Spurious wakeups happen. */
void futex_wait(_Atomic uint32_t *word, uint32_t value);
void futex_wake_all(_Atomic uint32_t *word);

#endif
