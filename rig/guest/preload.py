# SPDX-License-Identifier: GPL-2.0-only
"""Compiles the library that is preloaded into the QEMU of a seeded guest (preload.c)."""

import re
from pathlib import Path

from rig import log, proc
from rig.errors import InfraError
from rig.store import Store, digest, file_digest

COMPILER = "gcc"  # the host's, which every kernel build needs (HOSTCC)
CFLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")
SOURCE = Path(__file__).with_name("preload.c")
NAME = "steady.so"
WAITED = re.compile(r"^rig: the main loop waited [1-9]\d* times$", re.MULTILINE)
"""What the library prints when QEMU exits, if it works with this QEMU."""


def library(store: Store) -> Path:
    inputs = {
        "program": NAME,
        "compiler": proc.run([COMPILER, "--version"]).stdout.splitlines()[0],
        "flags": CFLAGS,
        "files": {SOURCE.name: file_digest(SOURCE)},
    }

    def make(out: Path) -> None:
        with log.step("Compiling the QEMU preload for deterministic runs"):
            try:
                proc.run([COMPILER, *CFLAGS, "-o", out / NAME, SOURCE])
            except proc.CommandFailed as error:
                raise InfraError(
                    f"{SOURCE.name} does not compile with {COMPILER}", detail=error.detail
                ) from error

    return store.make("programs", digest(inputs), inputs, make) / NAME
