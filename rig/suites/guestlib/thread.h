/* SPDX-License-Identifier: GPL-2.0-only */
/* Threads that stay on their CPU, and ways for them to wait for each other. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define THREADS_MAX	64

/* Keeps what one thread writes all the time out of the others' cache lines. */
#define CACHE_ALIGNED	__attribute__((aligned(64)))

unsigned int threads_online(void);

/* Bail out unless CPUs 0..cpus-1 can be had. */
void threads_require(unsigned int cpus);

void pin_self(unsigned int cpu);

/*
 * A thread on `cpu`, at most one there at a time. Its stack is locked: on a kernel
 * that loses writes it would be the first to go, and the thread with it, before
 * anybody can say what was lost.
 */
pthread_t thread_on(unsigned int cpu, void *(*run)(void *), void *arg);
void thread_join(pthread_t thread);

/* Number of major faults, that is of swap-ins, this thread has taken. */
uint64_t thread_major_faults(void);

/* Sleep while *word is `value`; spurious wakeups happen. */
void futex_wait(_Atomic uint32_t *word, uint32_t value);
void futex_wake_all(_Atomic uint32_t *word);

#endif
