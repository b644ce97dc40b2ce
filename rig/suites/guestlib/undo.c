// SPDX-License-Identifier: GPL-2.0-only
#include "undo.h"
#include "ktap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNDO_MAX	64
#define PATH_BYTES	160
#define VALUE_BYTES	64

struct undo_entry {
	char path[PATH_BYTES];
	char value[VALUE_BYTES];
	undo_step *step;
};

struct undo_log {
	atomic_uint count;	/* complete entries; a killed case leaves no half-written one */
	struct undo_entry entries[UNDO_MAX];
};

static struct undo_log *undo_log;

void undo_init(void)
{
	undo_log = mmap(NULL, sizeof(*undo_log), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (undo_log == MAP_FAILED)
		bail("no memory for the undo log: %s", strerror(errno));
}

void undo_add(undo_step *step, const char *path, const char *value)
{
	unsigned int count = atomic_load(&undo_log->count);
	struct undo_entry *entry = &undo_log->entries[count];

	if (count == UNDO_MAX)
		bail("the undo log is full");
	if (strlen(path) >= sizeof(entry->path) || strlen(value) >= sizeof(entry->value))
		bail("too long for the undo log: %s", path);
	strcpy(entry->path, path);
	strcpy(entry->value, value);
	entry->step = step;
	atomic_store(&undo_log->count, count + 1);
}

static bool remove_directory(const char *path, const char *value)
{
	(void)value;
	return !rmdir(path);
}

void undo_write(const char *path, const char *value)
{
	undo_add(write_file, path, value);
}

void undo_rmdir(const char *path)
{
	undo_add(remove_directory, path, "");
}

void undo_all(void)
{
	unsigned int i = atomic_load(&undo_log->count);

	while (i--) {
		const struct undo_entry *entry = &undo_log->entries[i];

		if (!entry->step(entry->path, entry->value))
			diag("not restored: %s: %s", entry->path, strerror(errno));
	}
}

bool write_file(const char *path, const char *value)
{
	ssize_t size = (ssize_t)strlen(value), done;
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return false;
	done = write(fd, value, (size_t)size);
	error = errno;
	close(fd);
	errno = error;
	return done == size;
}

long read_file(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t done;

	if (fd < 0)
		return -1;
	while (used < size - 1 && (done = read(fd, buffer + used, size - 1 - used)) > 0)
		used += (size_t)done;
	close(fd);
	buffer[used] = '\0';
	return (long)used;
}

/*
 * sysfs shows a choice as "always [madvise] never". Only the selected word can be written
 * back.
 */
static void chosen_word(char *value)
{
	char *open = strchr(value, '['), *close = strchr(value, ']');

	if (open && close && open < close) {
		*close = '\0';
		memmove(value, open + 1, (size_t)(close - open));
	}
	value[strcspn(value, "\n")] = '\0';
}

static bool already_noted(const char *path)
{
	unsigned int i, count = atomic_load(&undo_log->count);

	for (i = 0; i < count; i++)
		if (!strcmp(undo_log->entries[i].path, path))
			return true;
	return false;
}

bool set_file(const char *path, const char *value)
{
	char before[VALUE_BYTES * 2];

	if (!already_noted(path)) {
		if (read_file(path, before, sizeof(before)) < 0)
			return false;
		chosen_word(before);
		undo_write(path, before);
	}
	return write_file(path, value);
}
