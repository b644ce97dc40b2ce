# SPDX-License-Identifier: GPL-2.0-only
"""One run (pipeline.py), and campaigns of many runs: mutants, seeds, benchmarks, patches."""
