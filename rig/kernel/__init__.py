# SPDX-License-Identifier: GPL-2.0-only
"""From a base and a series to a built kernel: tree, configuration, mutants, and the sandbox."""
