# SPDX-License-Identifier: GPL-2.0-only
"""`Machine` -> QEMU's command line. Pure functions: boot.py and seeded.py start the process."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from rig import arch as arches
from rig.arch import Arch

QUIET = (
    *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
    *("-monitor", "none"),
    # QEMU's own seccomp filter: code that escapes from the guest cannot start a program.
    *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
)


# A busy host may not run a vCPU for a while. That is not a lockup of the kernel's.
PATIENCE = ("watchdog_thresh=30", "rcupdate.rcu_cpu_stall_timeout=90")
# CPUs run one at a time. While one uses its whole turn, the others may wait for a lock that it has
# already released, and give up their turns (arm64's WFE is a yield to TCG). On a clean kernel this
# took a minute of virtual time in 2 of 10 seeds. The host's deadline stops a guest that hangs.
PATIENCE_SEEDED = (
    *("nowatchdog", "rcupdate.rcu_cpu_stall_suppress=1"),
    "sysctl.kernel.hung_task_timeout_secs=0",
    # Panic at a bad page (TAINT_BAD_PAGE, 1 << 5): a kernel that continues with a broken free list
    # may hang, and a hang takes until the host's deadline.
    "panic_on_taint=0x20",
)
# QEMU's disks complete requests in host time. These two disks are in the guest's memory: data is
# copied at once, and a timer completes the request (drivers/block/null_blk/main.c: NULL_IRQ_TIMER),
# so that it is in flight for some hundreds or thousands of instructions.
SEEDED_DISKS = (
    *("null_blk.nr_devices=2", "null_blk.memory_backed=1", "null_blk.gb=1"),
    *("null_blk.irqmode=2", "null_blk.completion_nsec=100000"),
)
NO_SEEDED_DISKS = ("null_blk.nr_devices=0",)


SEED_MAX = 2**63 - 1


class Accel(StrEnum):
    KVM = "kvm"
    TCG = "tcg"

    @property
    def patience(self) -> float:
        """Factor for deadlines: how much slower than hardware a guest may be."""
        return {Accel.KVM: 1, Accel.TCG: 6}[self]

    @property
    def device(self) -> Path | None:
        """The device that QEMU has to open for it."""
        return {Accel.KVM: Path("/dev/kvm"), Accel.TCG: None}[self]

    @property
    def option(self) -> str:
        return {Accel.KVM: "kvm", Accel.TCG: "tcg,thread=multi"}[self]


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """Real parallelism: a thread for each CPU, driven over SSH."""

    kind: Literal["live"] = "live"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seeded:
    """One thread, a virtual clock and no input: the guest's output is a function of the seed."""

    seed: int
    kind: Literal["seeded"] = "seeded"

    @property
    def shift(self) -> int:
        """An instruction takes 2^shift ns of virtual time. Each shift interleaves differently."""
        return 5 + self.seed % 3

    @property
    def turn(self) -> int:
        """The longest turn of a CPU, in us of virtual time: 12 to 32 thousand times 2^shift ns.

        Without it, TCG ends a turn only at the next timer or at a broadcast TLBI. CPU 0 of a clean
        arm64 kernel waited three ticks of the other CPUs for each TLBI, and a case took minutes.
        """
        kilo_instructions = (12, 16, 20, 24, 32)[self.seed % 5]
        return kilo_instructions << self.shift

    @property
    def offset(self) -> int:
        """Iterations of a loop that init runs before it starts the program."""
        return self.seed // 3 % 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Swap:
    """Size of each swap device in MiB; 0 for none. zram is filled first."""

    zram: int = 512
    disk: int = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    arch: str
    accel: Accel
    cpus: int = 4
    memory: int = 1024
    """MiB."""
    swap: Swap = Swap()
    schedule: Live | Seeded = Live()
    lru_gen: bool | None = None
    """Multi-generational LRU on or off; None keeps the kernel's default."""
    cmdline: tuple[str, ...] = ()

    @property
    def patience(self) -> float:
        """How much longer things take than on hardware, for deadlines."""
        own = arches.pick(self.arch).tcg_patience if self.accel is Accel.TCG else 1
        return self.accel.patience * own

    @property
    def where(self) -> str:
        """What makes results comparable (outcome rule 6)."""
        return f"{self.arch}/{self.accel}/{self.schedule.kind}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """What a live machine is started with."""

    kernel: Path
    initrd: Path
    qmp: Path
    port: int = 0
    """The port on 127.0.0.1 that is forwarded to the guest's SSH; 0 lets QEMU choose."""
    swap_disk: Path | None = None
    data_disk: Path | None = None
    """The file is not changed: what the guest writes is dropped when QEMU exits."""

    @property
    def events(self) -> Path:
        """A second monitor, which is read for events."""
        return self.qmp.with_name("events")


@dataclass(frozen=True, kw_only=True, slots=True)
class SeededFiles:
    """What a seeded machine is started with, and what it writes.

    Consoles go to files: QEMU would wait for the reader of a full pipe, for some host time.
    """

    kernel: Path
    initrd: Path
    console: Path
    """The kernel's messages."""
    answer: Path
    """The program's output."""


def kernel_cmdline(machine: Machine) -> str:
    arch, seeded = arches.pick(machine.arch), isinstance(machine.schedule, Seeded)
    words = [
        f"console={arch.console}",
        # A dead guest resets at once, which -no-reboot turns into QEMU's exit.
        "panic=-1",
        "oops=panic",
        *((*PATIENCE_SEEDED, *SEEDED_DISKS) if seeded else (*PATIENCE, *NO_SEEDED_DISKS)),
        # Two fake NUMA nodes, so that pages can be migrated between nodes on any machine.
        "numa=fake=2",
        # For kernels that are built with it (kconfigs/flavour/debug.config); others ignore it.
        "page_poison=1",
        *arch.cmdline,
        f"rig.zram={machine.swap.zram << 20}",
        f"rig.swapdisk={machine.swap.disk << 20}",
    ]
    if machine.lru_gen is not None:
        words.append(f"rig.lru_gen={'y' if machine.lru_gen else 'n'}")
    if isinstance(machine.schedule, Seeded):
        words += ["nokaslr", *arch.seeded_cmdline, f"rig.offset={machine.schedule.offset}"]
    return " ".join([*words, *machine.cmdline])


def argv(machine: Machine, files: Files) -> list[str]:
    """The command line. The serial console is QEMU's stdout; only loopback ports listen."""
    arch = arches.pick(machine.arch)
    return [
        *base_argv(arch, machine.accel),
        *_hardware(arch, machine, files.kernel, files.initrd),
        "-serial", "stdio",
        *_network(arch, files.port),
        *_disk(arch, "rig-swap", files.swap_disk),
        *_disk(arch, "rig-data", files.data_disk, "snapshot=on"),
        "-qmp", f"unix:{value(files.qmp)},server=on,wait=off",
        "-qmp", f"unix:{value(files.events)},server=on,wait=off",
    ]  # fmt: skip


def seeded_argv(machine: Machine, schedule: Seeded, files: SeededFiles) -> list[str]:
    """The same for a machine without a network, disks, random numbers and host time."""
    arch = arches.pick(machine.arch)
    return [
        arch.qemu,
        "-M", arch.seeded_machine,
        "-accel", "tcg,thread=single",
        "-icount", f"shift={schedule.shift},sleep=off",
        "-rtc", "base=2020-01-01,clock=vm",
        "-cpu", arch.seeded_cpu,
        *arch.seeded_options,
        *QUIET,
        *_hardware(arch, machine, files.kernel, files.initrd),
        "-serial", f"file:{files.console}",
        "-chardev", f"file,id=answer,path={value(files.answer)}",
        "-device", f"{arch.answer},chardev=answer",
        # Ends a CPU's turn after `interval`: a timer of QEMU's that the guest does not see
        # (net/filter-buffer.c, on a network to which nothing is connected).
        "-netdev", "hubport,id=nobody,hubid=0",
        "-object", f"filter-buffer,id=turn,netdev=nobody,interval={schedule.turn}",
    ]  # fmt: skip


def _hardware(arch: Arch, machine: Machine, kernel: Path, initrd: Path) -> list[str]:
    return [
        "-smp", arch.smp.format(cpus=machine.cpus),
        "-m", f"{machine.memory}M",
        "-kernel", str(kernel),
        "-initrd", str(initrd),
        "-append", kernel_cmdline(machine),
    ]  # fmt: skip


def base_argv(arch: Arch, accel: Accel) -> list[str]:
    """The options that all guests have, the probe of an accelerator included."""
    return [
        arch.qemu,
        "-M", arch.machine,
        "-accel", accel.option,
        "-cpu", arch.cpu if accel is Accel.TCG else "host",
        *QUIET,
    ]  # fmt: skip


def probe_argv(arch: Arch, accel: Accel, rom: Path) -> list[str]:
    """The minimal guest of `rig/arch/<name>.S`."""
    return [
        *base_argv(arch, accel),
        "-serial",
        "stdio",
        "-m",
        "1024M",
        *(word.format(rom) for word in arch.probe),
    ]


def value(path: Path) -> str:
    """A path as part of an option: a comma would start the next part (qemu-options.hx)."""
    return str(path).replace(",", ",,")


def _network(arch: Arch, port: int) -> list[str]:
    """A network that reaches neither the host nor beyond, and one port forwarded into it."""
    return [
        "-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:22",
        "-device", f"virtio-net-{arch.virtio},netdev=net0,romfile=",
    ]  # fmt: skip


def _disk(arch: Arch, name: str, path: Path | None, *options: str) -> list[str]:
    """A disk with the serial number `name`, by which the guest finds it."""
    if path is None:
        return []
    drive = (f"file={value(path)}", "if=none", f"id={name}", "format=raw", "cache=unsafe", *options)
    return [
        "-drive", ",".join(drive),
        # The host's trouble with the file stops the guest (rig/guest/monitor.py). By default the
        # guest would get an error, which the kernel would be blamed for.
        "-device",
        f"virtio-blk-{arch.virtio},drive={name},serial={name},werror=stop,rerror=stop",
    ]  # fmt: skip
