/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MADV_FREE_H
#define MADV_FREE_H

#include "guest.h"

enum outcome old_or_zero_redirty_kept(const struct guest_args *args);
enum outcome large_partial_redirty(const struct guest_args *args);
enum outcome straddle_page_table(const struct guest_args *args);
enum outcome vma_split(const struct guest_args *args);
enum outcome gup_redirty(const struct guest_args *args);
enum outcome extra_reference_keeps_page(const struct guest_args *args);
enum outcome extra_reference_stays_lazyfree(const struct guest_args *args);
enum outcome shared_after_fork(const struct guest_args *args);
enum outcome cow_after_failed_unmap(const struct guest_args *args);
enum outcome droppable(const struct guest_args *args);
enum outcome split_deferred_zero(const struct guest_args *args);

#endif
