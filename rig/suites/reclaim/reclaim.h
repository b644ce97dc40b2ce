/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RECLAIM_H
#define RECLAIM_H

#include "guest.h"

enum outcome anon_roundtrip(const struct guest_args *args);

#endif
