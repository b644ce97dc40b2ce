# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks, one module each."""
