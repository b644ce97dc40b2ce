/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A log of the system settings that a case changes. An entry is written before the change,
 * in memory shared with the supervising process (guest.c), which restores the settings in
 * reverse order.
 */
#ifndef UNDO_H
#define UNDO_H

#include <stdbool.h>
#include <stddef.h>

void undo_init(void);
void undo_all(void);

/* Write `value` to `path`. The present value is restored when the case ends. */
bool set_file(const char *path, const char *value);

/* Write without an undo entry. False, with errno set, on failure. */
bool write_file(const char *path, const char *value);

/* Read the whole file as a string. Returns the number of bytes, or -1. */
long read_file(const char *path, char *buffer, size_t size);

/*
 * When the case ends, call step(path, value), which returns whether it worked. The
 * supervising process is a fork of this program, so it has the same functions.
 */
typedef bool undo_step(const char *path, const char *value);
void undo_add(undo_step *step, const char *path, const char *value);

/* When the case ends, write `value` to `path`, or remove the directory `path`. */
void undo_write(const char *path, const char *value);
void undo_rmdir(const char *path);

#endif
