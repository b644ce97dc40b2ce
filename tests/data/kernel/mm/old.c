// SPDX-License-Identifier: GPL-2.0-only
/* Nobody compiles it: a series removes it. */
