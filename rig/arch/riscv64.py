# SPDX-License-Identifier: GPL-2.0-only
"""riscv64 on QEMU's virt."""

from rig.arch import Arch

ARCH = Arch(
    name="riscv64",
    aliases=("riscv",),
    on_request=True,
    kernel="riscv",
    cross="riscv64-linux-gnu-",
    packages=(
        "gcc-riscv64-linux-gnu",
        "binutils-riscv64-linux-gnu",
        "libc6-dev-riscv64-cross",
    ),
    target="Image",
    image="arch/riscv/boot/Image",
    deb_arch="riscv64",
    # Debian's first release for riscv64 is trixie.
    deb_instead={"bookworm": "trixie"},
    qemu="qemu-system-riscv64",
    # A virtual package: qemu-system-misc provides it in bookworm, qemu-system-riscv since trixie.
    qemu_package="qemu-system-riscv64",
    machine="virt",
    smp="{cpus}",
    # Sets the accessed and dirty bits itself, as x86 does.
    cpu="rv64",
    # The kernel has OpenSBI flush other CPUs' TLBs: an exception each, in M-mode, that the caller
    # waits for. Measured: three times arm64's time for stale_tlb/shared_file_lost_write.
    tcg_patience=3,
    # By way of OpenSBI, which QEMU starts first: the probe shows that it is installed.
    probe=("-kernel", "{}"),
    seeded_machine="virt",
    seeded_kernel="Image",
    seeded_cpu="rv64",
    # The device tree has a seed for the kernel's random numbers. This machine cannot leave it out,
    # as arm64's can (dtb-randomness=off), but it need not be another each time.
    seeded_options=("-seed", "0"),
    seeded_cmdline=(),
    answer="pci-serial",
    answer_device="ttyS1",
    console="ttyS0",
    cmdline=(),
    tcg_cmdline=lambda cpuinfo: (),
    virtio="pci",
)
