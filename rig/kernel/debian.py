# SPDX-License-Identifier: GPL-2.0-only
"""Debian's archive, as this machine is set up to reach it, without touching its configuration."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from rig import proc
from rig.errors import InfraError
from rig.store import Store

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Unreachable(InfraError):
    """Who was asked does not answer: what they would have said is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    codename: str
    """Of the machine's own release."""
    uri: str
    security: str
    """URI of the security archive; empty where none is configured."""

    def uri_of(self, suite: str) -> str:
        return self.security if suite.endswith("-security") else self.uri


def mirror(store: Store) -> Mirror | None:
    """What apt is configured with; None where that is not Debian."""
    if proc.which("apt-get") is None or not KEYRING.is_file():
        return None
    if found := _mirror([]):
        return found
    # An image whose package lists were removed: fetch them, but not where the machine has its own.
    own = _options(store.root / "apt" / "own")
    proc.run(["apt-get", *own, "update"], check=False, deadline=300)
    return _mirror(own)


def _mirror(options: list[str]) -> Mirror | None:
    form = "$(CREATED_BY) $(ORIGIN) $(CODENAME) $(REPO_URI)"
    done = proc.run(["apt-get", *options, "indextargets", "--format", form], check=False)
    rows = {
        tuple(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("Packages ")
    }
    debian = {row[1]: row[2] for row in sorted(rows) if len(row) == 3 and row[0] == "Debian"}
    codenames = [codename for codename in debian if "-" not in codename]
    if not codenames:
        return None
    try:
        release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:  # a container may have no os-release(5)
        release = ""
    own = release if release in codenames else codenames[0]
    return Mirror(codename=own, uri=debian[own], security=debian.get(f"{own}-security", ""))


def _options(root: Path) -> list[str]:
    """Options that give apt lists and a cache of its own."""
    for directory in ("lists/partial", "cache/archives/partial"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::Lists": root / "lists",
        "Dir::Cache": root / "cache",
        "Dir::State::Status": "/dev/null",
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def private_apt(store: Store, uri: str, suite: str) -> list[str]:
    """Options that give apt a root of its own for one suite, signatures checked."""
    root = store.root / "apt" / suite
    options = _options(root)
    sources = root / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {uri} {suite} main\n")
    alone = {"Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "/dev/null"}
    return [*options, *(word for key in alone for word in ("-o", f"{key}={alone[key]}"))]


def newest(apt: list[str], package: str) -> str | None:
    """The newest version of a package in a private root; None if it, or its suite, is not there.

    Raises Unreachable when the archive does not answer.
    """
    done = proc.run(["apt-get", *apt, "update"], check=False, deadline=300)
    said = done.stdout + done.stderr
    if done.status and " 404 " not in said:
        raise Unreachable("Debian's archive does not answer", detail=said.strip()[-2000:])
    if done.status:
        return None
    shown = proc.run(["apt-cache", *apt, "show", "--no-all-versions", package], check=False).stdout
    version = re.search(r"^Version: (\S+)$", shown, re.MULTILINE)
    return version[1] if version else None


def names(apt: list[str], prefix: str) -> tuple[str, ...]:
    """The packages of a private root whose names begin so."""
    return tuple(proc.run(["apt-cache", *apt, "pkgnames", prefix], check=False).stdout.split())


def download(apt: list[str], package: str, version: str, directory: Path) -> Path:
    """The package file; apt has checked it against the signed lists."""
    proc.run(["apt-get", *apt, "download", f"{package}={version}"], cwd=directory, deadline=1800)
    return next(directory.glob("*.deb"))
