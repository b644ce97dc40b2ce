// SPDX-License-Identifier: GPL-2.0-only
#include "guest.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

unsigned int threads_online(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (online < 1)
		return 1;
	return online < THREADS_MAX ? (unsigned int)online : THREADS_MAX;
}

void threads_require(unsigned int cpus)
{
	unsigned int cpu;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		bail("sched_getaffinity: %s", strerror(errno));
	for (cpu = 0; cpu < cpus; cpu++)
		if (!CPU_ISSET(cpu, &set))
			bail("the case needs CPUs 0-%u, and CPU %u cannot be had", cpus - 1, cpu);
}

void pin_self(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bail("cannot run on CPU %u: %s", cpu, strerror(errno));
}

struct pinned {
	unsigned int cpu;
	void *(*run)(void *arg);
	void *arg;
};

static void *run_pinned(void *arg)
{
	struct pinned pinned = *(struct pinned *)arg;

	free(arg);
	pin_self(pinned.cpu);
	return pinned.run(pinned.arg);
}

pthread_t thread_on(unsigned int cpu, void *(*run)(void *), void *arg)
{
	struct pinned *pinned = malloc(sizeof(*pinned));
	pthread_t thread;
	int error;

	if (!pinned)
		bail("no memory for a thread");
	*pinned = (struct pinned){ .cpu = cpu, .run = run, .arg = arg };
	error = pthread_create(&thread, NULL, run_pinned, pinned);
	if (error)
		bail("cannot start a thread: %s", strerror(error));
	return thread;
}

void thread_join(pthread_t thread)
{
	int error = pthread_join(thread, NULL);

	if (error)
		bail("cannot join a thread: %s", strerror(error));
}

struct each {
	unsigned int cpu;
	void (*run)(void *arg, unsigned int cpu);
	void *arg;
};

static void *run_each(void *arg)
{
	struct each *each = arg;

	each->run(each->arg, each->cpu);
	return NULL;
}

void on_each_cpu(unsigned int cpus, void (*run)(void *arg, unsigned int cpu), void *arg)
{
	struct each each[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	unsigned int cpu;

	for (cpu = 0; cpu < cpus; cpu++) {
		each[cpu] = (struct each){ .cpu = cpu, .run = run, .arg = arg };
		threads[cpu] = thread_on(cpu, run_each, &each[cpu]);
	}
	for (cpu = 0; cpu < cpus; cpu++)
		thread_join(threads[cpu]);
}

uint64_t thread_major_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_majflt;
}

void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void futex_wake_all(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
