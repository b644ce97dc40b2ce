# SPDX-License-Identifier: GPL-2.0-only
"""Kernel flavours: each is a file in kconfigs/flavour/, and may be for some architectures only."""

import re
from collections.abc import Iterable
from pathlib import Path

from rig.errors import ConfigError, unknown

ONLY = re.compile(r"^# Architectures: (.+)$", re.MULTILINE)


def names(kconfigs: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (kconfigs / "flavour").glob("*.config")))


def arches(kconfigs: Path, flavour: str) -> tuple[str, ...]:
    """The architectures that a flavour is for; () for all."""
    line = ONLY.search((kconfigs / "flavour" / f"{flavour}.config").read_text())
    return tuple(line[1].replace(",", " ").split()) if line else ()


def check(kconfigs: Path, flavour: str, wanted: Iterable[str]) -> None:
    """Raise ConfigError unless the flavour is there, and is for the wanted architectures."""
    if flavour not in names(kconfigs):
        raise unknown("flavour", flavour, names(kconfigs))
    only = arches(kconfigs, flavour)
    if others := [arch for arch in wanted if only and arch not in only]:
        raise ConfigError(
            f"the flavour {flavour} is not for {others[0]}", hint=f"--arch {','.join(only)}"
        )
