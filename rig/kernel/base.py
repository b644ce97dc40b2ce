# SPDX-License-Identifier: GPL-2.0-only
"""Bases: kernel source from the user's git tree, a Debian package, or a kernel.org tarball.

A base is imported once, as a commit of the rig's own linux.git. That commit is used from then on.
"""

import functools
import http.client
import os
import re
import shlex
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig import git, log, printable, proc
from rig.errors import ConfigError, InfraError, unknown
from rig.kernel import debian
from rig.kernel.debian import Unreachable
from rig.store import Store, file_digest, host_trouble
from rig.version import KernelVersion

DEFAULT = "v6.12"
COMMIT = re.compile(r"[0-9a-f]{7,64}")
RELEASE = re.compile(r"v[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?(-rc[0-9]{1,4})?")
# A base-commit trailer names an upstream commit. Debian's source has no commits, so we need this
# list to know that its v6.12 is the same release.
UPSTREAM = {"adc218676eef25575469234709c2d87185ca223a": "v6.12"}
# Tried in this order: first the user's own release, which most people use and test.
SUITES = (
    *("{own}-security", "{own}-updates", "{own}-backports", "trixie-security", "trixie"),
    *("trixie-backports", "forky", "sid", "experimental"),
)
PACKAGE = "linux-source-"
KERNEL_ORG = "https://cdn.kernel.org/pub/linux/kernel"


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    name: str
    commit: str
    origin: str
    """The exact source: package and version, or the tree and its commit."""
    trusted: bool = True
    """False if a mail chose this commit from those that the user's tree has fetched. Then its
    objects are kept separate from those of other builds."""


def named(text: str) -> str:
    """The rig's name of a base that a series names (by base-commit, or as v7.2); or ""."""
    return text if RELEASE.fullmatch(text) else UPSTREAM.get(text, "")


def resolve(store: Store, name: str, *, tree: Path | None = None) -> Base:
    """The base, from the first provider that has it.

    Raises ConfigError if no provider has it, InfraError if the network or the disk fails.
    """
    if tree is not None:
        return _from_tree(store, name, tree)
    if not RELEASE.fullmatch(name):
        raise ConfigError(
            f"there is no base named {name!r}",
            hint="a base is a release like v6.12; with --tree PATH, any revision of that tree",
        )

    def fetch(_: Path) -> Mapping[str, Any]:
        available: set[str] = {DEFAULT}
        silent: list[Unreachable] = []
        with log.step(f"Fetching {name}") as step, host_trouble(f"fetching {name}"):
            for provider in PROVIDERS:
                try:
                    resolved = provider(store, name, step, available)
                except Unreachable as error:
                    step.note(error.message)
                    silent.append(error)
                    continue
                if resolved:
                    git.keep(store, f"bases/{name}", resolved.commit)
                    return {"commit": resolved.commit, "origin": resolved.origin}
        if len(silent) == len(PROVIDERS):
            raise Unreachable(
                f"{name} cannot be fetched: {'; '.join(error.message for error in silent)}",
                hint="check the network, or name your own git tree: --tree PATH",
                detail="\n".join(filter(None, (error.detail for error in silent))),
            )
        raise unknown("base", name, available)

    def check(manifest: Mapping[str, Any]) -> str:
        return git.lacks(store, manifest["commit"])

    store.make("bases", name, {"base": name}, fetch, check)
    manifest = store.manifest("bases", name)
    return Base(name=name, commit=manifest["commit"], origin=manifest["origin"])


def fetched(store: Store) -> tuple[Base, ...]:
    """The bases that are in the store, newest first."""
    names = [
        path.name for path in (store.root / "bases").glob("v*") if store.find("bases", path.name)
    ]
    names.sort(key=KernelVersion.parse, reverse=True)
    return tuple(resolve(store, name) for name in names)


def check_tree(tree: Path) -> None:
    """Raise ConfigError if --tree does not name a git tree. An error from git itself would be an
    InfraError."""
    hint = "name a clone of the kernel's git tree, like --tree ~/linux"
    if not tree.is_dir():
        raise ConfigError(f"--tree {tree}: there is no such directory", hint=hint)
    if git.git("rev-parse", "--git-dir", cwd=tree, check=False).status:
        raise ConfigError(f"--tree {tree} is not a git tree", hint=hint)


def commit_of(tree: Path, name: str, store: Store | None = None) -> str:
    """The commit of a revision in the user's tree; empty if there is no such revision.

    With a store also a commit that linux.git has, by its hash: a night fetches there.
    """
    if "\0" in name:  # a base-commit in a mail may hold any character
        return ""
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    commit = git.git(*words, cwd=tree, check=False).stdout.strip()
    if not commit and store is not None and COMMIT.fullmatch(name):
        return commit_of(git.repository(store), name)
    return commit


def in_history(tree: Path, commit: str) -> bool:
    """Whether a commit is in the history of the user's HEAD."""
    words = ("merge-base", "--is-ancestor", "--end-of-options", commit, "HEAD")
    return git.git(*words, cwd=tree, check=False).status == 0


def _from_tree(store: Store, name: str, tree: Path) -> Base:
    tree = tree.resolve()
    check_tree(tree)
    commit = commit_of(tree, name, store)
    if not commit:
        raise ConfigError(
            f"{tree} has no revision named {name!r}",
            hint=f"git -C {shlex.quote(str(tree))} tag --list 'v[67].*'",
        )
    git.borrow(store, tree)
    is_own = bool(commit_of(tree, commit))
    where = _described(tree, commit) if is_own else f"{commit}, fetched from its remote"
    origin = f"git tree {tree}, {where or commit}"
    # A path may hold bytes that are not UTF-8; a stored result cannot.
    return Base(name=printable.line(name), commit=commit, origin=printable.line(origin))


@functools.cache
def _described(tree: Path, commit: str) -> str:
    """git takes seconds for a commit of a whole kernel history, and a night asks for each row."""
    words = ("describe", "--tags", "--always", commit)
    return git.git(*words, cwd=tree, check=False).stdout.strip()


# --- Debian ------------------------------------------------------------------------------------


def _from_debian(store: Store, name: str, step: log.Step, available: set[str]) -> Base | None:
    """The base from the first suite that has it. Adds the versions of the other suites to
    `available`. Raises Unreachable if no suite answers."""
    package = f"{PACKAGE}{name.removeprefix('v')}"
    mirror = debian.mirror(store)
    if mirror is None:
        raise Unreachable("apt has no Debian archive configured, or Debian's keyring is missing")
    silent: list[Unreachable] = []
    answered = False
    suites = tuple(dict.fromkeys(pattern.format(own=mirror.codename) for pattern in SUITES))
    for suite in suites:
        if not (uri := mirror.uri_of(suite)):
            continue
        with store.lock(f"apt-{suite}"):
            apt = debian.private_apt(store, uri, suite)
            try:
                version = debian.newest(apt, package)
            except Unreachable as error:
                silent.append(error)
                continue
            answered = True
            if version:
                step.note(f"{package} {version} from Debian {suite}")
                return _import_package(store, name, apt, package, version, step)
            available |= {f"v{name.removeprefix(PACKAGE)}" for name in debian.names(apt, PACKAGE)}
    if silent and not answered:
        raise silent[0]
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


def _from_tarball(store: Store, name: str, step: log.Step, available: set[str]) -> Base | None:
    """The base from a release tarball, checked against the sha256sums file beside it.

    RIG_KERNEL_MIRROR is the URL of another server with the same layout.
    """
    version = name.removeprefix("v")
    place = f"{os.environ.get('RIG_KERNEL_MIRROR', KERNEL_ORG)}/v{version.split('.')[0]}.x"
    file = f"linux-{version}.tar.xz"
    sums = _download(f"{place}/sha256sums.asc").decode("utf-8", "replace")
    rows = re.findall(r"^([0-9a-f]{64})  (\S+)$", sums, re.MULTILINE)
    promised = {tarball: digest for digest, tarball in rows}.get(file)
    if promised is None:
        releases = (re.fullmatch(r"linux-(\d+\.\d+)\.tar\.xz", tarball) for _, tarball in rows)
        available |= {f"v{match[1]}" for match in releases if match}
        step.note(f"{place} has no {file}")
        return None
    with store.scratch() as scratch:
        archive = scratch / file
        archive.write_bytes(_download(f"{place}/{file}"))
        if file_digest(archive) != promised:
            raise InfraError(
                f"{place}/{file} does not match its sha256sums file",
                hint="try again, or set RIG_KERNEL_MIRROR to another server",
            )
        origin = f"{place}/{file}, sha256 {promised}"
        return _import_tarball(store, name, archive, origin, step)


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            # The checksum comes from the same server: TLS is what proves who sent both.
            if url.startswith("https:") and not answer.geturl().startswith("https:"):
                raise Unreachable(f"{url}: it leads to {answer.geturl()}, without TLS")
            return bytes(answer.read())
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        why = getattr(error, "reason", "") or error
        raise Unreachable(f"{url}: {why}") from error
    except ValueError as error:
        raise ConfigError(
            f"RIG_KERNEL_MIRROR: {error}", hint="set it to a URL like file:///srv/kernels"
        ) from error


PROVIDERS = (_from_debian, _from_tarball)
