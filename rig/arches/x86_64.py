# SPDX-License-Identifier: GPL-2.0-only
"""x86-64 on QEMU's q35."""

from rig.arch import Arch

ARCH = Arch(
    name="x86_64",
    aliases=("amd64", "x86-64", "x86"),
    kernel="x86_64",
    cross="x86_64-linux-gnu-",
    packages=("gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"),
    target="bzImage",
    image="arch/x86/boot/bzImage",
    deb_arch="amd64",
    qemu="qemu-system-x86_64",
    qemu_package="qemu-system-x86",
    machine="q35",
    # Without ACPI the CPUs are found in SeaBIOS's MP table, which lists one for each socket.
    smp="{cpus},sockets={cpus}",
    cpu="max",
    probe=("-bios", "{}", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
    console="ttyS0",
    # Without ACPI the kernel cannot calibrate the TSC under TCG and falls back to jiffies; lpj
    # spares the delay loop's calibration; reboot=t resets by triple fault, which -no-reboot turns
    # into an exit.
    cmdline=("tsc=reliable", "lpj=10000000", "reboot=t"),
    virtio="pci",
)
