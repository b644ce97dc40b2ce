# SPDX-License-Identifier: GPL-2.0-only
import hashlib
import io
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from urllib.response import addinfourl

import pytest

from rig import git, proc
from rig.errors import ConfigError, DiskFull, InfraError
from rig.kernel import base, debian
from rig.kernel.base import Base
from rig.kernel.debian import Unreachable
from rig.log import Event
from rig.store import Store

Program = Callable[[str, str], Path]


def commit(store: Store, base_: Base, path: str) -> str:
    return git.git("show", f"{base_.commit}:{path}", cwd=git.repository(store)).stdout


def test_what_a_series_says_it_is_based_on() -> None:
    assert base.named("v7.2") == "v7.2"
    assert base.named("adc218676eef25575469234709c2d87185ca223a") == "v6.12"
    assert base.named("0123456789") == ""
    assert base.named("") == ""


@pytest.mark.parametrize("name", ["6.12", "v6", "master", "v6.12-fixes", "", "v6.12\n", "../v6.12"])
def test_a_name_that_is_no_release_is_nobodys(store: Store, name: str) -> None:
    with pytest.raises(ConfigError, match="there is no base named") as bad:
        base.resolve(store, name)
    assert "--tree PATH" in bad.value.hint
    assert list(store.root.iterdir()) == []


# The user's own tree


@pytest.fixture
def theirs(kernel: Path) -> Path:
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["commit", "--quiet", "-m", "mine"],
        ["tag", "-a", "-m", "x", "v6.12-mine"],
        ["branch", "feature/x"],
    ):
        git.git(*words, cwd=kernel)
    return kernel


def test_a_commit_that_was_fetched_for_a_tree_is_known_by_its_hash(
    store: Store, theirs: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git.git("clone", "--quiet", theirs, clone, cwd=tmp_path, env={"GIT_ALLOW_PROTOCOL": "file"})
    git.git("commit", "--quiet", "--allow-empty", "-m", "new", cwd=theirs)
    commit = git.text("rev-parse", "HEAD", cwd=theirs)
    with pytest.raises(ConfigError, match=f"{clone} has no revision named"):
        base.resolve(store, commit, tree=clone)
    git.fetch(store, clone, "origin")
    resolved = base.resolve(store, commit[:12], tree=clone)
    assert (resolved.name, resolved.commit) == (commit[:12], commit)
    assert resolved.origin == f"git tree {clone}, {commit}, fetched from its remote"


@pytest.mark.parametrize("name", ["HEAD", "main", "feature/x", "v6.12-mine", "HEAD^{commit}"])
def test_a_revision_of_the_users_tree(store: Store, theirs: Path, name: str) -> None:
    resolved = base.resolve(store, name, tree=theirs)
    assert resolved.name == name
    assert resolved.commit == git.text("rev-parse", "HEAD", cwd=theirs)
    assert resolved.origin == f"git tree {theirs}, v6.12-mine"
    assert "kernel_init" in commit(store, resolved, "init.c")


def test_where_it_came_from_is_said_in_full(
    store: Store, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(theirs / "mm")
    resolved = base.resolve(store, "HEAD", tree=Path(".."))
    assert resolved.origin == f"git tree {theirs}, v6.12-mine"


def test_trees_that_are_none(store: Store, tmp_path: Path, theirs: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone: there is no such directory"):
        base.resolve(store, "HEAD", tree=tmp_path / "gone")
    (tmp_path / "plain").mkdir()
    with pytest.raises(ConfigError, match=r"plain is not a git tree"):
        base.resolve(store, "HEAD", tree=tmp_path / "plain")
    with pytest.raises(ConfigError, match=r"has no revision named 'v6\.99'") as bad:
        base.resolve(store, "v6.99", tree=theirs)
    assert f"git -C {theirs} tag" in bad.value.hint
    tree = git.text("rev-parse", "HEAD^{tree}", cwd=theirs)
    with pytest.raises(ConfigError, match="has no revision named"):
        base.resolve(store, tree, tree=theirs)


# kernel.org, or a place laid out like it


@pytest.fixture
def place(tmp_path: Path, kernel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with linux-9.9, on a machine whose apt has no Debian."""
    directory = tmp_path / "mirror" / "v9.x"
    directory.mkdir(parents=True)
    (kernel / "link").symlink_to("init.c")
    words = ["tar", "-C", kernel.parent, "--transform", "s/^kernel/linux-9.9/", "-cJf"]
    subprocess.run([*words, directory / "linux-9.9.tar.xz", "kernel"], check=True)
    promise(directory, (directory / "linux-9.9.tar.xz").read_bytes())
    monkeypatch.setenv("RIG_KERNEL_MIRROR", f"file://{tmp_path}/mirror")
    monkeypatch.setattr(debian, "mirror", lambda store: None)
    return directory


def promise(directory: Path, data: bytes) -> None:
    (directory / "sha256sums.asc").write_text(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
        f"{'0' * 64}  linux-9.8.tar.xz\n"
        f"{'1' * 64}  linux-9.9.1.tar.xz\n"
        f"{hashlib.sha256(data).hexdigest()}  linux-9.9.tar.xz\n"
        "-----BEGIN PGP SIGNATURE-----\n"
    )


def test_a_tarball_is_fetched_once(store: Store, place: Path, kernel: Path) -> None:
    digest = hashlib.sha256((place / "linux-9.9.tar.xz").read_bytes()).hexdigest()
    resolved = base.resolve(store, "v9.9")
    assert resolved.name == "v9.9"
    assert resolved.origin == f"file://{place}/linux-9.9.tar.xz, sha256 {digest}"
    assert commit(store, resolved, "init.c") == (kernel / "init.c").read_text()
    assert commit(store, resolved, "link") == "init.c"
    kept = git.text("rev-parse", "refs/rig/bases/v9.9", cwd=git.repository(store))
    assert kept == resolved.commit
    for path in place.iterdir():
        path.unlink()
    assert base.resolve(store, "v9.9") == resolved
    assert list((store.root / "tmp").iterdir()) == []


def test_the_same_source_is_the_same_commit(store: Store, place: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Store(tmp_path / "other")
    assert base.resolve(other, "v9.9") == base.resolve(store, "v9.9")


@pytest.mark.parametrize("damaged", ["linux.git", "linux.git/HEAD", "bases/v9.9/manifest.json"])
def test_a_base_that_the_store_has_lost_is_fetched_again(
    store: Store, place: Path, damaged: str, events: list[Event]
) -> None:
    first = base.resolve(store, "v9.9")
    path = store.root / damaged
    shutil.rmtree(path) if path.is_dir() else path.write_text("")
    assert base.resolve(store, "v9.9") == first
    assert "kernel_init" in commit(store, first, "init.c")
    notes = [event.text for event in events if event.kind == "note"]
    assert any("bases/v9.9 in the store is damaged" in text for text in notes)


def test_a_tarball_that_is_not_what_was_promised(store: Store, place: Path) -> None:
    promise(place, b"something else")
    with pytest.raises(
        InfraError, match=r"linux-9\.9\.tar\.xz does not match its sha256sums"
    ) as bad:
        base.resolve(store, "v9.9")
    assert not isinstance(bad.value, Unreachable)
    assert store.find("bases", "v9.9") is None
    assert list((store.root / "tmp").iterdir()) == []
    promise(place, (place / "linux-9.9.tar.xz").read_bytes())
    assert base.resolve(store, "v9.9").commit


def test_a_tarball_that_is_cut_short(store: Store, place: Path) -> None:
    """One that somebody promises all the same."""
    data = (place / "linux-9.9.tar.xz").read_bytes()[:-100]
    (place / "linux-9.9.tar.xz").write_bytes(data)
    promise(place, data)
    with pytest.raises(InfraError, match="tar ended with status"):
        base.resolve(store, "v9.9")
    assert store.find("bases", "v9.9") is None


def test_a_release_that_nobody_has_comes_with_the_nearest(store: Store, place: Path) -> None:
    with pytest.raises(ConfigError, match=r"no base named 'v9\.89'") as bad:
        base.resolve(store, "v9.89")
    assert bad.value.hint == "did you mean v9.9 or v9.8?"
    assert not list((store.root / "bases").iterdir())


def test_when_nobody_answers_it_is_not_the_users_fault(
    store: Store, place: Path, tmp_path: Path
) -> None:
    (place / "sha256sums.asc").unlink()
    with pytest.raises(Unreachable, match=r"v9\.9 cannot be fetched: apt has no Debian") as bad:
        base.resolve(store, "v9.9")
    assert isinstance(bad.value, InfraError)
    assert f"file://{place}/sha256sums.asc: " in bad.value.message
    assert "--tree PATH" in bad.value.hint


def test_a_mirror_that_is_no_address(
    store: Store, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIG_KERNEL_MIRROR", "srv/kernels")
    with pytest.raises(ConfigError, match="RIG_KERNEL_MIRROR: unknown url type") as bad:
        base.resolve(store, "v9.9")
    assert "file://" in bad.value.hint


def test_a_full_disk_is_said_as_such(
    store: Store, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        Path("/dev/full").write_text("x")

    monkeypatch.setattr(git, "import_tree", full)
    with pytest.raises(DiskFull, match=r"fetching v9\.9"):
        base.resolve(store, "v9.9")
    assert store.find("bases", "v9.9") is None


# Debian's packages


@pytest.fixture
def archive(
    tmp_path: Path, kernel: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A Debian whose trixie has linux-source-9.9; other suites are empty, kernel.org is away."""
    root = tmp_path / "deb"
    (root / "usr" / "src").mkdir(parents=True)
    tarball = root / "usr" / "src" / "linux-source-9.9.tar.xz"
    subprocess.run(["tar", "-C", kernel.parent, "-cJf", tarball, "kernel"], check=True)
    mirror = debian.Mirror(
        codename="bookworm", uri="http://d.example/", security="http://s.example/"
    )
    monkeypatch.setattr(debian, "mirror", lambda store: mirror)
    monkeypatch.setenv("RIG_KERNEL_MIRROR", f"file://{tmp_path}/away")
    program(
        "apt-get",
        f"""
        case $* in
        *download*) touch linux-source-9.9_9.9.4-1_all.deb ;;
        *) echo $* >> {tmp_path}/asked ;;
        esac""",
    )
    program(
        "apt-cache",
        """
        case $* in
        *apt/trixie/*show*-9.9) echo Version: 9.9.4-1 ;;
        *apt/trixie/*pkgnames*) echo linux-source-9.9; echo linux-source-9.8 ;;
        esac""",
    )
    program("dpkg-deb", f"cp -r {root} $3")
    return tmp_path


def suites(archive: Path) -> list[str]:
    lines = (archive / "asked").read_text().splitlines()
    return [line.split("/apt/")[1].split("/")[0] for line in lines]


@pytest.mark.skipif(not (proc.which("apt-get") and debian.KEYRING.is_file()), reason="no apt")
def test_an_archive_without_a_signature_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the host's own apt takes it."""
    arch = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    packages = tmp_path / "archive" / "dists" / "trixie" / "main" / f"binary-{arch}" / "Packages"
    packages.parent.mkdir(parents=True)
    packages.write_text(
        f"Package: linux-source-9.9\nVersion: 9.9.4-1\nArchitecture: {arch}\n"
        f"Filename: x.deb\nSize: 1\nSHA256: {'0' * 64}\n"
    )
    config = tmp_path / "apt.conf"
    lenient = ("Acquire::AllowInsecureRepositories", "APT::Get::AllowUnauthenticated")
    config.write_text("".join(f'{key} "true";\n' for key in lenient))
    monkeypatch.setenv("APT_CONFIG", str(config))
    apt = debian.private_apt(store, f"file://{tmp_path}/archive", "trixie")
    with pytest.raises(Unreachable) as refused:
        debian.newest(apt, "linux-source-9.9")
    assert "Release" in refused.value.detail


def test_a_package_of_the_first_suite_that_has_it(
    store: Store, archive: Path, events: list[Event], kernel: Path
) -> None:
    resolved = base.resolve(store, "v9.9")
    empty = hashlib.sha256(b"").hexdigest()
    assert resolved.origin == f"Debian linux-source-9.9 9.9.4-1, sha256 {empty}"
    assert commit(store, resolved, "init.c") == (kernel / "init.c").read_text()
    assert suites(archive) == [
        *("bookworm-security", "bookworm-updates", "bookworm-backports", "trixie-security"),
        "trixie",
    ]
    notes = [event.text for event in events if event.kind == "note"]
    assert notes[0] == "linux-source-9.9 9.9.4-1 from Debian trixie"


def test_a_release_no_suite_has_comes_with_the_nearest(store: Store, archive: Path) -> None:
    with pytest.raises(ConfigError, match=r"no base named 'v9\.7'") as bad:
        base.resolve(store, "v9.7")
    assert "v9.9" in bad.value.hint
    assert "experimental" in suites(archive)


def test_a_suite_that_does_not_answer_is_passed_over(
    store: Store, archive: Path, program: Program
) -> None:
    program(
        "apt-get", "case $* in *download*) touch x.deb ;; *apt/trixie/*) ;; *) exit 100 ;; esac"
    )
    assert base.resolve(store, "v9.9").commit


def test_an_archive_that_does_not_answer_and_no_tarball(
    store: Store, archive: Path, program: Program
) -> None:
    program("apt-get", "echo 'Could not resolve d.example' >&2; exit 100")
    with pytest.raises(Unreachable, match="Debian's archive does not answer") as bad:
        base.resolve(store, "v9.9")
    assert "Could not resolve d.example" in bad.value.detail


def test_a_tarball_comes_in_where_debian_does_not_answer(
    store: Store, archive: Path, program: Program, request: pytest.FixtureRequest
) -> None:
    program("apt-get", "exit 100")
    request.getfixturevalue("place")
    assert "linux-9.9.tar.xz" in base.resolve(store, "v9.9").origin


# A tree that was borrowed from, and is gone


def test_a_base_does_not_depend_on_a_tree_that_was_borrowed_before(
    store: Store, place: Path, theirs: Path
) -> None:
    """The user's tree has the same files: git would not write them again."""
    base.resolve(store, "HEAD", tree=theirs)
    fetched = base.resolve(store, "v9.9")
    shutil.rmtree(theirs)
    listing = git.git("rev-list", "--objects", fetched.commit, cwd=git.repository(store))
    assert "init.c" in listing.stdout
    git.git("archive", "--output=/dev/null", fetched.commit, cwd=git.repository(store))


def test_objects_that_a_removed_tree_had_are_missed_with_the_way_out(
    store: Store, theirs: Path
) -> None:
    borrowed = base.resolve(store, "HEAD", tree=theirs)
    shutil.rmtree(theirs)
    with pytest.raises(InfraError, match="a tree given by --tree was removed") as lost:
        git.git("rev-list", "--objects", borrowed.commit, cwd=git.repository(store))
    assert "give that --tree again" in lost.value.hint
    assert borrowed.commit in lost.value.detail


@pytest.mark.parametrize(
    ("asked", "led_to", "taken"),
    [
        ("https://a.org/x", "https://b.org/x", True),
        ("https://a.org/x", "http://a.org/x", False),
        ("http://a.org/x", "http://a.org/x", True),
        ("file:///srv/x", "file:///srv/x", True),
    ],
)
def test_a_server_that_leads_away_from_tls_is_refused(
    monkeypatch: pytest.MonkeyPatch, asked: str, led_to: str, taken: bool
) -> None:
    """urllib follows it without a word."""
    answer = addinfourl(io.BytesIO(b"tar"), Message(), led_to, 200)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: answer)
    if taken:
        assert base._download(asked) == b"tar"
    else:
        with pytest.raises(Unreachable, match="without TLS"):
            base._download(asked)
