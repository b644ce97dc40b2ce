# SPDX-License-Identifier: GPL-2.0-only
"""x86-64 on QEMU's q35."""

import re

from rig.arch import Arch


def _host_tsc(cpuinfo: str) -> tuple[str, ...]:
    """TCG's TSC is the host's. Calibrated against the PIT on a busy host it came out at 987 MHz
    instead of 2596, and all of the guest's time, lockup detectors too, ran 2.6 times too fast.

    The host's own kernel has lpj from its TSC (arch/x86/kernel/tsc.c), and bogomips is
    lpj * HZ / 500,000 (init/calibrate.c); the guests have HZ=250.
    """
    if not (found := re.search(r"^bogomips\s*: ([\d.]+)$", cpuinfo, re.MULTILINE)):
        return ()  # no x86 host
    khz = round(float(found[1]) * 500)
    return (f"tsc_early_khz={khz}", f"lpj={khz * 1000 // 250}")


ARCH = Arch(
    name="x86_64",
    aliases=("amd64", "x86-64", "x86"),
    kernel="x86_64",
    cross="x86_64-linux-gnu-",
    packages=("gcc-x86-64-linux-gnu", "binutils-x86-64-linux-gnu", "libc6-dev-amd64-cross"),
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
    seeded_machine="q35",
    # By PVH, without the decompressor: a tenth of a guest's instructions.
    seeded_kernel="vmlinux",
    seeded_cpu="max,-rdrand,-rdseed",
    # The virtual clock has a tick of 1 ns, whatever the host: nothing is left to calibrate.
    seeded_cmdline=("tsc_early_khz=1000000", "lpj=4000000"),
    answer="isa-serial,iobase=0x2f8,irq=3",
    answer_device="ttyS1",
    console="ttyS0",
    # tsc=reliable: without ACPI there is nothing to check the TSC against, and jiffies would be the
    # clock. no_timer_check: on a busy host the PIT's ticks come so late that the kernel panics with
    # "IO-APIC + timer doesn't work!"; a KVM guest sets it for itself. reboot=t resets by triple
    # fault, which -no-reboot turns into an exit.
    cmdline=("tsc=reliable", "no_timer_check", "reboot=t"),
    tcg_cmdline=_host_tsc,
    clock_function="native_sched_clock",
    clock_instruction="rdtsc",
    clock=lambda values, _: (values["RDX"] << 32 | values["RAX"] & 0xFFFFFFFF) / 1e9,
    virtio="pci",
)
