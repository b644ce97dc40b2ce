/* SPDX-License-Identifier: GPL-2.0-only */
/* Swap: zram, the machine's swap disk, or both. */
#ifndef SWAP_H
#define SWAP_H

#include <stdbool.h>
#include <stdint.h>

/* Free swap in bytes: SwapFree of /proc/meminfo. */
uint64_t swap_free(void);

/* Bail out unless `bytes` of swap are free. From here on zram is filled before the disk. */
void swap_require(uint64_t bytes);

/*
 * Use only swap of that kind, "zram" or "disk". What was on before is switched on again
 * when the case ends. False when the machine has no swap of that kind.
 */
bool swap_only(const char *kind);

#endif
