// SPDX-License-Identifier: GPL-2.0-only
#include "disk.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "ktap.h"

/*
 * A link made by the image's setup script, so that the disk's name does not matter
 * (images/test/tree/etc/rig/setup).
 */
#define DEVICE	"/dev/rig-data"
#define DATA	"/data"

const char *data_dir(void)
{
	if (mkdir(DATA, 0755) && errno != EEXIST)
		bail("mkdir " DATA ": %s", strerror(errno));
	/* EBUSY: it is mounted already. */
	if (mount(DEVICE, DATA, "ext4", MS_NOATIME, NULL) && errno != EBUSY)
		bail("mount " DEVICE ": %s", strerror(errno));
	return DATA;
}
