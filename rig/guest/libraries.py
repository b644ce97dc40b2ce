# SPDX-License-Identifier: GPL-2.0-only
"""Compiles the libraries that the QEMU of a seeded guest loads: preload.c and calls.c."""

import re
from pathlib import Path

from rig import log, proc
from rig.errors import InfraError
from rig.store import Store, digest, file_digest

COMPILER = "gcc"  # the host's, which every kernel build needs (HOSTCC)
CFLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")
PRELOAD, CALLS = (Path(__file__).with_name(name) for name in ("preload.c", "calls.c"))
WAITED = re.compile(r"^rig: the main loop waited [1-9]\d* times$", re.MULTILINE)
"""What the preload prints when QEMU exits, if it works with this QEMU."""


def steady(store: Store) -> Path:
    """The preload that makes runs deterministic."""
    return _library(
        store, PRELOAD, "steady.so", "Compiling the QEMU preload for deterministic runs"
    )


def calls(store: Store) -> Path:
    """The plugin that writes down the calls of functions."""
    return _library(store, CALLS, "calls.so", "Compiling the QEMU plugin for traces")


def _library(store: Store, source: Path, name: str, title: str) -> Path:
    inputs = {
        "program": name,
        "compiler": proc.run([COMPILER, "--version"]).stdout.splitlines()[0],
        "flags": CFLAGS,
        "files": {source.name: file_digest(source)},
    }

    def make(out: Path) -> None:
        with log.step(title):
            try:
                proc.run([COMPILER, *CFLAGS, "-o", out / name, source])
            except proc.CommandFailed as error:
                raise InfraError(
                    f"{source.name} does not compile with {COMPILER}", detail=error.detail
                ) from error

    return store.make("programs", digest(inputs), inputs, make) / name
