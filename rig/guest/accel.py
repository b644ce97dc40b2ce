# SPDX-License-Identifier: GPL-2.0-only
"""Finds out which accelerators work on this host, by booting a guest under each.

A /dev/kvm that opens and makes a virtual machine is no proof: on some hosts every guest aborts or
spins for ever. The result is stored for this host, its kernel and this version of QEMU.
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
    """What happened, for the user to read."""


def qemu_version(arch: Arch) -> str:
    return proc.run([arch.qemu, "--version"]).stdout.splitlines()[0]


def probe(store: Store, arch: Arch, accel: Accel) -> Probe:
    """Boot a minimal guest. The result is stored until the host, QEMU or the probe changes."""
    if accel is Accel.KVM:
        if not arch.is_host():
            return Probe(
                arch=arch.name,
                accel=accel,
                works=False,
                why="KVM runs only the host's architecture",
            )
        if not Path("/dev/kvm").exists():
            return Probe(arch=arch.name, accel=accel, works=False, why="no /dev/kvm on this host")
    source = _source(arch)
    inputs = {
        "arch": arch.name,
        "accel": accel,
        "host": [platform.node(), platform.release(), platform.machine()],
        "qemu": qemu_version(arch),
        "probe": [source.read_text(), qemu.probe_argv(arch, accel, Path("rom"))],
    }

    name = digest(inputs)
    if store.find("probes", name) is None:
        title = f"Booting a minimal {arch.name} guest under {accel}"
        with log.step(title), store.lock(f"probe-{name}"):
            works, why = boots(arch, accel)
        # TCG works on every host. A failure means that the host was too busy: do not store it.
        if accel is Accel.TCG and not works:
            return Probe(arch=arch.name, accel=accel, works=works, why=why)
        store.make("probes", name, inputs, lambda _: {"works": works, "why": why})
    facts = store.manifest("probes", name)
    return Probe(arch=arch.name, accel=accel, works=facts["works"], why=facts["why"])


def _source(arch: Arch) -> Path:
    return Path(arches.__file__).with_name(f"{arch.name}.S")


def boots(arch: Arch, accel: Accel) -> tuple[bool, str]:
    """Whether a minimal guest boots now, and what happened."""
    with sandbox.scratch() as out:
        return _boot(arch, accel, _source(arch), out)


def _boot(arch: Arch, accel: Accel, source: Path, out: Path) -> tuple[bool, str]:
    elf, rom = out / "probe.elf", out / "probe.bin"
    link = ["-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-Ttext=0xf0000"]
    proc.run([arch.tool("gcc"), *link, "-o", elf, source])
    proc.run([arch.tool("objcopy"), "-O", "binary", "-j", ".text", elf, rom])
    failed = "a guest does not boot under it"
    if accel is Accel.KVM:
        failed = f"/dev/kvm exists, but {failed}"
    try:
        box = Box(read=(rom,), device=accel.device)
        command = sandbox.command(qemu.probe_argv(arch, accel, rom), box, unconfined=True)
        result = proc.run(command, check=False, deadline=DEADLINE)
    except proc.DeadlineExceeded:
        return False, f"{failed}: no answer within {DEADLINE} s"
    if ANSWER in result.stdout:
        return True, f"a guest boots in {result.seconds:.1f} s"
    errors = [line for line in result.stderr.splitlines() if "warning:" not in line]
    if not errors:
        return False, f"{failed}: QEMU exited with status {result.status}"
    return False, f"{failed}: {errors[0].removeprefix(f'{arch.qemu}: ')}"


def choose(store: Store, arch: Arch, name: str = "auto") -> Accel:
    """The accelerator to use. One that the user names must work."""
    if name == "auto":
        for accel in Accel:
            if probe(store, arch, accel).works:
                return accel
        raise InfraError(
            f"no accelerator runs {arch.name} guests here",
            hint="`rig doctor` shows why each of them fails",
        )
    if name not in list(Accel):
        raise unknown("accelerator", name, ["auto", *Accel])
    result = probe(store, arch, Accel(name))
    if not result.works:
        raise ConfigError(
            f"{name} does not work for {arch.name} here: {result.why}",
            hint="`--accel auto` takes one that works",
        )
    return result.accel
