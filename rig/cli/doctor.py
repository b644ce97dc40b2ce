# SPDX-License-Identifier: GPL-2.0-only
"""Checks what this host lacks, and which accelerators work on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rig import arch, printable
from rig.arch import Arch
from rig.campaigns import census
from rig.campaigns.census import Holding
from rig.cli import requirements
from rig.guest import accel
from rig.guest.accel import Probe
from rig.guest.qemu import Accel
from rig.kernel import sandbox
from rig.kernel.buildhost import Need
from rig.report import gc
from rig.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    arches: tuple[str, ...]
    """The architectures that were looked at."""
    missing: tuple[Need, ...]
    probes: tuple[Probe, ...]
    unconfined: str
    """Why the sandbox does not work; empty if it works."""
    store: str
    held: tuple[Holding, ...] = ()
    """What the store has, largest first."""

    @property
    def without_accelerator(self) -> tuple[str, ...]:
        """The architectures for which no accelerator works."""
        works = {probe.arch for probe in self.probes if probe.works}
        return tuple(name for name in self.arches if name not in works)

    @property
    def healthy(self) -> bool:
        """All that is needed is installed, and an accelerator works for every architecture."""
        return all(need.optional for need in self.missing) and not self.without_accelerator


def architectures(names: Sequence[str]) -> tuple[Arch, ...]:
    """By name, or `all`; without a name those that are not on request."""
    if "all" in names:
        return tuple(arch.known().values())
    return tuple(arch.pick(name) for name in names) or tuple(arch.standard().values())


def examine(store: Store, arches: Sequence[Arch], *, fix: bool) -> Findings:
    """Check the host. With `fix`, install what is missing before that."""
    needs = requirements.needs(arches)
    absent = requirements.missing(needs)
    if absent and fix:
        requirements.install(absent)
        absent = requirements.missing(needs)
    probes: list[Probe] = []
    if all(need.optional for need in absent):
        probes = [accel.probe(store, target, kind) for target in arches for kind in Accel]
    return Findings(
        arches=tuple(one.name for one in arches),
        missing=absent,
        probes=tuple(probes),
        unconfined=sandbox.broken(),
        store=str(store.root),
        held=census.holdings(store),
    )


def render(findings: Findings) -> str:
    total = sum(holding.bytes for holding in findings.held)
    lines = [f"store: {findings.store}" + (f", {gc.size(total)}" if total else "")]
    if total:
        lines += [*gc.holdings(findings.held), "  `rig gc` says what can be removed"]
    for need in findings.missing:
        kind = "optional" if need.optional else "MISSING"
        lines.append(f"{kind}: {need.package}: {need.why}")
    if not findings.missing:
        lines.append("host: all that the rig needs is installed")
    if findings.unconfined:
        refusal = sandbox.refusal(findings.unconfined)
        lines += [f"sandbox: does not work: {refusal.message}", f"  {refusal.hint}"]
    else:
        lines.append("sandbox: works; series are built and booted in it")
    for probe in findings.probes:
        lines.append(
            f"{probe.arch:8} {probe.accel:4} {'yes' if probe.works else 'no':4} {probe.why}"
        )
    if not all(need.optional for need in findings.missing):
        usual = findings.arches == tuple(arch.standard())
        option = "" if usual else f" --arch {','.join(findings.arches)}"
        lines.append(f"`rig doctor --fix{option}` installs what is missing")
    elif not findings.healthy:
        names = ", ".join(findings.without_accelerator)
        lines.append(f"no accelerator works for {names}: the rig cannot test there")
    return printable.page(lines)
