# SPDX-License-Identifier: GPL-2.0-only
"""What the rig must know of an architecture: facts, in fields. One module here for each."""

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rig import discover


@dataclass(frozen=True, kw_only=True, slots=True)
class Arch:
    name: str
    aliases: tuple[str, ...]
    """What else people call it, `uname -m` of such a host among it."""
    kernel: str
    """ARCH= of the kernel's Makefile."""
    cross: str
    """Prefix of the tools on a host of another architecture."""
    packages: tuple[str, ...]
    """Debian packages a host of another architecture needs to build for this one."""
    target: str
    """make target of the bootable image."""
    image: str
    """Path of that image in the build directory."""
    deb_arch: str
    qemu: str
    qemu_package: str
    machine: str
    """QEMU's -M, without the accelerator."""
    smp: str
    """QEMU's -smp, with {cpus} in it."""
    cpu: str
    """QEMU's -cpu under TCG; under KVM it is always the host's own."""
    probe: tuple[str, ...]
    """QEMU's options for `rig/arch/<name>.S`, the smallest guest, with {} for its file."""
    seeded_machine: str
    """QEMU's -M where every bit of the guest must follow from the seed."""
    seeded_kernel: str
    """Of a build's files the one that QEMU starts there: up in the fewest instructions."""
    seeded_cpu: str
    """QEMU's -cpu there: none with an instruction for random numbers."""
    seeded_cmdline: tuple[str, ...]
    answer: str
    """QEMU's -device of the second serial port."""
    answer_device: str
    """What the guest's kernel calls it."""
    console: str
    """The serial console's device, as in console= on the kernel command line."""
    cmdline: tuple[str, ...]
    tcg_cmdline: Callable[[str], tuple[str, ...]]
    """Words for the kernel that depend on the host under TCG, from its /proc/cpuinfo."""
    clock_function: str
    """A function of the kernel's that reads the clock, and often."""
    clock_instruction: str
    """How objdump writes the instruction that does; a group is the register it goes to."""
    clock: Callable[[Mapping[str, int], str], float]
    """Seconds, from all registers and that one's name, with QEMU's virtual clock."""
    virtio: str
    """Suffix of QEMU's virtio devices on this machine: virtio-net-<suffix>."""

    def is_host(self) -> bool:
        return platform.machine() in (self.name, *self.aliases)

    def tool(self, name: str) -> str:
        """A compiler or binutils program for this architecture on this host."""
        return name if self.is_host() else f"{self.cross}{name}"


def known() -> dict[str, Arch]:
    return discover.constants(sys.modules[__name__], "ARCH", Arch)


def pick(name: str) -> Arch:
    """By name or alias; a ConfigError has the nearest names."""
    for arch in known().values():
        if name in arch.aliases:
            return arch
    return discover.pick(sys.modules[__name__], "ARCH", Arch, name, "architecture")
