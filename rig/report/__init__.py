# SPDX-License-Identifier: GPL-2.0-only
"""Renders stored results: text, JSON, JUnit, mail, pictures. It runs and judges nothing."""
