# SPDX-License-Identifier: GPL-2.0-only
"""What test programs print, and which outcome it is."""
