# SPDX-License-Identifier: GPL-2.0-only
"""The directories that people add files to: kconfigs/, patches/ and images/."""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from rig import log
from rig.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelves:
    """These directories, in the checkout or in the installed package."""

    kconfigs: Path
    patches: Path
    images: Path

    @classmethod
    def default(cls) -> "Shelves":
        checkout = Path(__file__).resolve().parents[1]
        top = checkout if (checkout / "kconfigs").is_dir() else Path(__file__).parent / "_data"
        return cls(kconfigs=top / "kconfigs", patches=_patches(top), images=top / "images")


def _patches(top: Path) -> Path:
    """patches/: $RIG_PATCHES, or that of a checkout, or the user's own, with what the package has.

    `rig fetch` writes there, and an installed package is not the user's to write to. Raises
    ConfigError for a mistyped $RIG_PATCHES: other revisions of a series would be tested.
    """
    packaged, named = top / "patches", os.environ.get("RIG_PATCHES")
    if not named and top.name != "_data":
        return packaged
    own = Path(named).expanduser() if named else platformdirs.user_data_path("rig") / "patches"
    if named and not own.is_dir():
        if os.path.lexists(own) or not own.parent.is_dir():
            where = own if os.path.lexists(own) else own.parent
            raise ConfigError(
                f"RIG_PATCHES is {own}, and {where} is not a directory",
                hint="correct RIG_PATCHES, or make that directory",
            )
        log.note(f"making {own}, which RIG_PATCHES names")
        try:
            own.mkdir()
        except OSError as error:
            raise ConfigError(f"RIG_PATCHES is {own}, which cannot be made: {error}") from error
    with contextlib.suppress(OSError):  # a shelf that cannot be written can be read
        for entry in sorted(path for path in packaged.iterdir() if path.is_dir()):
            _add(entry, own / entry.name, refresh=not named)
    return own if own.is_dir() else packaged


def _add(entry: Path, own: Path, *, refresh: bool) -> None:
    """Copy what is not there yet, whole. `refresh`: and the mutants of a newer package."""
    if not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        scratch = own.with_name(f".{own.name}~{os.getpid()}")
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(entry, scratch)
        try:
            scratch.rename(own)
        except OSError:  # another rig was faster
            shutil.rmtree(scratch, ignore_errors=True)
    elif refresh and entry.name == "mutants":
        for file in entry.glob("*.cocci"):
            mine = own / file.name
            if not mine.is_file() or mine.read_bytes() != file.read_bytes():
                shutil.copyfile(file, mine)
