// SPDX-License-Identifier: GPL-2.0-only
#include "twin.h"
#include "guest.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_steps(int from, int to, twin_step run, void *arg)
{
	struct twin_answer answer;
	unsigned char step;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(from, &step, 1) == 1) {
		answer = (struct twin_answer){ };
		run(arg, step, &answer);
		if (write(to, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

void twin_start(struct twin *t, twin_step run, void *arg)
{
	int to[2], from[2];

	if (pipe(to) || pipe(from))
		bail("pipe: %s", strerror(errno));
	t->pid = fork();
	if (t->pid < 0)
		bail("fork: %s", strerror(errno));
	if (!t->pid) {
		close(to[1]);
		close(from[0]);
		run_steps(to[0], from[1], run, arg);
	}
	close(to[0]);
	close(from[1]);
	t->to = to[1];
	t->from = from[0];
}

bool twin_tell(struct twin *t, unsigned int step, struct twin_answer *answer)
{
	unsigned char byte = (unsigned char)step;

	if (write(t->to, &byte, 1) == 1 && read(t->from, answer, sizeof(*answer)) == sizeof(*answer))
		return true;
	evidence("the child has died at step %u", step);
	return false;
}

void twin_end(struct twin *t)
{
	close(t->to);
	close(t->from);
	if (waitpid(t->pid, NULL, 0) != t->pid)
		bail("waitpid: %s", strerror(errno));
}
