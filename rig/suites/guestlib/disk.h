/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine's data disk. */
#ifndef DISK_H
#define DISK_H

/*
 * "/data": the data disk's ext4, mounted on first use. Empty at every boot, not
 * where swap goes. Bails out when there is none.
 */
const char *data_dir(void);

#endif
