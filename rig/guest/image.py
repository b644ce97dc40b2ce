# SPDX-License-Identifier: GPL-2.0-only
"""Root images: `images/<name>/image.toml` and its `tree`, as an initramfs."""

import os
import tomllib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import pydantic

from rig import log, proc
from rig.arch import Arch
from rig.errors import ConfigError, InfraError, unknown
from rig.guest import cpio
from rig.kernel import debian
from rig.store import Store, digest

DATA_MB, BLOCK = 256, 4096
DATA_UUID = "72696700-6461-7461-8000-000000000000"
"""The same disk wherever it is made: what a seeded guest says follows from it."""


class ImageSpec(pydantic.BaseModel, extra="forbid", frozen=True):
    """image.toml."""

    release: str
    packages: tuple[str, ...]
    keep: tuple[str, ...]
    like: str = ""
    """Another image whose packages, files and tree this one has, too."""


def load(images: Path, name: str) -> ImageSpec:
    path = images / name / "image.toml"
    if not path.is_file():
        raise unknown("image", name, (found.parent.name for found in images.glob("*/image.toml")))
    try:
        spec = ImageSpec.model_validate(tomllib.loads(path.read_text()))
    except ValueError as error:  # TOML's, UTF-8's and pydantic's are all of them
        raise ConfigError(f"{path}: {error}") from error
    if wrong := [pattern for pattern in spec.keep if not pattern or pattern.startswith("/")]:
        raise ConfigError(f"{path}: keep: {wrong[0]!r} is no path below the root")
    if not spec.like:
        return spec
    if (other := load(images, spec.like)).like:
        raise ConfigError(f"{path}: {spec.like} is like another image itself")
    return spec.model_copy(
        update={"packages": other.packages + spec.packages, "keep": other.keep + spec.keep}
    )


def build(store: Store, images: Path, name: str, arch: Arch) -> Path:
    """The image's archive for an architecture, uncompressed."""
    spec = load(images, name)
    trees, disk = [images / one / "tree" for one in (spec.like, name) if one], data_disk(store)
    inputs = {
        "image": name,
        "arch": arch.deb_arch,
        "spec": spec.model_dump(mode="json", exclude={"like"}),
        "files": sha256(cpio.archive([*_skeleton(), *_trees(trees), *_parts(disk)])).hexdigest(),
    }

    def make(out: Path) -> dict[str, object]:
        with log.step(f"Making the {name} image for {arch.name}"):
            packages = _extract(store, spec, arch, out)
            entries = [*_skeleton(), *_kept(out / "root", spec), *_trees(trees), *_parts(disk)]
            (out / "rootfs.cpio").write_bytes(cpio.archive(entries))
            proc.run(["rm", "-rf", out / "root", out / "root.tar"])
        return {"packages": packages}

    return store.make("images", digest(inputs), inputs, make) / "rootfs.cpio"


def data_disk(store: Store) -> Path:
    """An empty ext4 for the suites' files. Every guest has it as it is here (QEMU: snapshot=on)."""
    # Made whole now: the guest's kernel must not finish it in the background of a test.
    extended = f"lazy_itable_init=0,lazy_journal_init=0,hash_seed={DATA_UUID}"
    options = ("-q", "-t", "ext4", "-b", str(BLOCK), "-U", DATA_UUID, "-E", extended)

    def make(out: Path) -> None:
        file = out / "data.img"
        with file.open("wb") as opened:
            opened.truncate(DATA_MB << 20)
        proc.run(["mke2fs", *options, file], env=os.environ | {"E2FSPROGS_FAKE_TIME": "1577836800"})

    version = proc.run(["mke2fs", "-V"]).stderr.splitlines()[0]
    inputs = {"options": options, "megabytes": DATA_MB, "mke2fs": version}
    return store.make("disks", digest(inputs), inputs, make) / "data.img"


def _parts(disk: Path) -> Iterator[cpio.Entry]:
    """What is not zero of the data disk, by its block: rig/disk/<number>. The seeded schedule's
    setup writes it there.
    """
    with disk.open("rb") as file:
        end, size = 0, disk.stat().st_size
        while end < size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: the rest is a hole
                return
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            data = os.pread(file.fileno(), end - start, start)
            yield from _runs(data, start // BLOCK)


def _runs(data: bytes, first: int) -> Iterator[cpio.Entry]:
    """The runs of blocks that are not zero, of `data`, which begins with block `first`."""
    zero = bytes(BLOCK)
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    for empty, run in groupby(enumerate(blocks, first), lambda one: one[1] == zero):
        if not empty:
            numbers, parts = zip(*run, strict=True)
            yield cpio.file(f"rig/disk/{numbers[0]}", b"".join(parts))


def _extract(store: Store, spec: ImageSpec, arch: Arch, out: Path) -> str:
    """Unpack the packages and what they depend on: no emulation, no root, nothing is configured."""
    mirror = debian.mirror(store)
    argv = [
        "mmdebstrap", "--variant=extract", f"--architectures={arch.deb_arch}",
        f"--include={','.join(spec.packages)}", "--skip=output/dev",
        "--aptopt=Acquire::Languages \"none\"", spec.release, str(out / "root.tar"),
    ]  # fmt: skip
    if mirror:
        argv.append(mirror.uri)
    try:
        proc.run(argv, deadline=900)
    except proc.CommandFailed as error:
        raise InfraError(
            f"the packages of the image cannot be had: {', '.join(spec.packages)}",
            hint=error.hint,
            detail=error.detail,
        ) from error
    (out / "root").mkdir()
    proc.run(["tar", "-C", out / "root", "--exclude=./dev/*", "-xf", out / "root.tar"])
    status = out / "root" / "var" / "lib" / "dpkg" / "status"
    return digest({"status": status.read_text() if status.is_file() else ""})


def _kept(root: Path, spec: ImageSpec) -> Iterator[cpio.Entry]:
    """The files `keep` names. A link to another name of the same file comes as the link."""
    for pattern in spec.keep:
        for path in sorted(root.glob(pattern)):
            if path.is_file() or path.is_symlink():
                yield cpio.of_path(path, str(path.relative_to(root)))


def _trees(trees: Sequence[Path]) -> Iterator[cpio.Entry]:
    for tree in trees:
        for path in sorted(tree.rglob("*")):
            if path.is_file() or path.is_symlink():
                yield cpio.of_path(path, str(path.relative_to(tree)))


def _skeleton() -> Iterator[cpio.Entry]:
    for path in (
        "proc",
        "sys",
        "dev",
        "tmp",
        "run",
        "var",
        "sbin",
        "usr/bin",
        "root/.ssh",
        "rig/bin",
    ):
        yield cpio.directory(path, 0o700 if path.startswith("root") else 0o755)
    yield cpio.directory("root", 0o700)
    # The kernel opens /dev/console for init before devtmpfs is mounted.
    yield cpio.character("dev/console", 5, 1)
    yield cpio.symlink("init", "bin/busybox")
    yield cpio.symlink("bin/sh", "busybox")
