/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a case changed outside of itself, written down before it is changed, in
 * memory shared with the janitor (guest.c), who puts it back in reverse order.
 */
#ifndef UNDO_H
#define UNDO_H

#include <stdbool.h>
#include <stddef.h>

void undo_init(void);
void undo_all(void);

/* Give `path` the text `value`; its present value comes back at the end. */
bool set_file(const char *path, const char *value);

/* Write without a memory of what was there. False, errno set, on failure. */
bool write_file(const char *path, const char *value);

/* The whole file as a string; the number of bytes, or -1. */
long read_file(const char *path, char *buffer, size_t size);

/*
 * At the end call step(path, value), which says whether it worked. The janitor is a
 * fork of this program, so it has the same functions.
 */
typedef bool undo_step(const char *path, const char *value);
void undo_add(undo_step *step, const char *path, const char *value);

/* At the end write `value` to `path`, or remove the directory `path`. */
void undo_write(const char *path, const char *value);
void undo_rmdir(const char *path);

#endif
