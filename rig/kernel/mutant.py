# SPDX-License-Identifier: GPL-2.0-only
"""Mutants: semantic patches that each break one rule, `patches/mutants/<name>.cocci`.

The header of the file has the rule, and the cases that must fail:

    // Rule: no other CPU's TLB is flushed …
    // Files: mm/rmap.c
    // Killed-By: stale_tlb/anon_lost_write
    // Equivalent-On: arm64: why
    // Not-On: <v6.16: why
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.errors import ConfigError, unknown
from rig.version import KernelVersion, VersionRange

KEY = re.compile(r"// ?([A-Z][A-Za-z-]+):\s*(.*)")
MORE = re.compile(r"//\s{2,}(\S.*)")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
NONE = "none"
"""The instrumented kernel with all mutants off: it must behave like the clean kernel."""
SINGLE = ("Rule", "Files")
MANY = ("Killed-By", "Equivalent-On", "Not-On")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    name: str
    rule: str
    files: tuple[str, ...]
    """The files that it changes, relative to the top of the kernel tree."""
    killed_by: tuple[str, ...]
    """`suite/case`, or `splat/KIND`: the cases that must fail, or the splat that must appear."""
    equivalent_on: tuple[tuple[str, str], ...]
    """(architecture, reason): no case can notice the mutant there."""
    not_on: tuple[tuple[str, str], ...]
    """(range of versions, reason): the mutant does not apply there."""
    text: str

    @property
    def symbol(self) -> str:
        """Its name in C: the semantic patch has rig_mutant(SYMBOL)."""
        return self.name.upper().replace("-", "_")

    @property
    def code(self) -> str:
        """The text without the header and other comment lines: what changes the kernel."""
        return "".join(
            line for line in self.text.splitlines(keepends=True) if not line.startswith("//")
        )

    def equivalent(self, arch: str) -> str:
        """Why no case can notice it on this architecture; empty if one can."""
        return dict(self.equivalent_on).get(arch, "")

    def absent(self, version: KernelVersion) -> str:
        """Why it does not apply to a kernel of this version; empty if it applies."""
        return next((why for span, why in self.not_on if version in VersionRange.parse(span)), "")


def parse(name: str, text: str, where: str = "") -> Mutant:
    """Read a semantic patch. Raises ConfigError, naming the file, if its header is not complete."""
    where = where or name
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: {name!r} is not a valid name for a mutant",
            hint="rename the file to a name like no-remote-flush.cocci",
        )
    fields: dict[str, list[str]] = {}
    values: list[str] | None = None
    for line in text.splitlines():
        if match := KEY.fullmatch(line):
            if match[1] not in (*SINGLE, *MANY) and match[1] != "SPDX-License-Identifier":
                raise unknown(f"key in the header of {where}", match[1], (*SINGLE, *MANY))
            values = fields.setdefault(match[1], [])
            values.append(match[2])
        elif values and (continuation := MORE.fullmatch(line)):
            values[-1] += f" {continuation[1]}"
        else:
            values = None
    for key in (*SINGLE, "Killed-By"):
        if not any(fields.get(key, ())):
            raise ConfigError(
                f"{where}: the header has no {key}:", hint=f"add a line `// {key}: …` to it"
            )
    mutant = Mutant(
        name=name,
        rule=fields["Rule"][0],
        files=tuple(" ".join(fields["Files"]).replace(",", " ").split()),
        killed_by=tuple(" ".join(fields["Killed-By"]).replace(",", " ").split()),
        equivalent_on=_reasons(fields.get("Equivalent-On", []), where),
        not_on=_ranges(_reasons(fields.get("Not-On", []), where), where),
        text=text,
    )
    if f"rig_mutant({mutant.symbol})" not in text:
        raise ConfigError(
            f"{where}: the semantic patch does not have rig_mutant({mutant.symbol})",
            hint="the code it adds must run only if that is true: only while the mutant is on",
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
    """Return the reasons, or raise ConfigError if one of them is not for a range of versions."""
    for span, _ in reasons:
        try:
            VersionRange.parse(span)
        except ConfigError as error:
            raise ConfigError(f"{where}: Not-On: {error.message}", hint=error.hint) from error
    return reasons


def load_all(shelf: Path) -> tuple[Mutant, ...]:
    """All mutants, sorted by name. The order decides their numbers in the kernel."""
    paths = sorted((shelf / "mutants").glob("*.cocci"))
    return tuple(parse(path.stem, path.read_text(errors="replace"), str(path)) for path in paths)


def check_name(mutants: tuple[Mutant, ...], name: str) -> None:
    """Raise ConfigError, with similar names, if there is no such mutant."""
    names = [NONE, *(mutant.name for mutant in mutants)]
    if name not in names:
        raise unknown("mutant", name, names)


def check_release(mutants: Sequence[Mutant], target: str) -> None:
    """Raise ConfigError if `target` is a release that none of these mutants applies to.

    The release need not be fetched for that.
    """
    try:
        version = KernelVersion.parse(target)
    except ConfigError:  # a series or a revision: its Makefile says the version
        return
    reasons = [(f"{mutant.name} on {target}", mutant.absent(version)) for mutant in mutants]
    if all(reason for _, reason in reasons):
        raise nothing_runs(reasons)


def nothing_runs(reasons: Sequence[tuple[str, str]], why: str = "") -> ConfigError:
    """The error for mutants of which none can run: (mutant and place, reason) of each of them."""
    hint = "docs/mutants.md says where each mutant applies"
    if why:
        return ConfigError(f"there is nothing to run: {why}", hint="--all-cases runs all cases")
    if not reasons:
        return ConfigError(f"there is nothing to run: {NONE} is the clean kernel", hint=hint)
    (name, reason), more = reasons[0], len(reasons) - 1
    others = f" (and {more} more)" if more else ""
    return ConfigError(f"there is nothing to run: {name}: {reason}{others}", hint=hint)
