// SPDX-License-Identifier: GPL-2.0-only
/*
 * dirty_reclaim: Debian's stress-ng, a --vm worker on each CPU, in a memory cgroup of half of what
 * they write to: the benchmark of cover letters, for as many seconds as there are iterations. Its
 * workers are processes and share hardly any memory.
 *
 * Small, and one of stress-ng's ways to write alone, for under TCG all of them take minutes. The
 * limit is memory.high: at memory.max four workers who never rest make every page look in use until
 * reclaim gives up on one of them, and a round with an OOM kill counts for nothing.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STRESS		"/usr/bin/stress-ng"
#define ANSWER		"/tmp/stress-ng.yaml"
#define ALLOC		(32U << 20)
#define LIMIT		(16U << 20)

/* "      bogo-ops: 1234", of the one stressor there is. */
static uint64_t bogo_ops(void)
{
	uint64_t count = 0;
	bool found = false;
	char line[256];
	FILE *file = fopen(ANSWER, "r");

	if (!file)
		bail("stress-ng has left no " ANSWER ": %s", strerror(errno));
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, " bogo-ops: %" SCNu64, &count) == 1;
	fclose(file);
	if (!found)
		bail("stress-ng has not said how many operations it did");
	return count;
}

static void stress(unsigned int workers, uint64_t seconds)
{
	char vm[16], timeout[32], bytes[32];
	char *const words[] = {
		"stress-ng", "--vm", vm, "--vm-bytes", bytes, "--vm-keep", "--vm-method", "incdec",
		"--timeout", timeout,
		"--metrics", "--yaml", ANSWER, "--temp-path", "/tmp", NULL,
	};
	int null, status;
	pid_t pid;

	snprintf(vm, sizeof(vm), "%u", workers);
	snprintf(bytes, sizeof(bytes), "%u", ALLOC);
	snprintf(timeout, sizeof(timeout), "%" PRIu64, seconds);
	pid = fork();
	if (pid < 0)
		bail("cannot fork: %s", strerror(errno));
	if (!pid) {
		/* Standard output is KTAP's; with --quiet the YAML has no metrics (stress-ng 0.15.06). */
		null = open("/dev/null", O_RDWR);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execv(STRESS, words);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid)
		bail("stress-ng is gone: %s", strerror(errno));
	/* 2: a worker failed, one that was killed for want of memory among them (EXIT_NOT_SUCCESS). */
	if (!WIFEXITED(status) || (WEXITSTATUS(status) && WEXITSTATUS(status) != 2))
		bail("stress-ng ended with status 0x%x", (unsigned int)status);
}

enum outcome dirty_reclaim(const struct guest_args *args)
{
	uint64_t count;

	if (access(STRESS, X_OK))
		return skip("there is no " STRESS " in this image");
	swap_require(2 * ALLOC);
	memcg_enter();
	memcg_set_high(LIMIT);
	bench_start();
	stress(args->cpus, args->iterations);
	bench_stop();
	memcg_set_high(MEMCG_NO_LIMIT);
	count = bogo_ops();
	unlink(ANSWER);
	counter("bogo_ops", count);
	bench_report();
	return OK;
}
