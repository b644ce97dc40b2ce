# SPDX-License-Identifier: GPL-2.0-only
"""Stored results, rendered. Nothing here boots, builds or decides."""
