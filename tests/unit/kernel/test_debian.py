# SPDX-License-Identifier: GPL-2.0-only
"""Against an apt of the test's own, which says what it is told to."""

import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.errors import InfraError
from rig.kernel import debian
from rig.kernel.debian import Mirror, Unreachable
from rig.store import Store

ROWS = """\
Packages Debian bookworm http://deb.example/debian/
Packages Debian bookworm http://deb.example/debian/
Sources Debian bookworm http://sources.example/debian/
Translations Debian bookworm http://deb.example/debian/
Packages Debian bookworm-security http://security.example/debian-security/
Packages Debian bookworm-updates http://deb.example/debian/
Packages . nodistro . nodistro http://third.example/
Packages  stable http://nameless.example/
"""
Program = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keyring.gpg").touch()
    monkeypatch.setattr(debian, "KEYRING", tmp_path / "keyring.gpg")
    monkeypatch.setattr(
        platform, "freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"}
    )


def says(tmp_path: Path, rows: str) -> str:
    (tmp_path / "rows").write_text(rows)
    return f"cat {tmp_path}/rows"


def test_the_archive_apt_is_set_up_with(store: Store, tmp_path: Path, program: Program) -> None:
    program("apt-get", says(tmp_path, ROWS))
    mirror = debian.mirror(store)
    assert mirror == Mirror(
        codename="bookworm",
        uri="http://deb.example/debian/",
        security="http://security.example/debian-security/",
    )
    assert mirror.uri_of("trixie-backports") == mirror.uri
    assert mirror.uri_of("bookworm-security") == mirror.security
    assert not (store.root / "apt").exists(), "nothing was fetched"


@pytest.mark.parametrize(
    ("release", "own"),
    [
        ({"VERSION_CODENAME": "trixie"}, "trixie"),
        ({"VERSION_CODENAME": "forky"}, "sid"),
        ({}, "sid"),
        (None, "sid"),
    ],
)
def test_the_machines_own_release_is_what_it_says(
    store: Store,
    tmp_path: Path,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    release: dict[str, str] | None,
    own: str,
) -> None:
    def os_release() -> dict[str, str]:
        if release is None:
            raise OSError("no os-release file")
        return release

    monkeypatch.setattr(platform, "freedesktop_os_release", os_release)
    rows = "".join(f"Packages Debian {name} http://{name}.example/\n" for name in ("trixie", "sid"))
    program("apt-get", says(tmp_path, rows))
    mirror = debian.mirror(store)
    assert mirror == Mirror(codename=own, uri=f"http://{own}.example/", security="")
    assert mirror.uri_of("trixie-security") == ""


def test_what_is_not_debian(store: Store, tmp_path: Path, program: Program) -> None:
    program("apt-get", says(tmp_path, "Packages Ubuntu noble http://ubuntu.example/\n"))
    assert debian.mirror(store) is None
    program("apt-get", says(tmp_path, ROWS))
    (tmp_path / "keyring.gpg").unlink()
    assert debian.mirror(store) is None


def test_without_apt(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debian.mirror(store) is None


def test_where_the_lists_were_removed_they_are_fetched_beside(
    store: Store, tmp_path: Path, program: Program
) -> None:
    """As container images are made. The machine's own lists stay as they are."""
    lists = store.root / "apt" / "own" / "lists"
    (tmp_path / "rows").write_text(ROWS)
    program(
        "apt-get",
        f"""
        case "$*" in
        *Dir::State::Lists={lists}*update) touch {lists}/fetched ;;
        *Dir::State::Lists={lists}*indextargets*) test -f {lists}/fetched && cat {tmp_path}/rows ;;
        *update) touch {tmp_path}/touched ;;
        esac""",
    )
    mirror = debian.mirror(store)
    assert mirror is not None
    assert mirror.codename == "bookworm"
    assert not (tmp_path / "touched").exists()


def test_a_private_root_is_apart_from_the_machines(store: Store) -> None:
    words = debian.private_apt(store, "http://deb.example/debian/", "trixie")
    options = dict(word.split("=", 1) for word in words[1::2])
    assert words[::2] == ["-o"] * len(options)
    root = store.root / "apt" / "trixie"
    assert options["Dir::Etc::SourceParts"] == options["Dir::State::Status"] == "/dev/null"
    assert options["Dir::State::Lists"] == str(root / "lists")
    assert options["Dir::Cache"] == str(root / "cache")
    line = (root / "sources.list").read_text()
    assert line == f"deb [signed-by={debian.KEYRING}] http://deb.example/debian/ trixie main\n"
    assert options["Dir::Etc::SourceList"] == str(root / "sources.list")
    assert {options.pop(name) for name in debian.SIGNED_ONLY} == {"false"}
    rest = " ".join([line, *options])
    for unsafe in ("insecure", "trusted", "AllowUnauthenticated", "Check-Valid-Until"):
        assert unsafe.lower() not in rest.lower()


def test_the_newest_version(program: Program, tmp_path: Path) -> None:
    program("apt-get", f'echo "$@" >> {tmp_path}/asked')
    program("apt-cache", "echo 'Package: x\nVersion: 6.12.117-1~deb12u1\nDepends: y'")
    assert debian.newest(["-o", "A=b"], "linux-source-6.12") == "6.12.117-1~deb12u1"
    assert (tmp_path / "asked").read_text() == "-o A=b update\n"
    program("apt-cache", "echo 'N: Unable to locate package' >&2; exit 100")
    assert debian.newest([], "linux-source-9.9") is None


def test_a_suite_that_is_not_there_carries_nothing(program: Program) -> None:
    program("apt-get", "echo 'Err:1 http://x gone Release'; echo '  404  Not Found'; exit 100")
    assert debian.newest([], "linux-source-6.12") is None


def test_an_archive_that_does_not_answer_is_not_one_without_the_package(program: Program) -> None:
    program("apt-get", "echo 'E: Could not resolve deb.example' >&2; exit 100")
    with pytest.raises(Unreachable) as bad:
        debian.newest([], "linux-source-6.12")
    assert "Could not resolve deb.example" in bad.value.detail


def test_names(program: Program) -> None:
    program("apt-cache", "echo linux-source-6.1; echo linux-source-6.12")
    assert debian.names([], "linux-source-") == ("linux-source-6.1", "linux-source-6.12")


def test_a_download(program: Program, tmp_path: Path) -> None:
    program("apt-get", 'echo "$@" > x_1.deb')
    package = debian.download(["-o", "A=b"], "x", "1", tmp_path)
    assert package == tmp_path / "x_1.deb"
    assert package.read_text() == "-o A=b download x=1\n"
    program("apt-get", "echo 'E: Hash Sum mismatch' >&2; exit 100")
    with pytest.raises(InfraError) as bad:
        debian.download([], "x", "1", tmp_path)
    assert "Hash Sum mismatch" in bad.value.detail
