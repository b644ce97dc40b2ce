# SPDX-License-Identifier: GPL-2.0-only
"""The directories that the rig works with: its store, and the shelves (kconfigs/, patches/, …)."""

from dataclasses import dataclass

from rig.shelves import Shelves
from rig.store import Store


@dataclass(frozen=True, slots=True)
class Context:
    store: Store
    shelves: Shelves

    @classmethod
    def default(cls) -> "Context":
        return cls(Store.default(), Shelves.default())
