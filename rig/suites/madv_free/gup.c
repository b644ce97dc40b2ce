// SPDX-License-Identifier: GPL-2.0-only
#include "gup.h"
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#define DEBUGFS		"/sys/kernel/debug"
#define GUP_TEST	DEBUGFS "/gup_test"

/* The ioctls of mm/gup_test.c that keep the pages pinned. */
struct pin_range {
	uint64_t address;
	uint64_t size;
	uint32_t flags;
};

#define PIN_FAST	2U
#define PIN_START	_IOW('g', 7, struct pin_range)
#define PIN_STOP	_IO('g', 8)

static int gup_test = -1;

bool gup_available(void)
{
	if (gup_test < 0)
		gup_test = open(GUP_TEST, O_RDWR | O_CLOEXEC);
	if (gup_test < 0 && !mount("debugfs", DEBUGFS, "debugfs", 0, NULL))
		gup_test = open(GUP_TEST, O_RDWR | O_CLOEXEC);
	return gup_test >= 0;
}

void gup_pin(void *address, size_t size, bool fast)
{
	struct pin_range range = {
		.address = (uintptr_t)address, .size = size, .flags = fast ? PIN_FAST : 0,
	};

	if (ioctl(gup_test, PIN_START, &range))
		bail("cannot pin %zu KiB: %s", size >> 10, strerror(errno));
}

void gup_unpin(void)
{
	if (ioctl(gup_test, PIN_STOP))
		bail("cannot unpin: %s", strerror(errno));
}
