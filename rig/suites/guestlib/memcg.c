// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE	/* gettid() */
#include "memcg.h"
#include "ktap.h"
#include "undo.h"
#include "vmstat.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A write to memory.reclaim is interrupted by a signal after this time. */
#define RECLAIM_SECONDS	10

#define CGROUP_ROOT	"/sys/fs/cgroup"
#define CONTROL		CGROUP_ROOT "/cgroup.subtree_control"

static char directory[64];

static void memcg_path(char *path, size_t size, const char *file)
{
	if (snprintf(path, size, "%s/%s", directory, file) >= (int)size)
		bail("path too long: %s/%s", directory, file);
}

static void memcg_write(const char *file, const char *value)
{
	char path[128];

	memcg_path(path, sizeof(path), file);
	if (!write_file(path, value))
		bail("cannot write %s to %s: %s", value, path, strerror(errno));
}

static void enable_controller(void)
{
	char text[256];

	if (read_file(CONTROL, text, sizeof(text)) < 0)
		bail("no cgroup v2 on " CGROUP_ROOT);
	if (strstr(text, "memory"))
		return;
	undo_write(CONTROL, "-memory");
	if (!write_file(CONTROL, "+memory"))
		bail("no memory controller on " CGROUP_ROOT ": %s", strerror(errno));
}

void memcg_enter(void)
{
	enable_controller();
	snprintf(directory, sizeof(directory), CGROUP_ROOT "/rig.%d", getpid());
	if (mkdir(directory, 0755))
		bail("cannot make %s: %s", directory, strerror(errno));
	undo_rmdir(directory);
	memcg_write("cgroup.procs", "0");
}

static void set_limit(const char *file, size_t bytes)
{
	char value[32] = "max";

	if (bytes != MEMCG_NO_LIMIT)
		snprintf(value, sizeof(value), "%zu", bytes);
	memcg_write(file, value);
}

void memcg_set_max(size_t bytes)
{
	set_limit("memory.max", bytes);
}

void memcg_set_high(size_t bytes)
{
	set_limit("memory.high", bytes);
}

static void on_alarm(int signal_number)
{
	(void)signal_number;
}

/*
 * memory_reclaim() (mm/memcontrol.c) scans all pages sixteen times before it gives up,
 * unless a signal is pending. When every page is in use and each scan costs TLB flushes,
 * that takes too long: an hour of virtual time in the seeded schedule.
 */
static timer_t start_alarm(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerspec once = { .it_value.tv_sec = RECLAIM_SECONDS };
	timer_t timer;

	event._sigev_un._tid = gettid();
	if (sigaction(SIGALRM, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &once, NULL))
		bail("no timer: %s", strerror(errno));
	return timer;
}

static bool reclaim(size_t bytes, const char *how)
{
	char path[128], value[48];
	timer_t timer = start_alarm();
	bool done;
	int error;

	memcg_path(path, sizeof(path), "memory.reclaim");
	snprintf(value, sizeof(value), "%zu%s", bytes, how);
	done = write_file(path, value);
	error = errno;
	timer_delete(timer);
	errno = error;
	if (done)
		return true;
	/* commit 94968384dde1 ("memcg: introduce per-memcg reclaim interface") (in v5.19) */
	if (errno != EAGAIN && errno != EINTR)
		bail("cannot write %s to %s: %s", value, path, strerror(errno));
	return false;
}

void memcg_squeeze(size_t bytes)
{
	char value[32];

	snprintf(value, sizeof(value), "%zu", bytes);
	memcg_write("memory.high", value);
	memcg_write("memory.high", "max");
}

bool memcg_reclaim(size_t bytes)
{
	return reclaim(bytes, "");
}

bool memcg_reclaim_file(size_t bytes)
{
	return reclaim(bytes, " swappiness=0");
}

uint64_t memcg_current(void)
{
	char path[128], text[32];

	memcg_path(path, sizeof(path), "memory.current");
	if (read_file(path, text, sizeof(text)) <= 0)
		bail("cannot read %s", path);
	return strtoull(text, NULL, 10);
}

uint64_t memcg_stat(const char *name)
{
	char path[128];

	memcg_path(path, sizeof(path), "memory.stat");
	return stat_file_value(path, name);
}
