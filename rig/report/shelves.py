# SPDX-License-Identifier: GPL-2.0-only
"""What there is to name on the command line."""

from collections.abc import Iterable

from rig import arch, printable
from rig.kernel import base, mutant
from rig.series import model
from rig.shelves import Shelves
from rig.suites import suite


def render(shelves: Shelves) -> str:
    flavours = sorted(path.stem for path in (shelves.kconfigs / "flavour").glob("*.config"))
    lines = [
        *_section("bases", [f"{base.DEFAULT} (default); any vX.Y Debian or kernel.org has"]),
        *_section("series", (_revisions(shelves, name) for name in model.names(shelves.patches))),
        *_section("architectures", arch.known()),
        *_section("flavours", flavours),
        *_section("mutants", (one.name for one in mutant.load_all(shelves.patches))),
        *_section("cases", suite.case_names(suite.standard().values())),
        *_section(
            "cases of suites that run only where --suite or --case names them",
            suite.case_names(one for one in suite.known().values() if one.on_request),
        ),
    ]
    return printable.page(lines)


def _revisions(shelves: Shelves, name: str) -> str:
    return " ".join(f"{name}@v{number}" for number in model.revisions(shelves.patches, name))


def _section(title: str, entries: Iterable[str]) -> list[str]:
    return [title, *(f"  {entry}" for entry in entries)]
