# SPDX-License-Identifier: GPL-2.0-only
"""One package per suite: its `SUITE`, its C program, its kernel `config`."""
