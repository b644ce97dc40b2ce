# SPDX-License-Identifier: GPL-2.0-only
"""Mails, until they are a revision of a series on the shelf: read, fetched, checked."""
