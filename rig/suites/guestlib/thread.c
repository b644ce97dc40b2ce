// SPDX-License-Identifier: GPL-2.0-only
#include "guest.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES	(256UL << 10)

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
			bail("the case needs CPUs 0-%u, but may not run on CPU %u", cpus - 1, cpu);
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
	void *stack;
};

/* A static table, because memory from malloc() could be reclaimed. */
static struct pinned pinned[THREADS_MAX];

static void *run_pinned(void *arg)
{
	struct pinned *p = arg;

	pin_self(p->cpu);
	return p->run(p->arg);
}

pthread_t thread_on(unsigned int cpu, void *(*run)(void *), void *arg)
{
	struct pinned *p = &pinned[cpu];
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	if (!p->stack)
		p->stack = locked_alloc(STACK_BYTES);
	p->cpu = cpu;
	p->run = run;
	p->arg = arg;
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, p->stack, STACK_BYTES);
	error = pthread_create(&thread, &attributes, run_pinned, p);
	pthread_attr_destroy(&attributes);
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
