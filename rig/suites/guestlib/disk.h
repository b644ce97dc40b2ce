/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine's disks, by the serial number QEMU was told. */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * "/data": the data disk's ext4, mounted on first use. Empty at every boot, not
 * where swap goes. Bails out when there is none.
 */
const char *data_dir(void);

/* Device node of the disk with that serial number; false when there is none. */
bool disk_find(const char *serial, char *device, size_t size);

#endif
