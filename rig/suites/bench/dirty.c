// SPDX-License-Identifier: GPL-2.0-only
/*
 * dirty_reclaim: Debian's stress-ng with one --vm worker per CPU, in a memory cgroup of
 * half of what they write to. This is the benchmark of many cover letters. It runs for as
 * many seconds as there are iterations. Its workers are processes and share hardly any
 * memory.
 *
 * It uses little memory and only one of stress-ng's methods, because all of them take
 * minutes under TCG. The limit is memory.high: at memory.max, four workers that never sleep
 * make every page look in use until the OOM killer kills one of them, and a round with an
 * OOM kill is not counted.
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

/* The line "      bogo-ops: 1234" of the only stressor. */
static uint64_t bogo_ops(void)
{
	uint64_t count = 0;
	bool found = false;
	char line[256];
	FILE *file = fopen(ANSWER, "r");

	if (!file)
		bail("stress-ng wrote no " ANSWER ": %s", strerror(errno));
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, " bogo-ops: %" SCNu64, &count) == 1;
	fclose(file);
	if (!found)
		bail("no bogo-ops in " ANSWER);
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
		/*
		 * Standard output is for KTAP. Not --quiet: then the YAML has no metrics
		 * (stress-ng 0.15.06).
		 */
		null = open("/dev/null", O_RDWR);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execv(STRESS, words);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid)
		bail("waitpid: %s", strerror(errno));
	/*
	 * 2 (EXIT_NOT_SUCCESS): a worker failed, for example because the OOM killer killed
	 * it.
	 */
	if (!WIFEXITED(status) || (WEXITSTATUS(status) && WEXITSTATUS(status) != 2))
		bail("stress-ng ended with status 0x%x", (unsigned int)status);
}

enum outcome dirty_reclaim(const struct guest_args *args)
{
	uint64_t count;

	if (access(STRESS, X_OK))
		return skip("this image has no " STRESS);
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
