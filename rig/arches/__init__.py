# SPDX-License-Identifier: GPL-2.0-only
"""One module for each architecture, each with its `ARCH`."""
