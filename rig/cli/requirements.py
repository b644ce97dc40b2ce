# SPDX-License-Identifier: GPL-2.0-only
"""What the host must have, why, and how it gets there.

Looking is the same on every distribution: a program on the PATH, a file in its place. Installing
is for Debian and Ubuntu, by apt; elsewhere the rig names what is missing and does not guess.
"""

import os
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

APT_LISTS = Path("/var/lib/apt/lists")
OS_RELEASE = Path("/etc/os-release")
LISTS_OLD = 3 * 86400
"""Seconds after which a Debian mirror may have dropped versions that the lists still name."""

STAGES = 3
"""Lines apt has for each package: fetched, unpacked, set up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """A Debian package and the signs by which it is known to be there."""

    package: str
    why: str
    programs: tuple[str, ...] = ()
    """All must be on the PATH."""
    files: tuple[str, ...] = ()
    """Glob patterns of absolute paths; one must be there."""
    optional: bool = False

    def met(self, root: Path = Path("/")) -> bool:
        path = proc.search_path()
        return all(shutil.which(program, path=path) for program in self.programs) and (
            not self.files or any(_exists(root, pattern) for pattern in self.files)
        )


def _exists(root: Path, pattern: str) -> bool:
    return any(True for _ in root.glob(pattern.lstrip("/")))


BINUTILS = ("addr2line", "ld", "nm", "objcopy", "objdump", "readelf", "strip")

KERNEL = (
    Need(package="make", why="builds the kernel", programs=("make",)),
    Need(package="gcc", why="compiles the kernel and its build tools", programs=("gcc",)),
    Need(package="perl", why="runs the kernel's checkpatch", programs=("perl",)),
    Need(package="binutils", why="links the kernel, decodes stacks", programs=BINUTILS),
    Need(
        package="libc6-dev",
        why="the kernel's build tools and the static test programs need the C library",
        files=("/usr/lib/*/libc.a", "/usr/lib64/libc.a", "/usr/lib/libc.a"),
    ),
    Need(package="flex", why="generates the parsers of kconfig and dtc", programs=("flex",)),
    Need(package="bison", why="generates the parsers of kconfig and dtc", programs=("bison",)),
    Need(package="bc", why="computes the kernel's time constants", programs=("bc",)),
    Need(
        package="libelf-dev",
        why="objtool reads the kernel's object files with it",
        files=("/usr/include/libelf.h", "/usr/include/libelf/libelf.h"),
    ),
    Need(
        package="libssl-dev",
        why="the kernel's certificate tools are built with it",
        files=("/usr/include/openssl/ssl.h",),
    ),
    Need(package="xz-utils", why="unpacks the kernel source", programs=("xz",)),
    Need(package="git", why="keeps kernel trees and applies series", programs=("git",)),
    Need(package="coccinelle", why="weaves mutants into the kernel", programs=("spatch",)),
    Need(
        package="bubblewrap",
        why="building a series runs its Makefiles: they get a sandbox",
        programs=("bwrap",),
    ),
    Need(
        package="ccache",
        why="makes the first build of a lane quick where its objects are known",
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
        # Debian has it anyway; Ubuntu's apt knows only Ubuntu's keys, and would refuse Debian's
        # kernel source and the guest's packages.
        package="debian-archive-keyring",
        why="checks Debian's signatures on kernel source and guest packages",
        files=("/usr/share/keyrings/debian-archive-keyring.gpg",),
    ),
    Need(package="gpg", why="mmdebstrap chooses among keyrings with it", programs=("gpg",)),
    Need(
        package="ca-certificates",
        why="kernel.org and Debian mirrors may be reached by TLS",
        files=("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"),
    ),
    Need(package="e2fsprogs", why="makes disk images without mounting", programs=("mke2fs",)),
    Need(
        package="util-linux",
        why="ties the life of what the rig starts to the rig's, and limits what it may use",
        programs=("setpriv", "prlimit", "choom", "unshare"),
    ),
    Need(
        package="socat",
        why="carries the guest's SSH port out of QEMU's sandbox",
        programs=("socat",),
    ),
    Need(
        package="gdb-multiarch",
        why="looks at a guest that `rig replay --gdb` has stopped",
        programs=("gdb-multiarch",),
        optional=True,
    ),
)

UNPRIVILEGED = (
    Need(package="uidmap", why="mmdebstrap works without root with it", programs=("newuidmap",)),
)

TESTS = (
    Need(package="shellcheck", why="the tests check shell scripts", programs=("shellcheck",)),
    Need(package="cpio", why="the tests read the guest's archives with it", programs=("cpio",)),
    Need(
        package="public-inbox",
        why="the tests fetch series from a mailing list's archive of their own",
        programs=("public-inbox-httpd", "public-inbox-init", "public-inbox-mda"),
    ),
)


def needs(arches: Iterable[Arch]) -> tuple[Need, ...]:
    """Everything needed on this host for guests of these architectures."""
    chosen = tuple(arches)
    return (
        *KERNEL,
        *IMAGES,
        *(UNPRIVILEGED if os.geteuid() else ()),
        *(_emulator(arch) for arch in chosen),
        *(
            _cross(arch, package)
            for arch in chosen
            if not arch.is_host()
            for package in arch.packages
        ),
        *TESTS,
    )


def _emulator(arch: Arch) -> Need:
    why = f"emulates {arch.name} machines"
    return Need(package=arch.qemu_package, why=why, programs=(arch.qemu,))


def _cross(arch: Arch, package: str) -> Need:
    """Debian's names of cross packages say what is in them."""
    triplet = arch.cross.removesuffix("-")
    if package.startswith("libc"):
        return Need(
            package=package,
            why=f"the static test programs of {arch.name} guests need the C library",
            files=(f"/usr/{triplet}/lib/libc.a", f"/usr/{triplet}/sys-root/usr/lib*/libc.a"),
        )
    tools = BINUTILS if package.startswith("binutils") else ("gcc",)
    why = f"cross-compiles {arch.name} kernels and test programs"
    return Need(package=package, why=why, programs=tuple(f"{arch.cross}{tool}" for tool in tools))


def missing(wanted: Iterable[Need]) -> tuple[Need, ...]:
    """Those that are not there, optional ones among them."""
    return tuple(need for need in wanted if not need.met())


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    id: str
    """As in os-release(5): "debian", "ubuntu", "fedora"."""
    version: str
    """"12"; empty where there are no versions."""
    name: str
    """For people."""
    like: tuple[str, ...]

    @property
    def has_apt(self) -> bool:
        """Debian, Ubuntu, or made from them, so that the package names hold."""
        return not {self.id, *self.like}.isdisjoint({"debian", "ubuntu"})


def distribution(text: str | None = None) -> Distribution:
    """This host's, from /etc/os-release, or the one that `text` describes."""
    if text is None:
        text = OS_RELEASE.read_text() if OS_RELEASE.is_file() else ""
    fields = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            fields[key.strip()] = value.strip().strip("\"'")
    return Distribution(
        id=fields.get("ID", "linux"),
        version=fields.get("VERSION_ID", ""),
        name=fields.get("PRETTY_NAME", "an unknown distribution"),
        like=tuple(fields.get("ID_LIKE", "").split()),
    )


def install(wanted: Iterable[Need]) -> None:
    """Install these by apt, saying before which and why. Raises InfraError where that cannot be.

    Where sudo wants a password it asks on the terminal, so this is not to be called inside a step:
    a live progress display would write over the question.
    """
    absent = tuple(wanted)
    if not absent:
        return
    packages = sorted({need.package for need in absent})
    here = distribution()
    if not here.has_apt or shutil.which("apt-get") is None:
        raise InfraError(
            f"missing on this host: {', '.join(packages)}",
            hint=f"these are Debian's names; the rig installs nothing on {here.name}: use its own"
            " package manager",
            detail="\n".join(f"{need.package}: {need.why}" for need in absent),
        )
    for need in absent:
        log.note(f"installing {need.package}: {need.why}")
    if _lists_are_old():
        _apt("Fetching the package lists", "update")
    try:
        _install(packages)
    except proc.CommandFailed:
        # The lists may name versions that the mirror has replaced, or the last time was cut short.
        _as_root("Finishing an interrupted installation", "dpkg", "--configure", "-a")
        _apt("Fetching the package lists", "update")
        _install(packages)
    if left := missing(absent):
        raise InfraError(
            f"installed, but not found: {', '.join(need.package for need in left)}",
            hint="looked for: "
            + ", ".join(sign for need in left for sign in (*need.programs, *need.files)),
        )


def _install(packages: list[str]) -> None:
    _apt(
        f"Installing {packages[0] if len(packages) == 1 else f'{len(packages)} packages'}",
        *("install", "--yes", "--no-install-recommends"),
        *("-o", "DPkg::Lock::Timeout=300"),  # a fresh Ubuntu upgrades itself at first boot
        *packages,
    )


def _lists_are_old() -> bool:
    lists = [path.stat().st_mtime for path in APT_LISTS.glob("*_Packages*")]
    # Release files keep the mirror's date; the directory's is that of the last update.
    return not lists or time.time() - APT_LISTS.stat().st_mtime > LISTS_OLD


def _apt(title: str, *arguments: str) -> None:
    _as_root(title, "apt-get", "--quiet", *arguments)


def _as_root(title: str, *command: str) -> None:
    argv = ["env", "DEBIAN_FRONTEND=noninteractive", *command]
    if os.geteuid() == 0:
        _follow(title, argv)
    elif shutil.which("sudo") is None:
        raise InfraError(
            "installing packages needs root, and there is no sudo",
            hint=f"as root: {proc.paste(command)}",
        )
    elif sys.stdin and sys.stdin.isatty() and proc.run(["sudo", "-n", "true"], check=False).status:
        # sudo asks on the terminal, which commands of proc.run() do not have.
        if proc.interactive(["sudo", "--", *argv]):
            raise InfraError(f"{title} failed", hint=f"as root: {proc.paste(command)}")
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
