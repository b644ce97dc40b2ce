# SPDX-License-Identifier: GPL-2.0-only
"""The verbs of `rig`: they parse options, show progress, print results."""
