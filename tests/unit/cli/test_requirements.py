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

DEBIAN = {"PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)", "VERSION_ID": "12", "ID": "debian"}
UBUNTU = {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_ID": "24.04"}
FEDORA = {"PRETTY_NAME": "Fedora", "VERSION_ID": "41", "ID": "fedora"}
MINT = {"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}

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
    """The only directory on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(proc, "SYSTEM_PATH", str(tmp_path / "sbin"))
    for name in ("bin", "sbin"):
        (tmp_path / name).mkdir()
    return tmp_path / "bin"


def program(directory: Path, name: str) -> None:
    (directory / name).write_text("#!/bin/sh\n")
    (directory / name).chmod(0o755)


def test_a_need_is_met_when_all_its_programs_exist(path: Path) -> None:
    need = Need(package="binutils", why="", programs=("ld", "addr2line"))
    program(path, "ld")
    assert not need.met()
    program(path, "addr2line")
    assert need.met()
    assert requirements.missing([need, replace(need, programs=("as",))])[0].programs == ("as",)


def test_programs_of_the_system_are_found_without_its_path(path: Path) -> None:
    program(path.parent / "sbin", "mke2fs")
    assert Need(package="e2fsprogs", why="", programs=("mke2fs",)).met()


def test_a_need_is_met_when_one_of_its_files_exists(path: Path, tmp_path: Path) -> None:
    need = Need(package="libc6-dev", why="", files=("/usr/lib/*/libc.a", "/usr/lib64/libc.a"))
    assert not need.met(tmp_path)
    (tmp_path / "usr/lib/moon-linux-gnu").mkdir(parents=True)
    (tmp_path / "usr/lib/moon-linux-gnu/libc.a").touch()
    assert need.met(tmp_path)


def test_every_need_has_a_reason_and_programs_or_files() -> None:
    needs = requirements.needs(arch.known().values())
    assert len({need.package for need in needs}) == len(needs)
    for need in needs:
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
def test_uidmap_is_needed_without_root_only(
    monkeypatch: pytest.MonkeyPatch, user: int, needed: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert ("uidmap" in {need.package for need in requirements.needs([])}) == needed


def os_release(monkeypatch: pytest.MonkeyPatch, fields: dict[str, str] | None) -> None:
    """Set the fields of this host's os-release; None is a host without the file."""

    def read() -> dict[str, str]:
        if fields is None:
            raise FileNotFoundError("/etc/os-release")
        return fields

    monkeypatch.setattr("platform.freedesktop_os_release", read)


@pytest.mark.parametrize(
    ("fields", "name", "version", "has_apt"),
    [
        (DEBIAN, "debian", "12", True),
        (UBUNTU, "ubuntu", "24.04", True),
        (MINT, "linuxmint", "", True),
        (FEDORA, "fedora", "41", False),
        (None, "linux", "", False),
    ],
)
def test_distribution(
    fields: dict[str, str] | None,
    name: str,
    version: str,
    has_apt: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    os_release(monkeypatch, fields)
    host = requirements.distribution()
    assert (host.id, host.version, host.has_apt) == (name, version, has_apt)


def test_the_name_of_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    os_release(monkeypatch, None)
    assert requirements.distribution().name == "an unknown distribution"
    os_release(monkeypatch, DEBIAN)
    assert requirements.distribution().name == "Debian GNU/Linux 12 (bookworm)"


# install() with a fake apt, which logs its arguments.

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
    """Puts a fake apt-get on the PATH, which installs the program `tool`, or nothing."""
    lists = tmp_path / "lists"
    lists.mkdir()
    log = tmp_path / "log"
    monkeypatch.setattr(requirements, "APT_LISTS", lists)
    os_release(monkeypatch, DEBIAN)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("sys.stdin", None)
    for name in ("sh", "env", "setpriv", "touch", "rm", "cp"):
        executable = shutil.which(name, path=os.defpath)
        assert executable
        (path / name).symlink_to(executable)

    def make(*, works: bool = True, fresh: bool = True, stale: bool = False) -> Path:
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


def test_install_first_notes_each_package_and_why(apt: Apt, events: list[Event]) -> None:
    log = apt()
    requirements.install([TOOL])
    assert log.read_text().splitlines() == [INSTALL]
    texts = [event.text for event in events if event.kind in ("note", "command")]
    assert texts[0] == "installing tool-package: it is a test"


def test_install_shows_its_progress(apt: Apt, path: Path, events: list[Event]) -> None:
    apt()
    program(path, "apt-get")
    (path / "apt-get").write_text(
        f"#!/bin/sh\ncp {path}/apt-get {path}/tool\n"
        "echo '0 upgraded, 1 newly installed, 0 to remove and 5 not upgraded.'\n"
        "echo 'Get:1 tool-package'; echo 'Unpacking tool-package'; echo 'Setting up tool-package'\n"
    )
    requirements.install([TOOL])
    progress = [(event.done, event.total) for event in events if event.kind == "progress"]
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_install_without_needs_does_nothing(apt: Apt) -> None:
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


def test_a_failed_installation_is_repaired_and_tried_again(apt: Apt) -> None:
    log = apt(stale=True)
    requirements.install([TOOL])
    assert log.read_text().splitlines() == [INSTALL, REPAIR, UPDATE, INSTALL]


def test_a_second_failure_is_raised(apt: Apt, path: Path) -> None:
    log = apt()
    (path / "apt-get").write_text(f'#!/bin/sh\necho "$2" >>"{log}"\n[ "$2" = update ]\n')
    with pytest.raises(proc.CommandFailed):
        requirements.install([TOOL])
    assert log.read_text().splitlines() == ["install", REPAIR, "update", "install"]


def test_a_package_without_the_expected_program_is_an_error(apt: Apt) -> None:
    apt(works=False)
    with pytest.raises(InfraError, match="installed, but not found: tool-package") as error:
        requirements.install([TOOL])
    assert error.value.hint == "looked for: tool"


def test_without_root_sudo_is_used_without_a_password(
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
    with pytest.raises(InfraError, match="needs root, and sudo is not installed") as error:
        requirements.install([TOOL])
    assert "apt-get --quiet install --yes" in error.value.hint


def test_on_other_distributions_the_missing_packages_are_named(
    apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = apt()
    os_release(monkeypatch, FEDORA)
    with pytest.raises(InfraError, match="missing on this host: tool-package") as error:
        requirements.install([TOOL])
    assert "Fedora" in error.value.hint
    assert error.value.detail == "tool-package: it is a test"
    assert not log.exists()
