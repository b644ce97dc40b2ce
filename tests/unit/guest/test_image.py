# SPDX-License-Identifier: GPL-2.0-only
"""Images made with a fake mmdebstrap, which packs a directory."""

import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig import arch
from rig.errors import ConfigError, InfraError
from rig.guest import image
from rig.kernel import debian
from rig.log import Event
from rig.store import Store

TOP = Path(__file__).parents[3]
HOST = next(target for target in arch.known().values() if target.is_host())
SPEC = """\
release = "bookworm"
packages = ["busybox-static", "dropbear-bin"]
keep = ["bin/busybox", "lib*/ld-linux*", "usr/lib/*/libz.so.1*"]
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A directory of images with one image, `test`."""
    tree = tmp_path / "images" / "test" / "tree"
    (tree / "etc" / "rig").mkdir(parents=True)
    (tree.parent / "image.toml").write_text(SPEC)
    (tree / "etc" / "rig" / "setup").write_text("#!/bin/busybox sh\n")
    (tree / "etc" / "rig" / "setup").chmod(0o755)
    (tree / "etc" / "passwd").write_text("root::0:0\n")
    (tree / "etc" / "mtab").symlink_to("/proc/mounts-of-the-guest")
    return tmp_path / "images"


@pytest.fixture(autouse=True)
def mmdebstrap_calls(
    tmp_path: Path, program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A log of the fake mmdebstrap's arguments, one line for each call."""
    root = tmp_path / "packages"
    for name in (
        "bin/busybox",
        "lib64/ld-linux-x.so.2",
        "usr/lib/x/libz.so.1.2",
        "usr/share/doc/x",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "bin" / "busybox").chmod(0o755)
    (root / "usr/lib/x/libz.so.1").symlink_to("libz.so.1.2")
    subprocess.run(["tar", "-C", root, "-cf", tmp_path / "packages.tar", "."], check=True)
    program(
        "mmdebstrap",
        f"""echo "$*" >> {tmp_path}/mmdebstrap_calls
        for word; do case $word in */root.tar) cp {tmp_path}/packages.tar $word ;; esac; done""",
    )
    mirror = debian.Mirror(codename="bookworm", uri="http://d.example/", security="")
    monkeypatch.setattr(debian, "mirror", lambda store: mirror)
    return tmp_path / "mmdebstrap_calls"


def entries(archive: Path, tmp_path: Path) -> dict[str, Path]:
    """The archive's entries, unpacked by the host's cpio, without the devices."""
    out = tmp_path / "unpacked"
    out.mkdir(exist_ok=True)
    words = ["cpio", "--quiet", "--extract", "--make-directories", "--nonmatching", "dev/console"]
    subprocess.run(words, input=archive.read_bytes(), cwd=out, check=True)
    return {str(path.relative_to(out)): path for path in out.rglob("*")}


def test_an_image_has_the_kept_files_and_the_tree(
    store: Store, images: Path, tmp_path: Path, mmdebstrap_calls: Path
) -> None:
    archive = image.build(store, images, "test", HOST)
    files = entries(archive, tmp_path)
    assert files["bin/busybox"].stat().st_mode & 0o111
    assert files["usr/lib/x/libz.so.1"].readlink() == Path("libz.so.1.2")
    assert files["lib64/ld-linux-x.so.2"].read_text() == "lib64/ld-linux-x.so.2"
    assert "usr/share/doc/x" not in files
    assert files["etc/rig/setup"].stat().st_mode & 0o111
    assert files["etc/mtab"].readlink() == Path("/proc/mounts-of-the-guest")
    assert files["init"].readlink() == Path("bin/busybox")
    assert files["bin/sh"].readlink() == Path("busybox")
    assert {"proc", "sys", "dev", "tmp", "run", "rig/bin", "sbin"} <= set(files)
    assert stat.S_IMODE(files["root/.ssh"].stat().st_mode) == 0o700
    assert b"dev/console" in archive.read_bytes()
    assert {path.name for path in archive.parent.iterdir()} == {"rootfs.cpio", "manifest.json"}
    (line,) = mmdebstrap_calls.read_text().splitlines()
    assert f"--architectures={HOST.deb_arch} " in line
    assert "--include=busybox-static,dropbear-bin " in line
    assert line.endswith(" http://d.example/")


def test_an_image_may_be_like_another(
    store: Store, images: Path, tmp_path: Path, mmdebstrap_calls: Path
) -> None:
    more = images / "more"
    (more / "tree" / "etc").mkdir(parents=True)
    (more / "tree" / "etc" / "own").write_text("more's")
    spec = 'release = "bookworm"\nlike = "test"\npackages = ["stress-ng"]\nkeep = []\n'
    (more / "image.toml").write_text(spec)
    files = entries(image.build(store, images, "more", HOST), tmp_path)
    assert files["etc/own"].read_text() == "more's"
    assert {"bin/busybox", "etc/rig/setup"} <= set(files)
    assert "--include=busybox-static,dropbear-bin,stress-ng " in mmdebstrap_calls.read_text()
    (images / "third").mkdir()
    (images / "third" / "image.toml").write_text(spec.replace('"test"', '"more"'))
    with pytest.raises(ConfigError, match=r"third/image\.toml: like: more has a `like` itself"):
        image.build(store, images, "third", HOST)


def test_a_release_without_the_architecture_is_replaced(
    store: Store, images: Path, tmp_path: Path, mmdebstrap_calls: Path
) -> None:
    """And has everything below /usr: a file that two patterns name is there once."""
    young = replace(HOST, name="young", deb_arch="young", deb_instead={"bookworm": "trixie"})
    root = tmp_path / "packages"
    (root / "usr/bin").mkdir()
    (root / "bin/busybox").rename(root / "usr/bin/busybox")
    (root / "bin").rmdir()
    subprocess.run(["tar", "-C", root, "-cf", tmp_path / "packages.tar", "."], check=True)
    toml = images / "test" / "image.toml"
    toml.write_text(SPEC.replace('"usr/lib', '"lib/*/libz.so.1*", "usr/lib'))
    names = set(entries(image.build(store, images, "test", young), tmp_path))
    assert {"bin/busybox", "lib/x/libz.so.1", "lib/x/libz.so.1.2"} <= names
    assert "usr/lib/x/libz.so.1" not in names
    assert " trixie " in mmdebstrap_calls.read_text()
    toml.write_text(SPEC.replace("bookworm", "forky"))
    image.build(store, images, "test", young)
    assert " forky " in mmdebstrap_calls.read_text()


def test_an_image_is_made_once_and_again_when_it_changes(
    store: Store, images: Path, mmdebstrap_calls: Path
) -> None:
    archives = [image.build(store, images, "test", HOST)]
    assert image.build(store, images, "test", HOST) == archives[0]
    assert len(mmdebstrap_calls.read_text().splitlines()) == 1
    tree = images / "test" / "tree"
    other = next(target for target in arch.known().values() if target is not HOST)
    archives.append(image.build(store, images, "test", other))
    (tree / "etc" / "rig" / "setup").chmod(0o644)
    archives.append(image.build(store, images, "test", HOST))
    (tree / "etc" / "passwd").write_text("root:x:0:0\n")
    archives.append(image.build(store, images, "test", HOST))
    (tree / "etc" / "mtab").unlink()
    (tree / "etc" / "mtab").symlink_to("/elsewhere")
    archives.append(image.build(store, images, "test", HOST))
    (images / "test" / "image.toml").write_text(SPEC.replace("dropbear-bin", "dropbear"))
    archives.append(image.build(store, images, "test", HOST))
    assert len(set(archives)) == len(mmdebstrap_calls.read_text().splitlines()) == 6


@pytest.mark.parametrize("content", [b"", b"0707", b"garbage" * 10000])
@pytest.mark.parametrize("kind", ["images/*/rootfs.cpio", "disks/*/data.img"])
def test_a_damaged_image_is_made_again(
    store: Store, images: Path, events: list[Event], kind: str, content: bytes
) -> None:
    whole = image.build(store, images, "test", HOST).read_bytes()
    (path,) = store.root.glob(kind)
    path.write_bytes(content)
    assert image.build(store, images, "test", HOST).read_bytes() == whole
    notes = [event.text for event in events if event.kind == "note"]
    entry = path.parent.relative_to(store.root)
    assert sum(text.startswith(f"{entry} in the store is damaged") for text in notes) == 1


def test_an_image_is_made_again_when_the_rig_adds_other_entries(
    store: Store, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = image.build(store, images, "test", HOST)
    entries = list(image._skeleton())
    monkeypatch.setattr(image, "_skeleton", lambda: entries[:-1])
    assert image.build(store, images, "test", HOST) != first


def test_packages_that_cannot_be_fetched(
    store: Store, images: Path, program: Callable[[str, str], Path]
) -> None:
    program("mmdebstrap", "echo 'E: Unable to locate package dropbear-bin' >&2; exit 25")
    with pytest.raises(
        InfraError, match="cannot fetch the image's packages: busybox-static, dropbear-bin"
    ) as error:
        image.build(store, images, "test", HOST)
    assert "Unable to locate package" in error.value.detail
    assert "run it by hand" in error.value.hint
    assert not list((store.root / "images").iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("release = ", "Invalid value"),
        (SPEC + "mirror = 'x'\n", "mirror"),
        (SPEC.replace("release", "relaese"), "release"),
        (SPEC.replace('"bin/busybox"', "3"), "keep"),
        (SPEC.replace('"bin/busybox"', '"/bin/busybox"'), "'/bin/busybox' is not a relative path"),
        (SPEC.replace('"bin/busybox"', '""'), "'' is not a relative path"),
        ("release = '\udcff'\n", "utf-8"),
    ],
)
def test_a_malformed_image_toml(images: Path, text: str, message: str) -> None:
    path = images / "test" / "image.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"images/test/image\.toml: ") as error:
        image.load(images, "test")
    assert message in error.value.message


def test_an_unknown_image(images: Path) -> None:
    with pytest.raises(ConfigError, match="no image named 'tset'") as error:
        image.load(images, "tset")
    assert error.value.hint == "did you mean test?"


def test_the_checkouts_own_image() -> None:
    spec = image.load(TOP / "images", "test")
    assert "bin/busybox" in spec.keep


def test_the_data_disk_is_the_same_in_every_store(tmp_path: Path) -> None:
    first, second = (image.data_disk(Store(tmp_path / name)) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_an_image_has_the_data_disks_blocks_for_seeded_guests(
    store: Store, images: Path, tmp_path: Path, mmdebstrap_calls: Path
) -> None:
    files = entries(image.build(store, images, "test", HOST), tmp_path)
    parts = {int(path.name): path for name, path in files.items() if name.startswith("rig/disk/")}
    disk_content = bytearray(image.DATA_MB << 20)
    for block, path in parts.items():
        data = path.read_bytes()
        disk_content[block * image.BLOCK : block * image.BLOCK + len(data)] = data
    assert disk_content == image.data_disk(store).read_bytes()
    assert sum(path.stat().st_size for path in parts.values()) < 1 << 20


def test_the_data_disk_is_an_ext4_and_made_once(store: Store) -> None:
    disk = image.data_disk(store)
    with disk.open("rb") as file:
        file.seek(1024 + 56)
        assert file.read(2) == b"\x53\xef", "ext4's magic number (fs/ext4/ext4.h: s_magic)"
    assert disk.stat().st_size == image.DATA_MB << 20
    assert disk.stat().st_blocks * 512 < disk.stat().st_size // 4, "it is sparse"
    inode = disk.stat().st_ino
    assert image.data_disk(store).stat().st_ino == inode
