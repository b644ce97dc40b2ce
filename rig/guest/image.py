# SPDX-License-Identifier: GPL-2.0-only
"""Makes root images from `images/<name>/image.toml` and `tree/`, as an initramfs."""

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

MERGED = ("bin", "sbin", "lib")
DATA_MB, BLOCK = 256, 4096
DATA_UUID = "72696700-6461-7461-8000-000000000000"
"""Fixed, so that the disk is the same on every host: the output of seeded guests depends on it."""


class ImageSpec(pydantic.BaseModel, extra="forbid", frozen=True):
    """image.toml."""

    release: str
    packages: tuple[str, ...]
    keep: tuple[str, ...]
    like: str = ""
    """Another image, whose packages, files and tree this one has as well."""


def load(images: Path, name: str) -> ImageSpec:
    path = images / name / "image.toml"
    if not path.is_file():
        raise unknown("image", name, (toml.parent.name for toml in images.glob("*/image.toml")))
    try:
        spec = ImageSpec.model_validate(tomllib.loads(path.read_text()))
    except ValueError as error:  # those of TOML, UTF-8 and pydantic
        raise ConfigError(f"{path}: {error}") from error
    if bad := [pattern for pattern in spec.keep if not pattern or pattern.startswith("/")]:
        raise ConfigError(f"{path}: keep: {bad[0]!r} is not a relative path")
    if not spec.like:
        return spec
    if (other := load(images, spec.like)).like:
        raise ConfigError(f"{path}: like: {spec.like} has a `like` itself, which is not supported")
    return spec.model_copy(
        update={"packages": other.packages + spec.packages, "keep": other.keep + spec.keep}
    )


def build(store: Store, images: Path, name: str, arch: Arch) -> Path:
    """The uncompressed cpio archive of an image, for an architecture."""
    spec = _for(arch, load(images, name))
    trees, disk = [images / base / "tree" for base in (spec.like, name) if base], data_disk(store)
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


def _for(arch: Arch, spec: ImageSpec) -> ImageSpec:
    """The image in a Debian release that has the architecture."""
    release = arch.deb_instead.get(spec.release, spec.release)
    return spec.model_copy(update={"release": release})


def data_disk(store: Store) -> Path:
    """An empty ext4 for the suites' files. No guest changes it (QEMU: snapshot=on)."""
    # Initialise all of it now: otherwise the guest's kernel does so in the background of a test.
    extended = f"lazy_itable_init=0,lazy_journal_init=0,hash_seed={DATA_UUID}"
    options = ("-q", "-t", "ext4", "-b", str(BLOCK), "-U", DATA_UUID, "-E", extended)

    def make(out: Path) -> None:
        file = out / "data.img"
        with file.open("wb") as disk:
            disk.truncate(DATA_MB << 20)
        proc.run(["mke2fs", *options, file], env=os.environ | {"E2FSPROGS_FAKE_TIME": "1577836800"})

    version = proc.run(["mke2fs", "-V"]).stderr.splitlines()[0]
    inputs = {"options": options, "megabytes": DATA_MB, "mke2fs": version}
    return store.make("disks", digest(inputs), inputs, make) / "data.img"


def _parts(disk: Path) -> Iterator[cpio.Entry]:
    """The non-zero blocks of the data disk, as files rig/disk/<number of the first block>.

    The setup script of a seeded guest copies them to a disk in the guest's memory.
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
    """The runs of non-zero blocks in `data`, whose first block has the number `first`."""
    zero = bytes(BLOCK)
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    for empty, run in groupby(enumerate(blocks, first), lambda numbered: numbered[1] == zero):
        if not empty:
            numbers, parts = zip(*run, strict=True)
            yield cpio.file(f"rig/disk/{numbers[0]}", b"".join(parts))


def _extract(store: Store, spec: ImageSpec, arch: Arch, out: Path) -> str:
    """Unpack the packages and their dependencies: no root, no emulation, no maintainer scripts."""
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
            f"cannot fetch the image's packages: {', '.join(spec.packages)}",
            hint=error.hint,
            detail=error.detail,
        ) from error
    (out / "root").mkdir()
    proc.run(["tar", "-C", out / "root", "--exclude=./dev/*", "-xf", out / "root.tar"])
    # Since trixie the packages have all below /usr, where /bin and its like are links to.
    for name in MERGED:
        if not (out / "root" / name).is_dir():
            (out / "root" / name).symlink_to(f"usr/{name}")
    status = out / "root" / "var" / "lib" / "dpkg" / "status"
    return digest({"status": status.read_text() if status.is_file() else ""})


def _kept(root: Path, spec: ImageSpec) -> Iterator[cpio.Entry]:
    """The files that match `keep`. A symbolic link is kept as a link.

    A file with two paths, because one of its directories is a link, is kept once: by the path that
    is named first.
    """
    places = set()
    for pattern in spec.keep:
        for path in sorted(root.glob(pattern)):
            place = path.parent.resolve() / path.name
            if place not in places and (path.is_file() or path.is_symlink()):
                places.add(place)
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
