/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STALE_TLB_H
#define STALE_TLB_H

#include "guest.h"

enum outcome anon_lost_write(const struct guest_args *args);
enum outcome anon_lost_write_large(const struct guest_args *args);
enum outcome first_write_to_clean(const struct guest_args *args);
enum outcome read_after_free(const struct guest_args *args);
enum outcome migration_lost_write(const struct guest_args *args);
enum outcome dio_pinned(const struct guest_args *args);
enum outcome shared_file_lost_write(const struct guest_args *args);
enum outcome shmem_lost_write(const struct guest_args *args);
enum outcome write_after_mprotect(const struct guest_args *args);
enum outcome write_after_mremap(const struct guest_args *args);
enum outcome write_after_munmap(const struct guest_args *args);

#endif
