// SPDX-License-Identifier: GPL-2.0-only
#include "disk.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "ktap.h"
#include "undo.h"

#define DATA		"/data"
/* virtio's longest serial number (include/uapi/linux/virtio_blk.h: VIRTIO_BLK_ID_BYTES). */
#define SERIAL_MAX	20

static bool has_serial(const char *attribute, const char *serial)
{
	char found[SERIAL_MAX + 2];

	if (read_file(attribute, found, sizeof(found)) < 0)
		return false;
	/* The kernel puts no newline after it; should it ever do so, it does not matter. */
	found[strcspn(found, "\n")] = '\0';
	return !strcmp(found, serial);
}

bool disk_find(const char *serial, char *device, size_t size)
{
	bool found = false;
	glob_t paths;
	size_t k;

	if (glob("/sys/block/vd*/serial", 0, NULL, &paths))
		return false;
	for (k = 0; k < paths.gl_pathc && !found; k++) {
		char name[32];

		if (!has_serial(paths.gl_pathv[k], serial) ||
		    sscanf(paths.gl_pathv[k], "/sys/block/%31[^/]", name) != 1)
			continue;
		snprintf(device, size, "/dev/%s", name);
		found = true;
	}
	globfree(&paths);
	return found;
}

const char *data_dir(void)
{
	char device[64];

	if (!disk_find("rig-data", device, sizeof(device)))
		bail("there is no data disk");
	if (mkdir(DATA, 0755) && errno != EEXIST)
		bail("mkdir " DATA ": %s", strerror(errno));
	/* Somebody before us has mounted it: EBUSY. */
	if (mount(device, DATA, "ext4", MS_NOATIME, NULL) && errno != EBUSY)
		bail("mount %s: %s", device, strerror(errno));
	return DATA;
}
