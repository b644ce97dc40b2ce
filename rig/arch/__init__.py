# SPDX-License-Identifier: GPL-2.0-only
"""The facts of an architecture, as fields. Each architecture has a module in this package."""

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rig import discover


@dataclass(frozen=True, kw_only=True, slots=True)
class Arch:
    name: str
    aliases: tuple[str, ...]
    """Other names, including `uname -m` of such a host."""
    on_request: bool
    """`rig doctor` and the tests use it only where it is named."""
    kernel: str
    """ARCH= for the kernel's Makefile."""
    cross: str
    """Prefix of the tools on a host of another architecture."""
    packages: tuple[str, ...]
    """Debian packages a host of another architecture needs to build for this one."""
    target: str
    """The make target of the bootable image."""
    image: str
    """The path of that image in the build directory."""
    deb_arch: str
    deb_instead: Mapping[str, str]
    """Debian releases that have no such architecture, and the one the guest's packages come from
    where an image is of that release."""
    qemu: str
    qemu_package: str
    machine: str
    """QEMU's -M, without the accelerator."""
    smp: str
    """QEMU's -smp, with {cpus} in it."""
    cpu: str
    """QEMU's -cpu under TCG; under KVM it is always `host`."""
    tcg_patience: float
    """How much more time than x86_64 and arm64 the suites get under TCG."""
    probe: tuple[str, ...]
    """QEMU's options for the minimal guest `rig/arch/<name>.S`, with {} for its file."""
    seeded_machine: str
    """QEMU's -M for seeded guests: it must give the guest no random input."""
    seeded_kernel: str
    """The file of a build that QEMU boots there: the one that needs the fewest instructions."""
    seeded_cpu: str
    """QEMU's -cpu there: a model without an instruction for random numbers."""
    seeded_options: tuple[str, ...]
    """More of QEMU's options there."""
    seeded_cmdline: tuple[str, ...]
    answer: str
    """QEMU's -device for the second serial port."""
    answer_device: str
    """The name of that port in the guest."""
    console: str
    """The serial console's device, as in console= on the kernel command line."""
    cmdline: tuple[str, ...]
    tcg_cmdline: Callable[[str], tuple[str, ...]]
    """Kernel parameters that depend on the host under TCG, from the host's /proc/cpuinfo."""
    virtio: str
    """Suffix of QEMU's virtio devices on this machine: virtio-net-<suffix>."""

    def is_host(self) -> bool:
        return platform.machine() in (self.name, *self.aliases)

    def tool(self, name: str) -> str:
        """A compiler or binutils program for this architecture on this host."""
        return name if self.is_host() else f"{self.cross}{name}"


def known() -> dict[str, Arch]:
    return discover.constants(sys.modules[__name__], "ARCH", Arch)


def standard() -> dict[str, Arch]:
    """Those that are not on request."""
    return {name: arch for name, arch in known().items() if not arch.on_request}


def pick(name: str) -> Arch:
    """The architecture with this name or alias. ConfigError suggests the nearest names."""
    for arch in known().values():
        if name in arch.aliases:
            return arch
    return discover.pick(sys.modules[__name__], "ARCH", Arch, name, "architecture")
