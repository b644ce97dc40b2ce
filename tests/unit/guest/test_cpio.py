# SPDX-License-Identifier: GPL-2.0-only
import os
import stat
import subprocess
from pathlib import Path

from rig.guest import cpio

Header = dict[str, int]
FIELDS = (
    *("ino", "mode", "uid", "gid", "nlink", "mtime", "filesize"),
    *("devmajor", "devminor", "rdevmajor", "rdevminor", "namesize", "check"),
)


def read(data: bytes) -> dict[str, tuple[Header, bytes]]:
    """The entries of an archive, read as the kernel's documentation describes the format."""
    entries: dict[str, tuple[Header, bytes]] = {}
    at = 0
    while at < len(data):
        if data[at : at + 1] == b"\0":  # padding between archives
            at += 1
            continue
        assert at % 4 == 0
        assert data[at : at + 6] == b"070701"
        head = data[at + 6 : at + 110]
        header = {name: int(head[n * 8 : n * 8 + 8], 16) for n, name in enumerate(FIELDS)}
        name = data[at + 110 : at + 110 + header["namesize"]]
        assert name[-1:] == b"\0"
        at = (at + 110 + header["namesize"] + 3) & ~3
        body = data[at : at + header["filesize"]]
        assert len(body) == header["filesize"]
        at = (at + header["filesize"] + 3) & ~3
        if name[:-1] != b"TRAILER!!!":
            assert name[:-1].decode() not in entries
            entries[name[:-1].decode()] = (header, body)
    return entries


ENTRIES = (
    cpio.file("rig/bin/stale_tlb", b"\x7fELF\0\1\2", 0o755),
    cpio.file("etc/empty", b""),
    cpio.file("etc/ä", b"12345"),
    cpio.symlink("init", "bin/busybox"),
    cpio.character("dev/console", 5, 1),
    cpio.directory("root", 0o700),
    cpio.file("root/.ssh/authorized_keys", b"key\n", 0o600),
)


def test_every_entry_is_in_the_archive_and_owned_by_root() -> None:
    entries = read(cpio.archive(ENTRIES))
    for entry in ENTRIES:
        header, body = entries[entry.path]
        assert (header["mode"], body) == (entry.mode, entry.data)
        assert (header["uid"], header["gid"], header["mtime"]) == (0, 0, 0)
    console = entries["dev/console"][0]
    assert stat.S_ISCHR(console["mode"])
    assert (console["rdevmajor"], console["rdevminor"]) == (5, 1)
    assert entries["init"][1] == b"bin/busybox"
    assert len({header["ino"] for header, _ in entries.values()}) == len(entries)


def test_parents_come_before_their_entries() -> None:
    names = list(read(cpio.archive(ENTRIES)))
    for index, name in enumerate(names):
        for parent in Path(name).parents:
            if str(parent) != ".":
                assert names.index(str(parent)) < index
    entries = read(cpio.archive(ENTRIES))
    assert stat.S_IMODE(entries["rig/bin"][0]["mode"]) == 0o755
    assert stat.S_IMODE(entries["root"][0]["mode"]) == 0o700, "the mode given is kept"
    assert entries["root"][0]["nlink"] == 2


def test_the_order_of_the_entries_does_not_matter() -> None:
    assert cpio.archive(ENTRIES) == cpio.archive(reversed(ENTRIES))
    assert len(cpio.archive(ENTRIES)) % 512 == 0


def test_of_two_entries_with_one_name_the_last_counts() -> None:
    entries = read(cpio.archive([cpio.file("a", b"1"), cpio.file("a", b"2")]))
    assert entries["a"][1] == b"2"


def test_archives_can_be_concatenated() -> None:
    both = cpio.archive([cpio.file("a", b"1")]) + cpio.archive([cpio.file("b", b"2")])
    assert set(read(both)) == {"a", "b"}


def test_files_of_the_host_are_owned_by_root(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"x")
    (tmp_path / "program").chmod(0o711)
    (tmp_path / "data").write_bytes(b"y")
    (tmp_path / "data").chmod(0o4600)
    (tmp_path / "link").symlink_to("/nowhere")
    assert cpio.of_path(tmp_path / "program", "a") == cpio.file("a", b"x", 0o755)
    assert cpio.of_path(tmp_path / "data", "b") == cpio.file("b", b"y", 0o644)
    assert cpio.of_path(tmp_path / "link", "c") == cpio.symlink("c", "/nowhere")


def test_the_hosts_cpio_reads_an_archive(tmp_path: Path) -> None:
    data = cpio.archive(ENTRIES)
    words = ["cpio", "--quiet", "--list", "--verbose", "--numeric-uid-gid"]
    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    listing = subprocess.run(words, input=data, capture_output=True, check=True, env=env).stdout
    lines = listing.decode(errors="replace").splitlines()
    assert any(line.startswith("crw-------   1 0        0          5,   1") for line in lines)
    assert any(line.endswith("init -> bin/busybox") for line in lines)
    without = cpio.archive(entry for entry in ENTRIES if not stat.S_ISCHR(entry.mode))
    words = ["cpio", "--quiet", "--extract", "--make-directories"]
    subprocess.run(words, input=without, capture_output=True, check=True, cwd=tmp_path)
    assert (tmp_path / "rig/bin/stale_tlb").read_bytes() == b"\x7fELF\0\1\2"
    assert (tmp_path / "rig/bin/stale_tlb").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "etc/ä").read_bytes() == b"12345"
    assert (tmp_path / "init").readlink() == Path("bin/busybox")
