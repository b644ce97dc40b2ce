# SPDX-License-Identifier: GPL-2.0-only
"""Where kernel source comes from: the user's git tree, a Debian package, a kernel.org tarball.

A base is imported once, as a commit of the rig's own linux.git; from then on it is pinned.
"""

import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig import debian, git, log, proc
from rig.errors import ConfigError, InfraError
from rig.store import Store, file_digest, host_trouble

DEFAULT = "v6.12"
RELEASE = re.compile(r"v\d+\.\d+(\.\d+)?(-rc\d+)?")
# base-commit trailers name upstream's commits, which a distribution's source does not have.
UPSTREAM = {"adc218676eef25575469234709c2d87185ca223a": "v6.12"}
# In this order: the nearer to the user's own release, the better tested.
SUITES = (
    *("{own}-security", "{own}-updates", "{own}-backports", "trixie-security", "trixie"),
    *("trixie-backports", "forky", "sid", "experimental"),
)
KERNEL_ORG = "https://cdn.kernel.org/pub/linux/kernel"


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    name: str
    commit: str
    origin: str
    """Where it came from, exactly: package and version, or the tree and its commit."""


def named(said: str) -> str:
    """The rig's name of what a series says it is based on (a base-commit, or v7.2), or nothing."""
    return said if RELEASE.fullmatch(said) else UPSTREAM.get(said, "")


def resolve(store: Store, name: str, *, tree: Path | None = None) -> Base:
    """The base, from the first provider that has it.

    Raises ConfigError when nobody has it, InfraError when the network or the disk fails.
    """
    if tree is not None:
        return _from_tree(store, name, tree)
    if not RELEASE.fullmatch(name):
        raise ConfigError(
            f"there is no base named {name!r}",
            hint="a base is v6.12, or any revision with --tree PATH",
        )

    def fetch(_: Path) -> Mapping[str, Any]:
        with log.step(f"Fetching {name}") as step, host_trouble(f"fetching {name}"):
            for provider in (_from_debian, _from_tarball):
                if found := provider(store, name, step):
                    git.keep(store, f"bases/{name}", found.commit)
                    return {"commit": found.commit, "origin": found.origin}
        raise ConfigError(
            f"nobody has a base named {name!r}: no Debian suite, and no tarball",
            hint="the default is v6.12; --tree PATH takes any revision of your own git tree",
        )

    store.make("bases", name, {"base": name}, fetch)
    manifest = store.manifest("bases", name)
    return Base(name=name, commit=manifest["commit"], origin=manifest["origin"])


def _from_tree(store: Store, name: str, tree: Path) -> Base:
    if not tree.is_dir():
        raise ConfigError(f"--tree {tree}: there is no such directory")
    if git.git("rev-parse", "--git-dir", cwd=tree, check=False).status:
        raise ConfigError(f"--tree {tree} is not a git tree")
    done = git.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", cwd=tree, check=False)
    if done.status:
        raise ConfigError(
            f"{tree} has no revision named {name!r}", hint=f"git -C {tree} tag --list 'v[67].*'"
        )
    git.borrow(store, tree)
    commit = done.stdout.strip()
    described = git.git(
        "describe", "--tags", "--always", commit, cwd=tree, check=False
    ).stdout.strip()
    return Base(name=name, commit=commit, origin=f"git tree {tree}, {described or commit}")


# --- Debian ------------------------------------------------------------------------------------


def _from_debian(store: Store, name: str, step: log.Step) -> Base | None:
    package = f"linux-source-{name.removeprefix('v')}"
    mirror = debian.mirror()
    if mirror is None:
        step.note("apt knows no Debian archive here, or Debian's keyring is missing")
        return None
    for suite in dict.fromkeys(pattern.format(own=mirror.codename) for pattern in SUITES):
        if uri := mirror.uri_of(suite):
            apt = debian.private_apt(store, uri, suite)
            if version := debian.newest(apt, package):
                step.note(f"{package} {version} from Debian {suite}")
                return _import_package(store, name, apt, package, version, step)
    return None


def _import_package(
    store: Store, name: str, apt: list[str], package: str, version: str, step: log.Step
) -> Base:
    with store.scratch() as scratch:
        deb = debian.download(apt, package, version, scratch)
        step.note(f"unpacking {deb.name}")
        proc.run(["dpkg-deb", "-x", deb, scratch / "deb"])
        archive = next((scratch / "deb" / "usr" / "src").glob("linux-source-*.tar.*"))
        origin = f"Debian {package} {version}, sha256 {file_digest(deb)}"
        return _import_tarball(store, name, archive, origin, step)


def _import_tarball(store: Store, name: str, archive: Path, origin: str, step: log.Step) -> Base:
    source = archive.parent / "unpacked"
    source.mkdir()
    proc.run(["tar", "-C", source, "--strip-components=1", "-xf", archive])
    step.note("importing into linux.git")
    commit = git.import_tree(store, source, f"{name}\n\nOrigin: {origin}\n")
    return Base(name=name, commit=commit, origin=origin)


# --- kernel.org --------------------------------------------------------------------------------


def _from_tarball(store: Store, name: str, step: log.Step) -> Base | None:
    """A release tarball, checked against the sha256sums file beside it.

    RIG_KERNEL_MIRROR names another place with the same layout.
    """
    version = name.removeprefix("v")
    place = f"{os.environ.get('RIG_KERNEL_MIRROR', KERNEL_ORG)}/v{version.split('.')[0]}.x"
    file = f"linux-{version}.tar.xz"
    try:
        sums = _download(f"{place}/sha256sums.asc").decode()
        promised = re.search(rf"^([0-9a-f]{{64}})  {re.escape(file)}$", sums, re.MULTILINE)
        if promised is None:
            step.note(f"{place} has no {file}")
            return None
        with store.scratch() as scratch:
            archive = scratch / file
            archive.write_bytes(_download(f"{place}/{file}"))
            if file_digest(archive) != promised[1]:
                raise InfraError(
                    f"{file} is not what its sha256sums file promises", hint="fetch it again"
                )
            origin = f"{place}/{file}, sha256 {promised[1]}"
            return _import_tarball(store, name, archive, origin, step)
    except urllib.error.URLError as error:
        step.note(f"{place}: {error.reason}")
        return None


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())
