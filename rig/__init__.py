# SPDX-License-Identifier: GPL-2.0-only
"""The rig: runs a Linux mm patch series and says whether it loses data."""
