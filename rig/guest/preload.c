// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into the QEMU of a seeded guest: keeps host time from changing the guest's run.
 *
 * 1. The main loop. Each virtual timer that expires wakes QEMU's main loop
 *    (icount_notify_aio_contexts(), accel/tcg/tcg-accel-ops-icount.c). The main loop then runs the
 *    timers that are due. So does the thread of the CPUs, and the host decides which is first. If
 *    the main loop is first, all CPUs lose the rest of their turns (qemu_cpu_kick()). Usually no
 *    timer is due, because the next one is far away. With a near one, one run in twenty differed.
 *    So the main loop waits here until no CPU executes: all are idle, or one is stopped, by gdb or
 *    at the end of the run.
 *
 * 2. The software TLBs. QEMU makes one smaller if it was little used for 100 ms of host time
 *    (tlb_mmu_resize_locked(), accel/tcg/cputlb.c). A smaller TLB drops entries, and the next lookup
 *    of such a page sets its accessed bit again, which the guest sees. So gettimeofday(), which that
 *    code uses, always returns the same time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
	POLL_NS = 200000, /* how often to look for a stopped CPU */
	START_OF_2020 = 1577836800, /* when the guest's clock begins */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static bool started;
static unsigned int idle_threads;
static unsigned long waits;

static void *(*get_cpu)(int index);
static bool (*is_stopped)(void *cpu);
static int (*real_wait)(pthread_cond_t *cond, pthread_mutex_t *mutex);
static int (*real_ppoll)(struct pollfd *fds, nfds_t count,
			 const struct timespec *timeout, const sigset_t *mask);

__attribute__((constructor)) static void find_functions(void)
{
	get_cpu = dlsym(RTLD_DEFAULT, "qemu_get_cpu");
	is_stopped = dlsym(RTLD_DEFAULT, "cpu_is_stopped");
	real_ppoll = dlsym(RTLD_NEXT, "ppoll");
	/* glibc has two; dlsym() finds the older, which has another layout of pthread_cond_t. */
	real_wait = dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
	if (!real_wait)
		real_wait = dlsym(RTLD_NEXT, "pthread_cond_wait");
}

static bool in_main_loop(void)
{
	return gettid() == getpid();
}

static bool any_cpu_stopped(void)
{
	void *cpu;
	int index;

	for (index = 0; (cpu = get_cpu(index)); index++)
		if (is_stopped(cpu))
			return true;
	return false;
}

/* The CPUs' thread waits only here: before the start, while all CPUs are idle, while stopped. */
int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	int status;

	if (in_main_loop() || !get_cpu || !is_stopped)
		return real_wait(cond, mutex);
	pthread_mutex_lock(&lock);
	started = true;
	idle_threads++;
	pthread_cond_signal(&idle);
	pthread_mutex_unlock(&lock);
	status = real_wait(cond, mutex);
	pthread_mutex_lock(&lock);
	idle_threads--;
	pthread_mutex_unlock(&lock);
	return status;
}

/* The main loop does not hold the lock that the CPUs' thread needs when it returns from here. */
int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	int ready = real_ppoll(fds, count, timeout, mask);
	struct timespec wakeup;

	if (!in_main_loop())
		return ready;
	pthread_mutex_lock(&lock);
	waits += started && !idle_threads;
	while (started && !idle_threads && !any_cpu_stopped()) {
		clock_gettime(CLOCK_REALTIME, &wakeup);
		wakeup.tv_nsec += POLL_NS;
		wakeup.tv_sec += wakeup.tv_nsec / 1000000000;
		wakeup.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&idle, &lock, &wakeup);
	}
	pthread_mutex_unlock(&lock);
	return ready;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	(void)zone;
	*now = (struct timeval){ .tv_sec = START_OF_2020 };
	return 0;
}

/* rig/guest/seeded.py rejects a run that does not print this. */
__attribute__((destructor)) static void report(void)
{
	if (started)
		dprintf(STDERR_FILENO, "rig: the main loop waited %lu times\n", waits);
}
