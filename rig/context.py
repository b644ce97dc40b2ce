# SPDX-License-Identifier: GPL-2.0-only
"""Where the rig works: its store, and the shelves it takes series and configurations from."""

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
