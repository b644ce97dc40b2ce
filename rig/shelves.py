# SPDX-License-Identifier: GPL-2.0-only
"""Where the checkout, or the installed package, keeps what people add to it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelves:
    """Where the checkout keeps what people add to it."""

    kconfigs: Path
    patches: Path
    images: Path

    @classmethod
    def default(cls) -> "Shelves":
        checkout = Path(__file__).resolve().parents[1]
        top = checkout if (checkout / "kconfigs").is_dir() else Path(__file__).parent / "_data"
        return cls(kconfigs=top / "kconfigs", patches=top / "patches", images=top / "images")
