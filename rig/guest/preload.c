// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into the QEMU of a seeded guest: takes the host's time out of two places.
 *
 * Each virtual timer that expires wakes QEMU's main loop (icount_notify_aio_contexts(),
 * accel/tcg/tcg-accel-ops-icount.c). It then runs what timers are due, as the thread of the CPUs
 * does, whichever comes first; and where it is the main loop, all CPUs lose their turns
 * (qemu_cpu_kick()). Most of the time it finds nothing, having come long before the next timer. With
 * the next one close, one run in twenty took another way. So the main loop waits until nobody
 * executes: all CPUs idle, or one stopped, for gdb or at the end.
 *
 * And QEMU makes its software TLBs smaller where they were little used for 100 ms of the host's
 * (tlb_mmu_resize_locked(), accel/tcg/cputlb.c). A smaller one forgets more, and when a translation
 * is looked up again, its accessed bit is set again: the guest sees it. So that time stands still.
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
	LOOK_NS = 200000, /* until a stopped CPU is noticed */
	THEN = 1577836800, /* 2020-01-01, as the guest's clock begins */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rest = PTHREAD_COND_INITIALIZER;
static bool started;
static unsigned int resting;
static unsigned long waits;

static void *(*get_cpu)(int index);
static bool (*is_stopped)(void *cpu);
static int (*real_wait)(pthread_cond_t *cond, pthread_mutex_t *mutex);
static int (*real_ppoll)(struct pollfd *fds, nfds_t count,
			 const struct timespec *timeout, const sigset_t *mask);

__attribute__((constructor)) static void find(void)
{
	get_cpu = dlsym(RTLD_DEFAULT, "qemu_get_cpu");
	is_stopped = dlsym(RTLD_DEFAULT, "cpu_is_stopped");
	real_ppoll = dlsym(RTLD_NEXT, "ppoll");
	/* The oldest of two is what dlsym() finds: another pthread_cond_t. */
	real_wait = dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
	if (!real_wait)
		real_wait = dlsym(RTLD_NEXT, "pthread_cond_wait");
}

static bool in_main(void)
{
	return gettid() == getpid();
}

static bool one_is_stopped(void)
{
	void *cpu;
	int index;

	for (index = 0; (cpu = get_cpu(index)); index++)
		if (is_stopped(cpu))
			return true;
	return false;
}

/* The CPUs' thread waits here and nowhere else: before the start, while all idle, stopped. */
int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	int status;

	if (in_main() || !get_cpu || !is_stopped)
		return real_wait(cond, mutex);
	pthread_mutex_lock(&lock);
	started = true;
	resting++;
	pthread_cond_signal(&rest);
	pthread_mutex_unlock(&lock);
	status = real_wait(cond, mutex);
	pthread_mutex_lock(&lock);
	resting--;
	pthread_mutex_unlock(&lock);
	return status;
}

/* The main loop comes back from here without the lock that the CPUs' thread needs. */
int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	int ready = real_ppoll(fds, count, timeout, mask);
	struct timespec look;

	if (!in_main())
		return ready;
	pthread_mutex_lock(&lock);
	waits += started && !resting;
	while (started && !resting && !one_is_stopped()) {
		clock_gettime(CLOCK_REALTIME, &look);
		look.tv_nsec += LOOK_NS;
		look.tv_sec += look.tv_nsec / 1000000000;
		look.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&rest, &lock, &look);
	}
	pthread_mutex_unlock(&lock);
	return ready;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	(void)zone;
	*now = (struct timeval){ .tv_sec = THEN };
	return 0;
}

/* rig/guest/seeded.py does not believe a run that does not say so. */
__attribute__((destructor)) static void say(void)
{
	if (started)
		dprintf(STDERR_FILENO, "rig: the main loop waited %lu times\n", waits);
}
