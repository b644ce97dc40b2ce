/* SPDX-License-Identifier: GPL-2.0-only */
/* Where anonymous memory goes: zram, the machine's swap disk, or both. */
#ifndef SWAP_H
#define SWAP_H

#include <stdbool.h>
#include <stdint.h>

/* Free swap in bytes, counted as SwapFree in /proc/meminfo is. */
uint64_t swap_free(void);

/* Bail out unless there is swap enough for `bytes`; zram is filled first from here on. */
void swap_require(uint64_t bytes);

/*
 * Only swap of that kind, "zram" or "disk", is on from here; what was on before is
 * on again at the end. False when the machine has none of that kind.
 */
bool swap_only(const char *kind);

#endif
