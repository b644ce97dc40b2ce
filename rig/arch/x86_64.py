# SPDX-License-Identifier: GPL-2.0-only
"""x86-64 on QEMU's q35."""

import re

from rig.arch import Arch


def _host_tsc(cpuinfo: str) -> tuple[str, ...]:
    """The frequency of the host's TSC, which TCG gives to the guest.

    The guest would calibrate it against the PIT. On a busy host that gave 987 MHz instead of 2596,
    and all of the guest's time, with its lockup detectors, ran 2.6 times too fast.

    The host's kernel takes lpj from its TSC (arch/x86/kernel/tsc.c), and bogomips is
    lpj * HZ / 500,000 (init/calibrate.c). Guests have HZ=250.
    """
    if not (match := re.search(r"^bogomips\s*: ([\d.]+)$", cpuinfo, re.MULTILINE)):
        return ()  # not an x86 host
    khz = round(float(match[1]) * 500)
    return (f"tsc_early_khz={khz}", f"lpj={khz * 1000 // 250}")


ARCH = Arch(
    name="x86_64",
    aliases=("amd64", "x86-64", "x86"),
    on_request=False,
    kernel="x86_64",
    cross="x86_64-linux-gnu-",
    packages=("gcc-x86-64-linux-gnu", "binutils-x86-64-linux-gnu", "libc6-dev-amd64-cross"),
    target="bzImage",
    image="arch/x86/boot/bzImage",
    deb_arch="amd64",
    deb_instead={},
    qemu="qemu-system-x86_64",
    qemu_package="qemu-system-x86",
    machine="q35",
    # Without ACPI the kernel finds CPUs in SeaBIOS's MP table, which has one entry a socket.
    smp="{cpus},sockets={cpus}",
    cpu="max",
    tcg_patience=1,
    probe=("-bios", "{}", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
    seeded_machine="q35",
    # It boots by PVH, without the decompressor, which would be a tenth of all instructions.
    seeded_kernel="vmlinux",
    seeded_cpu="max,-rdrand,-rdseed",
    seeded_options=(),
    # The virtual clock ticks every ns on any host, so nothing needs to be calibrated.
    seeded_cmdline=("tsc_early_khz=1000000", "lpj=4000000"),
    answer="isa-serial,iobase=0x2f8,irq=3",
    answer_device="ttyS1",
    console="ttyS0",
    # tsc=reliable: without ACPI the kernel cannot check the TSC, and would use jiffies as clock.
    # no_timer_check: on a busy host the PIT's ticks come so late that the kernel panics with
    # "IO-APIC + timer doesn't work!"; a KVM guest sets it itself. reboot=t: reset by triple fault,
    # which -no-reboot turns into an exit.
    cmdline=("tsc=reliable", "no_timer_check", "reboot=t"),
    tcg_cmdline=_host_tsc,
    virtio="pci",
)
