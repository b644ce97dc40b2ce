# SPDX-License-Identifier: GPL-2.0-only
"""Mutants: semantic patches that each break one rule, `patches/mutants/<name>.cocci`.

The header says which rule, and which case must notice:

    // Rule: nobody else's TLB is told …
    // Files: mm/rmap.c
    // Killed-By: stale_tlb/anon_lost_write
    // Equivalent-On: arm64: why
    // Not-On: <v6.16: why
"""

import re
from dataclasses import dataclass
from pathlib import Path

from rig.errors import ConfigError, unknown
from rig.version import KernelVersion, VersionRange

KEY = re.compile(r"// ?([A-Z][A-Za-z-]+):\s*(.*)")
MORE = re.compile(r"//\s{2,}(\S.*)")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
NONE = "none"
"""The instrumented kernel with no mutant on: it must behave as the clean one."""
SINGLE = ("Rule", "Files")
MANY = ("Killed-By", "Equivalent-On", "Not-On")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    name: str
    rule: str
    files: tuple[str, ...]
    """What it is woven into, relative to the kernel's top."""
    killed_by: tuple[str, ...]
    """`suite/case`, or `splat/KIND` for a splat that counts as well."""
    equivalent_on: tuple[tuple[str, str], ...]
    """(architecture, why)"""
    not_on: tuple[tuple[str, str], ...]
    """(range of versions, why)"""
    text: str

    @property
    def symbol(self) -> str:
        """What the semantic patch calls it: rig_mutant(SYMBOL)."""
        return self.name.upper().replace("-", "_")

    def equivalent(self, arch: str) -> str:
        """Why nobody could notice it there, or nothing."""
        return dict(self.equivalent_on).get(arch, "")

    def absent(self, version: KernelVersion) -> str:
        """Why it does not apply to a kernel, or nothing."""
        return next((why for span, why in self.not_on if version in VersionRange.parse(span)), "")


def parse(name: str, text: str, where: str = "") -> Mutant:
    """Raises ConfigError, naming the file, for a header that does not say enough."""
    where = where or name
    if not NAME.fullmatch(name):
        raise ConfigError(f"{where}: {name!r} is no name for a mutant", hint="like no-remote-flush")
    found: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in text.splitlines():
        if match := KEY.fullmatch(line):
            if match[1] not in (*SINGLE, *MANY) and match[1] != "SPDX-License-Identifier":
                raise unknown(f"key in the header of {where}", match[1], (*SINGLE, *MANY))
            last = found.setdefault(match[1], [])
            last.append(match[2])
        elif last and (more := MORE.fullmatch(line)):
            last[-1] += f" {more[1]}"
        else:
            last = None
    for key in (*SINGLE, "Killed-By"):
        if not any(found.get(key, ())):
            raise ConfigError(f"{where}: the header has no {key}:")
    mutant = Mutant(
        name=name,
        rule=found["Rule"][0],
        files=tuple(" ".join(found["Files"]).replace(",", " ").split()),
        killed_by=tuple(" ".join(found["Killed-By"]).replace(",", " ").split()),
        equivalent_on=_reasons(found.get("Equivalent-On", []), where),
        not_on=_ranges(_reasons(found.get("Not-On", []), where), where),
        text=text,
    )
    if f"rig_mutant({mutant.symbol})" not in text:
        raise ConfigError(
            f"{where}: the semantic patch never asks rig_mutant({mutant.symbol})",
            hint="what it breaks must be broken only while this mutant is switched on",
        )
    return mutant


def _reasons(lines: list[str], where: str) -> tuple[tuple[str, str], ...]:
    pairs = [line.split(":", 1) for line in lines]
    if bad := next((pair for pair in pairs if len(pair) != 2 or not pair[1].strip()), None):
        raise ConfigError(
            f"{where}: {bad[0]!r} gives no reason", hint="write `Not-On: <v6.16: why`"
        )
    return tuple((pair[0].strip(), pair[1].strip()) for pair in pairs)


def _ranges(reasons: tuple[tuple[str, str], ...], where: str) -> tuple[tuple[str, str], ...]:
    """The reasons, once each is for a range of versions."""
    for span, _ in reasons:
        try:
            VersionRange.parse(span)
        except ConfigError as error:
            raise ConfigError(f"{where}: Not-On: {error.message}", hint=error.hint) from error
    return reasons


def load_all(shelf: Path) -> tuple[Mutant, ...]:
    """Every mutant, by name: the order decides their numbers on the kernel's side."""
    paths = sorted((shelf / "mutants").glob("*.cocci"))
    return tuple(parse(path.stem, path.read_text(errors="replace"), str(path)) for path in paths)


def check_name(mutants: tuple[Mutant, ...], name: str) -> None:
    """Raise ConfigError, with the nearest names, for what is no mutant."""
    names = [NONE, *(mutant.name for mutant in mutants)]
    if name not in names:
        raise unknown("mutant", name, names)
