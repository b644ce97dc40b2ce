/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MADV_FREE_H
#define MADV_FREE_H

#include "guest.h"

enum outcome old_or_zero_redirty_kept(const struct guest_args *args);

#endif
