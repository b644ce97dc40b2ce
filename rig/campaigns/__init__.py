# SPDX-License-Identifier: GPL-2.0-only
"""One run (pipeline.py), and everything that is made of many: mutants, seeds, benches, patches."""
