# SPDX-License-Identifier: GPL-2.0-only
"""The machine: image, QEMU, boot, console, and the seeded schedule."""
