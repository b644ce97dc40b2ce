# SPDX-License-Identifier: GPL-2.0-only
import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rig import store as stores
from rig.errors import ConfigError, InfraError
from rig.kernel import sandbox
from rig.log import Event
from rig.store import Store, digest, host_trouble, write_whole

TOP = Path(__file__).parents[2]
Eventually = Callable[[Callable[[], object]], None]

# A maker that has written half of its entry and waits to be killed.
HALF = """
import sys, time
from pathlib import Path
from rig.store import Store

def maker(out):
    (out / "vmlinux").write_text("half")
    Path(sys.argv[2]).write_text(str(out))
    time.sleep(1000)

Store(Path(sys.argv[1])).make(sys.argv[3], sys.argv[4], {}, maker)
"""


def whole(out: Path) -> Mapping[str, Any]:
    (out / "vmlinux").write_text("whole")
    return {"release": "6.12.0-rig"}


def never(out: Path) -> None:
    raise AssertionError("it is there already")


# Digests


def test_a_digest_is_stable() -> None:
    """A change of this value throws away everything every user has ever built."""
    inputs = {"tree": "0123", "config": ["A", 1, None, True], "ä": {"b": 1, "a": 2}}
    assert digest(inputs) == "a42335df38b45166f5fdcd68c3d72a9a"


def test_a_digest_does_not_depend_on_the_order_of_keys_but_on_everything_else() -> None:
    first = digest({"a": 1, "b": [1, 2]})
    assert digest({"b": [1, 2], "a": 1}) == first
    others = [{"a": 1, "b": [2, 1]}, {"a": "1", "b": [1, 2]}, {"a": 1}, {}]
    assert len({first, *map(digest, others)}) == 5


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert stores.file_digest(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


# Making


def test_an_entry_is_made_once(store: Store) -> None:
    path = store.make("builds", "b1", {"tree": "t"}, whole)
    assert path == store.make("builds", "b1", {"tree": "t"}, never)
    assert path == store.find("builds", "b1") == store.root / "builds" / "b1"
    assert (path / "vmlinux").read_text() == "whole"
    manifest = store.manifest("builds", "b1")
    made = manifest.pop("made")
    assert made.endswith("+00:00")
    assert manifest == {
        "kind": "builds",
        "name": "b1",
        "inputs": {"tree": "t"},
        "release": "6.12.0-rig",
        "sha256": {"vmlinux": stores.file_digest(path / "vmlinux")},
    }


def test_what_is_not_there_is_not_found(store: Store) -> None:
    assert store.find("builds", "b1") is None


def test_a_maker_that_fails_leaves_nothing(store: Store) -> None:
    def fails(out: Path) -> None:
        (out / "vmlinux").write_text("half")
        raise ConfigError("no")

    with pytest.raises(ConfigError):
        store.make("builds", "b1", {}, fails)
    assert list((store.root / "builds").iterdir()) == []
    store.make("builds", "b1", {}, whole)


def test_an_entry_that_others_may_read(store: Store) -> None:
    """mkdtemp(3) makes directories for their owner alone."""
    assert store.make("builds", "b1", {}, whole).stat().st_mode & 0o777 == 0o755


def test_a_maker_that_was_killed_has_made_nothing(
    store: Store, tmp_path: Path, script: Callable[..., Any], eventually: Eventually
) -> None:
    said = tmp_path / "said"
    killed = script(HALF, store.root, said, "builds", "b1")
    eventually(lambda: killed.poll() is not None or (said.is_file() and said.read_text()))
    half = Path(said.read_text())
    assert (half / "vmlinux").read_text() == "half"
    assert store.find("builds", "b1") is None
    killed.kill()
    killed.wait()
    assert store.find("builds", "b1") is None
    path = store.make("builds", "b1", {}, whole)
    assert (path / "vmlinux").read_text() == "whole"
    assert list((store.root / "builds").iterdir()) == [path], "the half is gone"


def test_another_entrys_maker_is_left_alone(
    store: Store, tmp_path: Path, script: Callable[..., Any], eventually: Eventually
) -> None:
    """v6.12 is made while another rig makes v6.12.3: neither's scratch is the other's leftover."""
    said = tmp_path / "said"
    other = script(HALF, store.root, said, "bases", "v6.12.3")
    eventually(lambda: other.poll() is not None or (said.is_file() and said.read_text()))
    store.make("bases", "v6.12", {}, whole)
    assert (Path(said.read_text()) / "vmlinux").is_file()


def test_an_entry_that_was_half_removed_is_made_again(store: Store) -> None:
    path = store.make("builds", "b1", {}, whole)
    (path / "manifest.json").unlink()
    assert store.find("builds", "b1") is None
    (path / "vmlinux").write_text("half")
    assert store.make("builds", "b1", {}, whole) == path
    assert (path / "vmlinux").read_text() == "whole"


def test_two_makers_at_once_make_once(
    store: Store, events: list[Event], eventually: Eventually
) -> None:
    calls: list[int] = []
    inside, go_on = threading.Event(), threading.Event()

    def slow(out: Path) -> None:
        calls.append(threading.get_ident())
        inside.set()
        assert go_on.wait(120)

    first = threading.Thread(target=store.make, args=("builds", "b1", {}, slow))
    first.start()
    assert inside.wait(120)
    second = threading.Thread(target=store.make, args=("builds", "b1", {}, slow))
    second.start()
    try:
        eventually(lambda: any("Waiting" in event.title for event in events))
    finally:
        go_on.set()
    first.join(120)
    second.join(120)
    assert len(calls) == 1
    waited = next(event for event in events if "Waiting" in event.title)
    assert waited.title == "Waiting for another rig to finish with builds-b1"


def test_the_lock_holds_between_processes(
    store: Store,
    script: Callable[..., Any],
    events: list[Event],
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    source = """
import sys
from pathlib import Path
from rig.store import Store
with Store(Path(sys.argv[1])).lock("lane"):
    print("held", flush=True)
    Path(sys.argv[2]).read_text()
"""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    other = script(source, store.root, fifo)
    assert other.stdout.readline() == "held\n"
    got = threading.Event()

    def wait() -> None:
        with store.lock("lane"):
            got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: any("Waiting" in event.title for event in events))
    assert not got.is_set()
    fifo.write_text("go on")
    assert got.wait(120)
    thread.join(120)


def test_a_killed_holder_holds_no_longer(store: Store, script: Callable[..., Any]) -> None:
    source = """
import sys, time
from pathlib import Path
from rig.store import Store
with Store(Path(sys.argv[1])).lock("lane"):
    print("held", flush=True)
    time.sleep(1000)
"""
    other = script(source, store.root)
    assert other.stdout.readline() == "held\n"
    other.kill()
    other.wait()
    with store.lock("lane"):
        pass


# Damage


def _record(out: Path) -> Mapping[str, Any]:
    (out / "sub").mkdir()
    (out / "sub" / "program").write_bytes(b"ELF" * 1000)
    (out / "log").touch()  # an empty file is not damage if it was made so
    with (out / "disk.img").open("wb") as disk:
        disk.truncate(8 << 20)
        disk.seek(3 << 20)
        disk.write(b"superblock")
    return {"release": "6.12.0-rig"}


def _overwrite(path: Path, offset: int) -> None:
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"garbage")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("remembered", [False, True], ids=["", "remembered"])
@pytest.mark.parametrize(
    ("file", "harm", "why"),
    [
        ("manifest.json", lambda path: path.write_text(""), "is not readable"),
        ("manifest.json", lambda path: os.truncate(path, 20), "is not readable"),
        ("manifest.json", lambda path: path.write_bytes(b"\xff\x00"), "is not readable"),
        ("manifest.json", lambda path: path.write_text("[]"), "is of something else"),
        ("manifest.json", lambda path: path.write_text("{}"), "is of something else"),
        ("sub/program", lambda path: path.write_text(""), "program is empty"),
        ("sub/program", lambda path: os.truncate(path, 2999), "does not match its checksum"),
        ("sub/program", lambda path: _overwrite(path, 1500), "does not match its checksum"),
        ("sub/program", lambda path: path.unlink(), "No such file"),
        ("disk.img", lambda path: os.truncate(path, 4 << 20), "does not match its checksum"),
        ("disk.img", lambda path: _overwrite(path, 3 << 20), "does not match its checksum"),
        ("disk.img", lambda path: _overwrite(path, 1 << 20), "does not match its checksum"),
    ],
)
def test_a_damaged_entry_is_made_again(
    store: Store,
    events: list[Event],
    file: str,
    harm: Callable[[Path], object],
    why: str,
    remembered: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`remembered`: another rig has read all of it, a while ago."""
    path = store.make("builds", "b1", {}, _record)
    assert store.make("builds", "b1", {}, never) == path, "it is not damaged yet"
    if remembered:
        monkeypatch.setattr(stores, "RACY", 0)
        time.sleep(0.05)
        assert store.find("builds", "b1") == path
        assert (store.root / "checked" / "builds-b1").is_file()
        stores._checksum.cache_clear()
    harm(path / file)
    assert store.find("builds", "b1") is None
    assert store.make("builds", "b1", {}, _record) == path
    (note,) = [event.text for event in events if event.kind == "note" and "damaged" in event.text]
    assert note.startswith("builds/b1 in the store is damaged (") and why in note
    assert note.endswith("making it again")
    assert store.make("builds", "b1", {}, never) == path
    assert (path / "sub" / "program").read_bytes() == b"ELF" * 1000


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many files were read for their checksums since the last call, as if by a new process."""
    read: list[Path] = []
    for name in ("file_digest", "blocks_digest"):
        real = getattr(stores, name)
        monkeypatch.setattr(
            stores, name, lambda path, real=real: (read.append(path), real(path))[1]
        )

    def count() -> int:
        stores._checksum.cache_clear()
        number = len(read)
        read.clear()
        return number

    return count


def test_an_entry_is_read_once_in_the_life_of_a_host(
    store: Store, reads: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.make("builds", "b1", {}, _record)
    assert reads() == 3
    for _ in range(2):
        assert store.find("builds", "b1")
        assert reads() == 3, "it was made a moment ago: a change may not be seen yet"
    monkeypatch.setattr(stores, "RACY", 0)
    time.sleep(0.05)
    for expected in (3, 0, 0):
        assert store.find("builds", "b1")
        assert reads() == expected
    (tmp_path / "boot").write_text("another")
    monkeypatch.setattr(stores, "BOOT_ID", tmp_path / "boot")
    for expected in (3, 0):  # a host that crashed may have lost what it had not written
        assert store.find("builds", "b1")
        assert reads() == expected
    (store.root / "checked" / "builds-b1").write_bytes(b"\xff{")
    assert store.find("builds", "b1")
    assert reads() == 3


def test_a_file_that_changes_while_it_is_read_is_read_again(
    store: Store, reads: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.make("builds", "b1", {}, _record)
    monkeypatch.setattr(stores, "RACY", 0)
    time.sleep(0.05)
    real = stores.file_digest
    with monkeypatch.context() as patch:
        patch.setattr(stores, "file_digest", lambda file: (real(file), os.utime(path / "log"))[0])
        assert store.find("builds", "b1")
    reads()
    assert store.find("builds", "b1")
    assert reads() == 3


def test_an_entry_of_an_older_rig_has_no_checksums(store: Store) -> None:
    path = store.make("images", "i1", {}, whole)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["sha256"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert store.find("images", "i1") == path
    (path / "vmlinux").write_text("")
    assert store.flaw("images", "i1") == "vmlinux is empty"


def test_a_copy_of_a_store_without_holes_is_not_damaged(store: Store, tmp_path: Path) -> None:
    path = store.make("disks", "d1", {}, _record)
    dense = (path / "disk.img").read_bytes()
    (path / "disk.img").unlink()
    (path / "disk.img").write_bytes(dense)
    assert store.find("disks", "d1") == path


def test_an_entry_whose_commit_is_gone_is_made_again(store: Store, events: list[Event]) -> None:
    """linux.git was removed, or has lost objects."""
    store.make("trees", "t1", {}, lambda out: {"commit": "gone"})
    store.make(
        "trees", "t1", {}, lambda out: {"commit": "new"}, lambda m: "no" * (m["commit"] == "gone")
    )
    assert store.manifest("trees", "t1")["commit"] == "new"
    assert any("trees/t1 in the store is damaged (no)" in event.text for event in events)


# Scratch


def test_scratch_is_gone_afterwards(store: Store) -> None:
    """tests/unit/test_scratch.py has what killed rigs leave."""
    with store.scratch() as mine, store.scratch() as second:
        assert mine.is_dir() and second.is_dir() and second != mine
        assert mine.parent == store.root / "tmp"
    assert list((store.root / "tmp").iterdir()) == []


def test_scratch_is_gone_after_an_error(store: Store) -> None:
    with pytest.raises(ConfigError), store.scratch() as mine:
        (mine / "sub").mkdir()
        raise ConfigError("no")
    assert not mine.exists()


# A host that refuses


def test_the_default_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "b"))
    assert Store.default().root == tmp_path / "b"
    assert not (tmp_path / "b").exists(), "to read needs no store"
    monkeypatch.delenv("RIG_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Store.default().root == tmp_path / "cache" / "rig"


@pytest.mark.parametrize(("uid", "mode"), [(0, 0o644), (1000, 0o600)])
def test_the_sandboxs_user_can_read_what_root_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, mode: int
) -> None:
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    before = os.umask(0o077)
    try:
        store = Store.default()
        store.ready()
        (store.root / "config").touch()
    finally:
        os.umask(before)
    assert (store.root / "config").stat().st_mode & 0o777 == mode


def test_a_relative_store_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RIG_STORE", "here")
    assert Store.default().root == tmp_path / "here"


def test_a_new_store_is_made_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[Event]
) -> None:
    """RIG_STORE may be mistyped."""
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "new"))
    store = Store.default()
    for _ in range(2):
        store.make("builds", "b1", {}, whole)
        with store.scratch():
            pass
    notes = [event.text for event in events if event.kind == "note"]
    assert notes == [f"there is no store {tmp_path / 'new'} yet: making it"]


def test_a_store_in_no_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "mistyped" / "store"))
    with pytest.raises(ConfigError, match=r"there is no directory .*/mistyped$") as bad:
        Store.default()
    assert "correct RIG_STORE" in bad.value.hint
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="is not a directory"):
        Store.default()
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize(
    "name", ["a b", "a:b", "a,b", "a'b", 'a"b', "a$b", "a#b", "a%b", "a\nb", "a\udcffb"]
)
def test_a_store_whose_path_others_would_misread_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("RIG_STORE", str(tmp_path / name))
    with pytest.raises(ConfigError, match="in its path") as bad:
        Store.default()
    assert "RIG_STORE" in bad.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(bool(sandbox.broken()), reason="bubblewrap does not work here")
def test_a_store_that_cannot_be_written_can_be_read(tmp_path: Path, store: Store) -> None:
    """A read-only mount, which stops root too."""
    store.make("builds", "b1", {}, whole)
    body = """
import sys
from pathlib import Path
from rig.errors import InfraError
from rig.store import Store
store = Store(Path(sys.argv[1]))
print(store.find("builds", "b1"), store.make("builds", "b1", {}, lambda out: 1 / 0))
makes = lambda: store.make("builds", "b2", {}, lambda out: 1 / 0)
for writes in (makes, lambda: store.scratch().__enter__()):
    try:
        writes()
    except InfraError as error:
        print(error, error.hint)
"""
    mount = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(store.root), str(store.root)]
    words = [*mount, sys.executable, "-c", body, str(store.root)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=TOP)
    entry = store.root / "builds" / "b1"
    first, *others = done.stdout.splitlines()
    assert first == f"{entry} {entry}"
    refusal = f"the store {store.root} cannot be written: Read-only file system set RIG_STORE to"
    assert [line.startswith(refusal) for line in others] == [True, True]


def test_a_lock_that_is_never_released_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "LOCK_DEADLINE", 0.2)
    with store.lock("lane"), pytest.raises(InfraError, match=r"another rig has held .*lane\.lock"):
        with store.lock("lane"):
            pass


def test_the_systems_refusals_are_infra_errors() -> None:
    with pytest.raises(InfraError, match=r"^building: Permission denied \(/x\)$") as denied:
        with host_trouble("building"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x")
    assert denied.value.hint == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_what_to_do(number: int) -> None:
    with pytest.raises(InfraError) as full, host_trouble("building"):
        raise OSError(number, os.strerror(number))
    assert full.value.message == "the disk is full: building"
    assert "free some space" in full.value.hint


def test_our_own_errors_pass_through() -> None:
    error = ConfigError("no")
    with pytest.raises(ConfigError) as raised, host_trouble("building"):
        raise error
    assert raised.value is error


def test_a_maker_on_a_full_disk(store: Store) -> None:
    """A real refusal of the kernel's: /dev/full."""

    def fills(out: Path) -> None:
        Path("/dev/full").write_text("x")

    with pytest.raises(InfraError, match="the disk is full: making"), host_trouble("making"):
        store.make("builds", "b1", {}, fills)
    assert store.find("builds", "b1") is None
    assert list((store.root / "builds").iterdir()) == []


def test_a_manifest_is_plain_json(store: Store) -> None:
    path = store.make("runs", "r1", {"n": 1}, lambda out: {"warnings": ["ä"]})
    assert json.loads((path / "manifest.json").read_text())["warnings"] == ["ä"]


def test_a_file_is_put_in_place_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_whole(path, b"before")
    monkeypatch.setattr(Path, "rename", lambda self, target: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before", "killed before the end"
    monkeypatch.undo()
    write_whole(path, b"after")
    assert path.read_bytes() == b"after"
