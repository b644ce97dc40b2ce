# SPDX-License-Identifier: GPL-2.0-only
"""The packages that the host must have, why, and how to install them.

The check is the same on every distribution: it looks for programs on the PATH, and for files. Only
on Debian, Ubuntu and derivatives the rig installs packages, by apt; elsewhere it names them.
"""

import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rig import log, proc
from rig.arch import Arch
from rig.errors import InfraError
from rig.kernel import buildhost
from rig.kernel.buildhost import Need

APT_LISTS = Path("/var/lib/apt/lists")
LISTS_OLD = 3 * 86400
"""Seconds. Mirrors may no longer have the versions that older package lists name."""

STAGES = 3
"""Lines that apt prints for each package: fetched, unpacked, set up."""


KERNEL = (
    *buildhost.BUILD,
    Need(package="perl", why="runs the kernel's checkpatch", programs=("perl",)),
    Need(package="xz-utils", why="unpacks the kernel source", programs=("xz",)),
    Need(package="git", why="stores kernel trees and applies series", programs=("git",)),
    Need(package="coccinelle", why="weaves mutants into the kernel", programs=("spatch",)),
    Need(
        package="bubblewrap",
        why="runs a stranger's Makefiles and kernels in a sandbox",
        programs=("bwrap",),
    ),
    Need(
        package="ccache",
        why="makes full kernel builds faster if they were compiled before",
        programs=("ccache",),
        optional=True,
    ),
)

IMAGES = (
    Need(
        package="apt",
        why="fetches kernel source and guest packages from Debian's archive",
        programs=("apt-get", "apt-cache"),
    ),
    Need(package="dpkg", why="unpacks Debian's kernel source", programs=("dpkg-deb",)),
    Need(package="mmdebstrap", why="fetches the guest's packages", programs=("mmdebstrap",)),
    Need(
        # Every Debian has it. Ubuntu's apt has only Ubuntu's keys, and would refuse the packages
        # from Debian's archive.
        package="debian-archive-keyring",
        why="checks Debian's signatures on kernel source and guest packages",
        files=("/usr/share/keyrings/debian-archive-keyring.gpg",),
    ),
    Need(package="gpg", why="mmdebstrap needs it to select keyrings", programs=("gpg",)),
    Need(
        package="ca-certificates",
        why="checks the certificates of kernel.org and Debian mirrors",
        files=("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"),
    ),
    Need(package="e2fsprogs", why="makes disk images without mounting", programs=("mke2fs",)),
    Need(
        package="util-linux",
        why="ends and limits the programs that the rig starts",
        programs=("setpriv", "prlimit", "choom", "unshare"),
    ),
    Need(
        package="socat",
        why="forwards the guest's SSH port out of QEMU's sandbox",
        programs=("socat",),
    ),
    Need(
        package="gdb-multiarch",
        why="debugs a guest that `rig replay --gdb` has stopped",
        programs=("gdb-multiarch",),
        optional=True,
    ),
)

UNPRIVILEGED = (
    Need(package="uidmap", why="mmdebstrap needs it to run without root", programs=("newuidmap",)),
)

TESTS = (
    Need(package="shellcheck", why="the tests check shell scripts", programs=("shellcheck",)),
    Need(package="cpio", why="the tests read initramfs archives", programs=("cpio",)),
    Need(
        package="public-inbox",
        why="the tests fetch series from a mailing list archive that they set up",
        programs=("public-inbox-httpd", "public-inbox-init", "public-inbox-mda"),
    ),
)


def needs(arches: Iterable[Arch]) -> tuple[Need, ...]:
    """All needs of this host for guests of these architectures."""
    targets = tuple(arches)
    return (
        *KERNEL,
        *IMAGES,
        *(UNPRIVILEGED if os.geteuid() else ()),
        *(_emulator(arch) for arch in targets),
        *(need for arch in targets for need in buildhost.cross(arch)),
        *TESTS,
    )


def _emulator(arch: Arch) -> Need:
    why = f"emulates {arch.name} machines"
    return Need(package=arch.qemu_package, why=why, programs=(arch.qemu,))


def missing(candidates: Iterable[Need]) -> tuple[Need, ...]:
    """The needs that are not met, including the optional ones."""
    return tuple(need for need in candidates if not need.met())


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    id: str
    """As in os-release(5): "debian", "ubuntu", "fedora"."""
    version: str
    """"12"; empty for a distribution without versions."""
    name: str
    """For messages."""
    like: tuple[str, ...]

    @property
    def has_apt(self) -> bool:
        """Debian, Ubuntu or a derivative, whose packages have the same names."""
        return not {self.id, *self.like}.isdisjoint({"debian", "ubuntu"})


def distribution() -> Distribution:
    """The distribution of this host, from os-release(5)."""
    try:
        fields = platform.freedesktop_os_release()
    except OSError:
        fields = {}
    return Distribution(
        id=fields.get("ID", "linux"),
        version=fields.get("VERSION_ID", ""),
        name=fields.get("PRETTY_NAME", "an unknown distribution"),
        like=tuple(fields.get("ID_LIKE", "").split()),
    )


def install(needs: Iterable[Need]) -> None:
    """Install packages by apt, after a note on each. Raises InfraError if they cannot be installed.

    sudo may ask for a password on the terminal, so do not call this inside a log.step(): the live
    progress display would overwrite the question.
    """
    absent = tuple(needs)
    if not absent:
        return
    packages = sorted({need.package for need in absent})
    here = distribution()
    if not here.has_apt or shutil.which("apt-get") is None:
        raise InfraError(
            f"missing on this host: {', '.join(packages)}",
            hint=f"these are Debian's package names; on {here.name} install the packages with its"
            " own package manager",
            detail="\n".join(f"{need.package}: {need.why}" for need in absent),
        )
    for need in absent:
        log.note(f"installing {need.package}: {need.why}")
    if _lists_are_old():
        _apt("Fetching the package lists", "update")
    try:
        _install(packages)
    except proc.CommandFailed:
        # The lists may name versions that the mirror has replaced, or dpkg was interrupted before.
        _as_root("Finishing an interrupted installation", "dpkg", "--configure", "-a")
        _apt("Fetching the package lists", "update")
        _install(packages)
    if still_missing := missing(absent):
        raise InfraError(
            f"installed, but not found: {', '.join(need.package for need in still_missing)}",
            hint="looked for: "
            + ", ".join(sign for need in still_missing for sign in (*need.programs, *need.files)),
        )


def _install(packages: list[str]) -> None:
    _apt(
        f"Installing {packages[0] if len(packages) == 1 else f'{len(packages)} packages'}",
        *("install", "--yes", "--no-install-recommends"),
        *("-o", "DPkg::Lock::Timeout=300"),  # a new Ubuntu runs upgrades at its first boot
        *packages,
    )


def _lists_are_old() -> bool:
    lists = [path.stat().st_mtime for path in APT_LISTS.glob("*_Packages*")]
    # The lists have the mirror's date. The directory's date is that of the last update.
    return not lists or time.time() - APT_LISTS.stat().st_mtime > LISTS_OLD


def _apt(title: str, *arguments: str) -> None:
    _as_root(title, "apt-get", "--quiet", *arguments)


def _as_root(title: str, *command: str) -> None:
    argv = ["env", "DEBIAN_FRONTEND=noninteractive", *command]
    if os.geteuid() == 0:
        _follow(title, argv)
    elif shutil.which("sudo") is None:
        raise InfraError(
            "installing packages needs root, and sudo is not installed",
            hint=f"run as root: {proc.paste(command)}",
        )
    elif sys.stdin and sys.stdin.isatty() and proc.run(["sudo", "-n", "true"], check=False).status:
        # sudo asks on the terminal, and commands of proc.run() have no terminal.
        if proc.interactive(["sudo", "--", *argv]):
            raise InfraError(f"{title} failed", hint=f"run as root: {proc.paste(command)}")
    else:
        _follow(title, ["sudo", "-n", "--", *argv])


def _follow(title: str, argv: list[str]) -> None:
    with log.step(title) as step:
        done = total = 0

        def on_line(line: str) -> None:
            nonlocal done, total
            if planned := re.search(r"(\d+) upgraded, (\d+) newly installed", line):
                total = STAGES * (int(planned[1]) + int(planned[2]))
            elif line.startswith(("Get:", "Unpacking ", "Setting up ")):
                done += 1
                step.progress(done, max(done, total) if total else 0, "steps")

        proc.run(argv, deadline=3600, on_line=on_line)
