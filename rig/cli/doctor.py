# SPDX-License-Identifier: GPL-2.0-only
"""What this host lacks, and which accelerators work here."""

from dataclasses import dataclass

from rig import arch, printable
from rig.cli import requirements
from rig.cli.requirements import Need
from rig.guest import accel
from rig.guest.accel import Probe
from rig.guest.qemu import Accel
from rig.kernel import sandbox
from rig.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    missing: tuple[Need, ...]
    probes: tuple[Probe, ...]
    unconfined: str
    """Why the sandbox does not work; empty where it does."""
    store: str

    @property
    def healthy(self) -> bool:
        """Nothing needed is missing, and every architecture has an accelerator that works."""
        works = {probe.arch for probe in self.probes if probe.works}
        return all(need.optional for need in self.missing) and works == set(arch.known())


def examine(store: Store, *, fix: bool) -> Findings:
    """Look, after installing what is missing if that is wanted."""
    wanted = requirements.needs(arch.known().values())
    absent = requirements.missing(wanted)
    if absent and fix:
        requirements.install(absent)
        absent = requirements.missing(wanted)
    probes: list[Probe] = []
    if all(need.optional for need in absent):
        probes = [accel.probe(store, one, kind) for one in arch.known().values() for kind in Accel]
    return Findings(
        missing=absent, probes=tuple(probes), unconfined=sandbox.broken(), store=str(store.root)
    )


def render(findings: Findings) -> str:
    lines = [f"store: {findings.store}"]
    for need in findings.missing:
        kind = "optional" if need.optional else "MISSING"
        lines.append(f"{kind}: {need.package}: {need.why}")
    if not findings.missing:
        lines.append("host: everything the rig needs is installed")
    if findings.unconfined:
        refused = sandbox.refusal(findings.unconfined)
        lines += [f"sandbox: no: {refused.message}", f"  {refused.hint}"]
    else:
        lines.append("sandbox: works: a series is built and booted in it")
    for probe in findings.probes:
        lines.append(
            f"{probe.arch:8} {probe.accel:4} {'yes' if probe.works else 'no':4} {probe.why}"
        )
    if not all(need.optional for need in findings.missing):
        lines.append("`rig doctor --fix` installs what is missing")
    elif not findings.healthy:
        lines.append("no verdict can be had for an architecture without an accelerator")
    return printable.page(lines)
