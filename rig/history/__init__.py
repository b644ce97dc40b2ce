# SPDX-License-Identifier: GPL-2.0-only
"""Every stored run in one SQLite file, and what changed from one night to the next."""
