# SPDX-License-Identifier: GPL-2.0-only
"""arm64 on QEMU's virt."""

from rig.arch import Arch

ARCH = Arch(
    name="arm64",
    aliases=("aarch64",),
    on_request=False,
    kernel="arm64",
    cross="aarch64-linux-gnu-",
    packages=("gcc-aarch64-linux-gnu", "binutils-aarch64-linux-gnu", "libc6-dev-arm64-cross"),
    target="Image",
    image="arch/arm64/boot/Image",
    deb_arch="arm64",
    deb_instead={},
    qemu="qemu-system-aarch64",
    qemu_package="qemu-system-arm",
    machine="virt",
    smp="{cpus}",
    # The architected pointer-authentication algorithm takes half of TCG's time. The implementation
    # defined one is good enough here (QEMU docs/system/arm/cpu-features.rst).
    cpu="max,pauth-impdef=on",
    tcg_patience=1,
    probe=("-kernel", "{}"),
    seeded_machine="virt,dtb-randomness=off",
    seeded_kernel="Image",
    # max has FEAT_RNG, which no option switches off. cortex-a76 does not have it, but like max has
    # FEAT_HAFDBS: the CPU sets the dirty bit at the first write to a clean page, without a fault.
    seeded_cpu="cortex-a76",
    seeded_options=(),
    seeded_cmdline=(),
    answer="pci-serial",
    answer_device="ttyS0",
    console="ttyAMA0",
    cmdline=(),
    tcg_cmdline=lambda cpuinfo: (),
    virtio="pci",
)
