// SPDX-License-Identifier: GPL-2.0-only
/*
 * The case runs in a child process. The child may return, bail out, crash on memory that
 * the kernel corrupted, or be killed by the OOM killer. The parent survives all of these,
 * because it is outside the child's memory cgroup. It restores the settings that the child
 * changed and prints the result.
 */
#include "guest.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_OK, STATUS_NOT_OK, STATUS_USAGE, STATUS_BAIL };

static volatile sig_atomic_t running, stopped_by;
static const char *promises = "";

/* --pages must be a multiple of this: no case has a larger window (writers.h). */
#define PAGES_STEP	128

bool promised(const char *name)
{
	size_t length = strlen(name);
	const char *match;

	for (match = promises; (match = strstr(match, name)); match += length)
		if ((match == promises || match[-1] == '+') &&
		    (!match[length] || match[length] == '+'))
			return true;
	return false;
}

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s --list\n"
		"       %s CASE [--iterations N] [--seed S] [--cpus N] [--pages N]\n"
		"               [--promised CASE+...]\n",
		program, program);
	return STATUS_USAGE;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && !*end && !errno && *value <= max;
}

static bool parse_options(int argc, char **argv, struct guest_args *args)
{
	static const struct option options[] = {
		{ "iterations", required_argument, NULL, 'i' },
		{ "seed", required_argument, NULL, 's' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "pages", required_argument, NULL, 'm' },
		{ "promised", required_argument, NULL, 'p' },
		{ },
	};
	uint64_t value;
	int option;

	optind = 2;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p') {
			promises = optarg;
			continue;
		}
		if (option == '?' || !parse_number(optarg, UINT64_MAX, &value))
			return false;
		if (option == 'i' && value)
			args->iterations = value;
		else if (option == 's')
			args->seed = value;
		else if (option == 'c' && value && value <= THREADS_MAX)
			args->cpus = (unsigned int)value;
		else if (option == 'm' && value && value <= args->pages && value % PAGES_STEP == 0)
			args->pages = (unsigned int)value;
		else
			return false;
	}
	return optind == argc;
}

static void stop_child(int signal)
{
	stopped_by = signal;
	if (running)
		kill(running, SIGKILL);
}

static int child(const struct guest_case *c, const struct guest_args *args)
{
	enum outcome outcome;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	threads_require(args->cpus);
	outcome = c->run(args);
	ktap_result(outcome, c->name);
	return outcome == NOT_OK ? STATUS_NOT_OK : STATUS_OK;
}

/*
 * A child that was killed, or that ended with another status, met a kernel that corrupts
 * memory or kills processes: the case has failed.
 */
static int child_status(int status, const struct guest_case *c)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) <= STATUS_BAIL)
		return WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		diag("the case was killed by signal %d (%s)", WTERMSIG(status),
		     strsignal(WTERMSIG(status)));
	else
		diag("the case ended with status %d", WEXITSTATUS(status));
	ktap_result(NOT_OK, c->name);
	return STATUS_NOT_OK;
}

static int supervise(const struct guest_case *c, const struct guest_args *args)
{
	const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	int status;
	pid_t pid;
	size_t i;

	ktap_plan(1);
	undo_init();
	pid = fork();
	if (pid < 0)
		bail("fork: %s", strerror(errno));
	if (!pid)
		_exit(child(c, args));
	running = pid;
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], stop_child);
	/* A closed output must not stop the parent before it has restored the settings. */
	signal(SIGPIPE, SIG_IGN);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	running = 0;
	undo_all();
	if (stopped_by)
		bail("stopped by signal %d (%s)", (int)stopped_by, strsignal(stopped_by));
	return child_status(status, c);
}

int guest_main(int argc, char **argv, const struct guest_case *cases, size_t count)
{
	struct guest_args args = { .seed = 1 };
	size_t i;

	if (argc < 2)
		return usage(argv[0]);
	if (!strcmp(argv[1], "--list") && argc == 2) {
		for (i = 0; i < count; i++)
			puts(cases[i].name);
		return STATUS_OK;
	}
	for (i = 0; i < count; i++) {
		if (strcmp(argv[1], cases[i].name))
			continue;
		args.iterations = cases[i].iterations;
		args.cpus = threads_online();
		args.pages = cases[i].pages;
		if (!parse_options(argc, argv, &args))
			return usage(argv[0]);
		return supervise(&cases[i], &args);
	}
	if (argv[1][0] != '-')
		fprintf(stderr, "%s: no case named %s\n", argv[0], argv[1]);
	return usage(argv[0]);
}
