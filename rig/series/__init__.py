# SPDX-License-Identifier: GPL-2.0-only
"""Patch series: fetching mails, checking them, and reading `patches/<series>/vN.mbx`."""
