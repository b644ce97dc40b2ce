/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine's data disk. */
#ifndef DISK_H
#define DISK_H

/*
 * "/data": the data disk's ext4, mounted by the first call. It is empty after every boot
 * and holds no swap. Bails out when the machine has no data disk.
 */
const char *data_dir(void);

#endif
