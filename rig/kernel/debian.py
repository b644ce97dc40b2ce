# SPDX-License-Identifier: GPL-2.0-only
"""Debian's archive, by the mirror that apt uses here; apt's own configuration is not changed."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from rig import proc
from rig.errors import InfraError
from rig.store import Store

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

SIGNED_ONLY = (
    *("Acquire::AllowInsecureRepositories", "Acquire::AllowDowngradeToInsecureRepositories"),
    *("Acquire::AllowWeakRepositories", "APT::Get::AllowUnauthenticated"),
)
"""The host's configuration may allow these; for what the rig builds they are off."""


class Unreachable(InfraError):
    """A server does not answer, so it is not known whether it has the package."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    codename: str
    """The codename of the machine's own release."""
    uri: str
    security: str
    """URI of the security archive; empty if none is configured."""

    def uri_of(self, suite: str) -> str:
        return self.security if suite.endswith("-security") else self.uri


def mirror(store: Store) -> Mirror | None:
    """The archive that apt is configured with; None if it is not Debian's."""
    if proc.which("apt-get") is None or not KEYRING.is_file():
        return None
    if configured := _mirror([]):
        return configured
    # A container image often has no package lists: fetch them, but not into apt's own directory.
    own_lists = _options(store.root / "apt" / "own")
    proc.run(["apt-get", *own_lists, "update"], check=False, deadline=300)
    return _mirror(own_lists)


def _mirror(options: list[str]) -> Mirror | None:
    form = "$(CREATED_BY) $(ORIGIN) $(CODENAME) $(REPO_URI)"
    result = proc.run(["apt-get", *options, "indextargets", "--format", form], check=False)
    rows = {
        tuple(line.split()[1:])
        for line in result.stdout.splitlines()
        if line.startswith("Packages ")
    }
    debian = {row[1]: row[2] for row in sorted(rows) if len(row) == 3 and row[0] == "Debian"}
    codenames = [codename for codename in debian if "-" not in codename]
    if not codenames:
        return None
    try:
        release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:  # a container may have no os-release(5)
        release = ""
    codename = release if release in codenames else codenames[0]
    return Mirror(
        codename=codename, uri=debian[codename], security=debian.get(f"{codename}-security", "")
    )


def _options(root: Path) -> list[str]:
    """Options for apt: package lists and a cache below `root`."""
    for directory in ("lists/partial", "cache/archives/partial"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::Lists": root / "lists",
        "Dir::Cache": root / "cache",
        "Dir::State::Status": "/dev/null",
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
    } | dict.fromkeys(SIGNED_ONLY, "false")
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def private_apt(store: Store, uri: str, suite: str) -> list[str]:
    """Options for apt: package lists of one suite only, in the store. Signatures are checked."""
    root = store.root / "apt" / suite
    options = _options(root)
    sources = root / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {uri} {suite} main\n")
    alone = {"Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "/dev/null"}
    return [*options, *(word for key in alone for word in ("-o", f"{key}={alone[key]}"))]


def newest(apt: list[str], package: str) -> str | None:
    """The newest version of a package in a suite; None if the package or the suite does not exist.

    `apt` are the options from private_apt(). Raises Unreachable if the archive does not answer.
    """
    result = proc.run(["apt-get", *apt, "update"], check=False, deadline=300)
    output = result.stdout + result.stderr
    if result.status and " 404 " not in output:
        raise Unreachable("Debian's archive does not answer", detail=output.strip()[-2000:])
    if result.status:
        return None
    record = proc.run(["apt-cache", *apt, "show", "--no-all-versions", package], check=False).stdout
    version = re.search(r"^Version: (\S+)$", record, re.MULTILINE)
    return version[1] if version else None


def names(apt: list[str], prefix: str) -> tuple[str, ...]:
    """The packages in a suite whose names begin with `prefix`."""
    return tuple(proc.run(["apt-cache", *apt, "pkgnames", prefix], check=False).stdout.split())


def download(apt: list[str], package: str, version: str, directory: Path) -> Path:
    """Download a package file; apt checks it against the signed package lists."""
    proc.run(["apt-get", *apt, "download", f"{package}={version}"], cwd=directory, deadline=1800)
    return next(directory.glob("*.deb"))
