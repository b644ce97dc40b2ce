# SPDX-License-Identifier: GPL-2.0-only
"""Imported by every Python that the tests start, because PYTHONPATH has this directory."""

import program_log

program_log.start()
