# SPDX-License-Identifier: GPL-2.0-only
"""The output of `rig list`: every name that the command line takes."""

from collections.abc import Iterable

from rig import arch, printable
from rig.kernel import base, flavour
from rig.kernel import mutant as mutant_patches
from rig.series import model
from rig.shelves import Shelves
from rig.suites import suite as suites


def render(shelves: Shelves) -> str:
    mutants = mutant_patches.load_all(shelves.patches)
    lines = [
        *_section("bases", [f"{base.DEFAULT} (default); any vX.Y that Debian or kernel.org has"]),
        *_section("series", (_revisions(shelves, name) for name in model.names(shelves.patches))),
        *_section("architectures", arch.known()),
        *_section(
            "flavours", (_flavour(shelves, name) for name in flavour.names(shelves.kconfigs))
        ),
        *_section("mutants", (mutant.name for mutant in mutants)),
        *_section("cases", suites.case_names(suites.standard().values())),
        *_section(
            "cases of suites that run only where --suite or --case names them",
            suites.case_names(suite for suite in suites.known().values() if suite.on_request),
        ),
    ]
    return printable.page(lines)


def _flavour(shelves: Shelves, name: str) -> str:
    only = flavour.arches(shelves.kconfigs, name)
    return f"{name} ({', '.join(only)} only)" if only else name


def _revisions(shelves: Shelves, name: str) -> str:
    return " ".join(f"{name}@v{number}" for number in model.revisions(shelves.patches, name))


def _section(title: str, entries: Iterable[str]) -> list[str]:
    return [title, *(f"  {entry}" for entry in entries)]
