/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RECLAIM_H
#define RECLAIM_H

#include "guest.h"

enum outcome anon_roundtrip(const struct guest_args *args);
enum outcome file_dirty(const struct guest_args *args);
enum outcome shmem_roundtrip(const struct guest_args *args);
enum outcome fork_cow(const struct guest_args *args);
enum outcome swapoff_under_load(const struct guest_args *args);
enum outcome mlock_stays(const struct guest_args *args);
enum outcome uffd_wp_and_soft_dirty_kept(const struct guest_args *args);
enum outcome pressure_matrix(const struct guest_args *args);

#endif
