# SPDX-License-Identifier: GPL-2.0-only
"""Which accelerator works *here*, found by booting a guest under it.

That /dev/kvm exists, opens and makes a virtual machine proves nothing: on some hosts every guest
aborts or spins for ever. The answer is kept for this host, its kernel and this QEMU.
"""

import platform
from dataclasses import dataclass
from pathlib import Path

from rig import arch as arches
from rig import log, proc
from rig.arch import Arch
from rig.errors import ConfigError, InfraError, unknown
from rig.guest import qemu
from rig.guest.qemu import Accel
from rig.kernel import sandbox
from rig.kernel.sandbox import Box
from rig.store import Store, digest

ANSWER = "rig: this accelerator works"
DEADLINE = 10
"""Seconds; the probe takes 0.1 s where it works, under TCG too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    arch: str
    accel: Accel
    works: bool
    why: str
    """What was seen, for people."""


def qemu_version(arch: Arch) -> str:
    return proc.run([arch.qemu, "--version"]).stdout.splitlines()[0]


def probe(store: Store, arch: Arch, accel: Accel) -> Probe:
    """Boot the smallest guest; remembered until the host's kernel, QEMU or the probe changes."""
    if accel is Accel.KVM:
        if not arch.is_host():
            return Probe(
                arch=arch.name,
                accel=accel,
                works=False,
                why="KVM runs only the host's architecture",
            )
        if not Path("/dev/kvm").exists():
            return Probe(arch=arch.name, accel=accel, works=False, why="there is no /dev/kvm")
    source = Path(arches.__file__).with_name(f"{arch.name}.S")
    inputs = {
        "arch": arch.name,
        "accel": accel,
        "host": [platform.node(), platform.release(), platform.machine()],
        "qemu": qemu_version(arch),
        "probe": [source.read_text(), qemu.probe_argv(arch, accel, Path("rom"))],
    }

    name = digest(inputs)
    if store.find("probes", name) is None:
        title = f"Booting the smallest {arch.name} guest under {accel}"
        with log.step(title), store.lock(f"probe-{name}"), store.scratch() as scratch:
            works, why = _boot(arch, accel, source, scratch)
        # TCG works everywhere: a guest that did not answer was not given the time this once.
        if accel is Accel.TCG and not works:
            return Probe(arch=arch.name, accel=accel, works=works, why=why)
        store.make("probes", name, inputs, lambda _: {"works": works, "why": why})
    facts = store.manifest("probes", name)
    return Probe(arch=arch.name, accel=accel, works=facts["works"], why=facts["why"])


def _boot(arch: Arch, accel: Accel, source: Path, out: Path) -> tuple[bool, str]:
    elf, rom = out / "probe.elf", out / "probe.bin"
    link = ["-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-Ttext=0xf0000"]
    proc.run([arch.tool("gcc"), *link, "-o", elf, source])
    proc.run([arch.tool("objcopy"), "-O", "binary", "-j", ".text", elf, rom])
    there = "/dev/kvm is there, but " if accel is Accel.KVM else ""
    try:
        box = Box(read=(rom,), device=accel.device)
        command = sandbox.command(qemu.probe_argv(arch, accel, rom), box, unconfined=True)
        done = proc.run(command, check=False, deadline=DEADLINE)
    except proc.DeadlineExceeded:
        return False, f"{there}a guest does not boot under it: no answer within {DEADLINE} s"
    if ANSWER in done.stdout:
        return True, f"a guest boots in {done.seconds:.1f} s"
    lines = [line for line in done.stderr.splitlines() if "warning:" not in line]
    said = lines[0].removeprefix(f"{arch.qemu}: ") if lines else f"QEMU ended with {done.status}"
    return False, f"{there}a guest does not boot under it: {said}"


def choose(store: Store, arch: Arch, asked: str = "auto") -> Accel:
    """The accelerator to use; one that was asked for must work."""
    if asked == "auto":
        for accel in Accel:
            if probe(store, arch, accel).works:
                return accel
        raise InfraError(
            f"no accelerator runs {arch.name} guests here", hint="`rig doctor` says why"
        )
    if asked not in list(Accel):
        raise unknown("accelerator", asked, ["auto", *Accel])
    found = probe(store, arch, Accel(asked))
    if not found.works:
        raise ConfigError(
            f"{asked} does not work for {arch.name} here: {found.why}", hint="--accel auto"
        )
    return found.accel
