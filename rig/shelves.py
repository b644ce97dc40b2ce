# SPDX-License-Identifier: GPL-2.0-only
"""The directories that people add files to: kconfigs/, patches/ and images/."""

from dataclasses import dataclass
from pathlib import Path


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
        return cls(kconfigs=top / "kconfigs", patches=top / "patches", images=top / "images")
