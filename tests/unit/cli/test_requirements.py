# SPDX-License-Identifier: GPL-2.0-only
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig import arch, proc
from rig.cli import requirements
from rig.cli.requirements import Need
from rig.errors import InfraError
from rig.log import Event

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
UBUNTU = "PRETTY_NAME='Ubuntu 24.04 LTS'\nVERSION_ID=24.04\nID=ubuntu\nID_LIKE=debian\n"
FEDORA = "# a comment\n\nNAME=Fedora\nPRETTY_NAME=Fedora\nVERSION_ID=41\nID=fedora\n"
MINT = 'ID=linuxmint\nID_LIKE="ubuntu debian"\n'

MOON = replace(
    arch.pick("arm64"),
    name="moon",
    aliases=("moon32",),
    cross="moon-linux-gnu-",
    packages=("gcc-moon-linux-gnu", "binutils-moon-linux-gnu", "libc6-dev-moon-cross"),
    qemu="qemu-system-moon",
    qemu_package="qemu-system-misc",
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory programs are found in."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(proc, "SYSTEM_PATH", str(tmp_path / "sbin"))
    for name in ("bin", "sbin"):
        (tmp_path / name).mkdir()
    return tmp_path / "bin"


def program(directory: Path, name: str) -> None:
    (directory / name).write_text("#!/bin/sh\n")
    (directory / name).chmod(0o755)


def test_a_need_is_met_when_all_its_programs_are_there(path: Path) -> None:
    need = Need(package="binutils", why="", programs=("ld", "addr2line"))
    program(path, "ld")
    assert not need.met()
    program(path, "addr2line")
    assert need.met()
    assert requirements.missing([need, replace(need, programs=("as",))])[0].programs == ("as",)


def test_programs_of_the_system_are_found_without_its_path(path: Path) -> None:
    program(path.parent / "sbin", "mke2fs")
    assert Need(package="e2fsprogs", why="", programs=("mke2fs",)).met()


def test_a_need_is_met_when_one_of_its_files_is_there(path: Path, tmp_path: Path) -> None:
    need = Need(package="libc6-dev", why="", files=("/usr/lib/*/libc.a", "/usr/lib64/libc.a"))
    assert not need.met(tmp_path)
    (tmp_path / "usr/lib/moon-linux-gnu").mkdir(parents=True)
    (tmp_path / "usr/lib/moon-linux-gnu/libc.a").touch()
    assert need.met(tmp_path)


def test_every_need_says_why_and_how_it_is_seen() -> None:
    wanted = requirements.needs(arch.known().values())
    assert len({need.package for need in wanted}) == len(wanted)
    for need in wanted:
        assert need.why, need
        assert need.programs or need.files, need


def test_an_architecture_brings_its_own_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    common = requirements.needs([])
    monkeypatch.setattr("platform.machine", lambda: "another")
    foreign = {need.package: need for need in requirements.needs([MOON]) if need not in common}
    assert list(foreign) == ["qemu-system-misc", *MOON.packages]
    assert foreign["qemu-system-misc"].programs == ("qemu-system-moon",)
    assert foreign["gcc-moon-linux-gnu"].programs == ("moon-linux-gnu-gcc",)
    assert "moon-linux-gnu-objcopy" in foreign["binutils-moon-linux-gnu"].programs
    assert "/usr/moon-linux-gnu/lib/libc.a" in foreign["libc6-dev-moon-cross"].files
    monkeypatch.setattr("platform.machine", lambda: "moon32")
    native = [need.package for need in requirements.needs([MOON]) if need not in common]
    assert native == ["qemu-system-misc"], "a native build needs no cross tools"


@pytest.mark.parametrize(("user", "needed"), [(0, False), (1000, True)])
def test_only_without_root_users_are_mapped(
    monkeypatch: pytest.MonkeyPatch, user: int, needed: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert ("uidmap" in {need.package for need in requirements.needs([])}) == needed


@pytest.mark.parametrize(
    ("text", "name", "version", "has_apt"),
    [
        (DEBIAN, "debian", "12", True),
        (UBUNTU, "ubuntu", "24.04", True),
        (MINT, "linuxmint", "", True),
        (FEDORA, "fedora", "41", False),
        ("", "linux", "", False),
    ],
)
def test_distribution(text: str, name: str, version: str, has_apt: bool) -> None:
    here = requirements.distribution(text)
    assert (here.id, here.version, here.has_apt) == (name, version, has_apt)


def test_distribution_reads_this_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "OS_RELEASE", tmp_path / "os-release")
    assert requirements.distribution().name == "an unknown distribution"
    (tmp_path / "os-release").write_text(DEBIAN)
    assert requirements.distribution().name == "Debian GNU/Linux 12 (bookworm)"


# install() against an apt of our own, which writes down what it is asked.

APT = """#!/bin/sh
echo "$DEBIAN_FRONTEND apt-get $*" >>"{log}"
case " $* " in
*" update "*) echo "Get:1 lists"; touch "{lists}/x_Packages"; exit 0 ;;
esac
[ -e "{lists}/stale" ] && rm "{lists}/stale" && {{ echo "E: 404 Not Found" >&2; exit 100; }}
{installs}
"""
DPKG = """#!/bin/sh
echo "$DEBIAN_FRONTEND dpkg $*" >>"{log}"
"""
SUDO = """#!/bin/sh
echo "sudo" >>"{log}"
[ "$1 $2" = "-n --" ] || exit 1
shift 2
exec "$@"
"""

Apt = Callable[..., Path]


@pytest.fixture
def apt(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    """Puts an apt-get on the PATH; what it installs is the program `tool`, or nothing."""
    lists = tmp_path / "lists"
    lists.mkdir()
    log = tmp_path / "log"
    monkeypatch.setattr(requirements, "APT_LISTS", lists)
    monkeypatch.setattr(requirements, "OS_RELEASE", tmp_path / "os-release")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("sys.stdin", None)
    for name in ("sh", "env", "setpriv", "touch", "rm", "cp"):
        found = shutil.which(name, path=os.defpath)
        assert found
        (path / name).symlink_to(found)

    def make(*, works: bool = True, fresh: bool = True, stale: bool = False) -> Path:
        (tmp_path / "os-release").write_text(DEBIAN)
        installs = f'cp "{path}/apt-get" "{path}/tool"' if works else ":"
        for name, text in (("apt-get", APT), ("dpkg", DPKG), ("sudo", SUDO)):
            program(path, name)
            (path / name).write_text(text.format(log=log, lists=lists, installs=installs))
        if fresh:
            (lists / "x_Packages").touch()
        if stale:
            (lists / "stale").touch()
        return log

    return make


TOOL = Need(package="tool-package", why="it is a test", programs=("tool",))
INSTALL = (
    "noninteractive apt-get --quiet install --yes --no-install-recommends"
    " -o DPkg::Lock::Timeout=300 tool-package"
)
REPAIR = "noninteractive dpkg --configure -a"
UPDATE = "noninteractive apt-get --quiet update"


def test_install_says_which_and_why_before(apt: Apt, events: list[Event]) -> None:
    log = apt()
    requirements.install([TOOL])
    assert log.read_text().splitlines() == [INSTALL]
    said = [e.text for e in events if e.kind in ("note", "command")]
    assert said[0] == "installing tool-package: it is a test"


def test_install_shows_how_far_it_is(apt: Apt, path: Path, events: list[Event]) -> None:
    apt()
    program(path, "apt-get")
    (path / "apt-get").write_text(
        f"#!/bin/sh\ncp {path}/apt-get {path}/tool\n"
        "echo '0 upgraded, 1 newly installed, 0 to remove and 5 not upgraded.'\n"
        "echo 'Get:1 tool-package'; echo 'Unpacking tool-package'; echo 'Setting up tool-package'\n"
    )
    requirements.install([TOOL])
    far = [(e.done, e.total) for e in events if e.kind == "progress"]
    assert far == [(1, 3), (2, 3), (3, 3)]


def test_nothing_missing_installs_nothing(apt: Apt) -> None:
    log = apt()
    requirements.install([])
    assert not log.exists()


def test_lists_that_are_missing_or_old_are_fetched_first(apt: Apt, tmp_path: Path) -> None:
    log = apt(fresh=False)
    requirements.install([TOOL])
    assert log.read_text().splitlines() == [UPDATE, INSTALL]
    log.unlink()
    os.utime(tmp_path / "lists", (0, 0))
    requirements.install([TOOL])
    assert log.read_text().splitlines() == [UPDATE, INSTALL]


def test_a_failure_is_repaired_and_tried_once_more(apt: Apt) -> None:
    log = apt(stale=True)
    requirements.install([TOOL])
    assert log.read_text().splitlines() == [INSTALL, REPAIR, UPDATE, INSTALL]


def test_a_failure_that_stays_is_raised(apt: Apt, path: Path) -> None:
    log = apt()
    (path / "apt-get").write_text(f'#!/bin/sh\necho "$2" >>"{log}"\n[ "$2" = update ]\n')
    with pytest.raises(proc.CommandFailed):
        requirements.install([TOOL])
    assert log.read_text().splitlines() == ["install", REPAIR, "update", "install"]


def test_what_is_installed_and_still_not_there_is_said(apt: Apt) -> None:
    apt(works=False)
    with pytest.raises(InfraError, match="installed, but not found: tool-package") as caught:
        requirements.install([TOOL])
    assert caught.value.hint == "looked for: tool"


def test_without_root_sudo_is_used_and_never_asks(
    apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = apt()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    requirements.install([TOOL])
    assert log.read_text().splitlines() == ["sudo", INSTALL]


def test_without_root_and_sudo_the_command_is_shown(
    apt: Apt, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt()
    (path / "sudo").unlink()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(InfraError, match="needs root, and there is no sudo") as caught:
        requirements.install([TOOL])
    assert "apt-get --quiet install --yes" in caught.value.hint


def test_elsewhere_nothing_is_installed_but_all_is_named(apt: Apt, tmp_path: Path) -> None:
    log = apt()
    (tmp_path / "os-release").write_text(FEDORA)
    with pytest.raises(InfraError, match="missing on this host: tool-package") as caught:
        requirements.install([TOOL])
    assert "Fedora" in caught.value.hint
    assert caught.value.detail == "tool-package: it is a test"
    assert not log.exists()
