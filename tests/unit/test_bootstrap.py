# SPDX-License-Identifier: GPL-2.0-only
"""`bootstrap` on fake machines: a PATH with a few programs, and a fake Python."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent.parent

# Programs of a minimal Debian that bash scripts and the fakes need.
ESSENTIAL = (
    "bash",
    "cat",
    "chmod",
    "cp",
    "dirname",
    "dpkg",
    "env",
    "flock",
    "mkdir",
    "rm",
    "sed",
    "sh",
    "sha256sum",
)

PYTHON = """#!/bin/sh
[ {version} = none ] && {{ echo "pyenv: $0: command not found" >&2; exit 127; }}
case "$*" in
*version_info\\ \\<*) least=${{2##*(3, }}; [ {version} -ge "${{least%%)*}}" ] ;;
*ensurepip*) [ {venv} = yes ] ;;
*print*) echo 3.{version} ;;
--version) echo "Python 3.{version}.1" ;;
"-m venv --clear .venv")
	echo "venv by ${{0##*/}}" >>"$LOG"
	mkdir -p .venv/bin && cp "$0" .venv/bin/python
	for program in pip rig tox; do
		printf '#!/bin/sh\\necho "%s $*" >>"$LOG"\\n' $program >.venv/bin/$program
		chmod +x .venv/bin/$program
	done ;;
"-m pip install "*)
	echo "pip ${{*##*version-check }}" >>"$LOG"
	echo "WARNING: Location 'file:///nowhere' is ignored" >&2
	[ -z "$PIP_FAILS" ] ;;
esac
"""
APT = """#!/bin/sh
echo "apt-get $*" >>"$LOG"
echo "Selecting previously unselected package"
case "$*" in *install*) cp "{offered}" "{bin}/python3" ;; esac
"""
APT_CACHE = """#!/bin/sh
printf 'Package: python3\\nVersion: %s\\n' "{version}"
"""
SUDO = """#!/bin/sh
[ "$1 $2" = "-n --" ] || exit 1
shift 2
echo "sudo $1" >>"$LOG"
exec "$@"
"""

PIP_INSTALL = "pip --use-pep517 --editable .[dev]"
DOCTOR = "rig doctor --fix"
EVERY = f"{DOCTOR} --arch all"


@dataclass(frozen=True)
class Machine:
    root: Path

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    def program(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def python(self, name: str = "python3", *, version: str = "11", venv: str = "yes") -> None:
        self.program(name, PYTHON.format(version=version, venv=venv))

    def apt(self, *, offers: str) -> None:
        offered = self.root / "offered"
        offered.write_text(PYTHON.format(version=offers, venv="yes"))
        offered.chmod(0o755)
        self.program("apt-get", APT.format(offered=offered, bin=self.root / "bin"))
        self.program("apt-cache", APT_CACHE.format(version=f"3.{offers}.2-1+b1"))

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "bootstrap", *arguments],
            cwd=self.root,
            env={"PATH": str(self.root / "bin"), "LOG": str(self.root / "log"), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def log(self) -> list[str]:
        """The programs that were started since the last call."""
        path = self.root / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.rstrip() for line in lines]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    (tmp_path / "checkout").mkdir()
    text = (TOP / "bootstrap").read_text().replace("/usr/bin/python3", str(tmp_path / "usr-python"))
    (tmp_path / "checkout" / "bootstrap").write_text(text)
    (tmp_path / "checkout" / "bootstrap").chmod(0o755)
    (tmp_path / "checkout" / "pyproject.toml").write_text("[project]\n")
    for name in ESSENTIAL:
        executable = shutil.which(name, path=os.defpath)
        assert executable, name
        (tmp_path / "bin" / name).symlink_to(executable)
    machine = Machine(tmp_path)
    machine.program("sudo", SUDO)
    return machine


def test_demo_runs_the_main_job_and_is_quick_the_second_time(machine: Machine) -> None:
    machine.python()
    assert machine.run("demo").returncode == 0
    cases = "anon_lost_write,anon_roundtrip,old_or_zero_redirty_kept"
    job = f"rig run batch-dirty-tlb-flush@v2 --arch x86_64,arm64 --case {cases}"
    assert machine.log() == ["venv by python3", PIP_INSTALL, DOCTOR, job]
    (machine.root / "bin" / "python3").unlink()  # it is not needed any more
    assert machine.run("demo", "--json", "out").returncode == 0
    assert machine.log() == [DOCTOR, f"{job} --json out"]


def test_each_step_that_works_prints_one_line(machine: Machine) -> None:
    machine.apt(offers="11")
    result = machine.run("test")
    assert result.returncode == 0
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "bootstrap: fetching the package lists",
        "bootstrap: python3 and its venv module are missing; the rig needs them",
        "bootstrap: installing python3 python3-venv by apt",
        "bootstrap: making .venv with Python 3.11.1",
        "bootstrap: installing the rig and its Python dependencies into .venv",
    ]


def test_test_runs_tox_with_the_arguments(machine: Machine) -> None:
    machine.python()
    assert machine.run("test", "-e", "unit").returncode == 0
    assert machine.log()[-2:] == [EVERY, "tox -e unit"]


def test_a_changed_pyproject_is_installed_into_the_same_venv(machine: Machine) -> None:
    machine.python()
    machine.run("test")
    (machine.checkout / "pyproject.toml").write_text("[project]\ndependencies = []\n")
    machine.log()
    machine.run("test")
    assert machine.log() == [PIP_INSTALL, EVERY, "tox"]


def test_an_installation_that_failed_is_done_again(machine: Machine) -> None:
    machine.python()
    failed = machine.run("test", PIP_FAILS="1")
    assert failed.returncode == 3
    assert "pip could not install the rig" in failed.stderr
    assert "WARNING: Location 'file:///nowhere' is ignored" in failed.stderr
    assert EVERY not in machine.log()
    assert machine.run("test").returncode == 0
    assert machine.log() == [PIP_INSTALL, EVERY, "tox"]


def test_a_failed_change_that_was_reverted_is_installed_again(machine: Machine) -> None:
    machine.python()
    machine.run("test")
    pyproject = machine.checkout / "pyproject.toml"
    before = pyproject.read_text()
    pyproject.write_text("[project]\ndependencies = ['nonesuch']\n")
    assert machine.run("test", PIP_FAILS="1").returncode == 3
    pyproject.write_text(before)
    machine.log()
    machine.run("test")
    assert machine.log() == [PIP_INSTALL, EVERY, "tox"]


def test_a_checkout_that_moved_gets_a_new_venv(machine: Machine) -> None:
    machine.python()
    machine.run("test")
    moved = machine.root / "elsewhere"
    machine.checkout.rename(moved)
    machine.checkout.symlink_to(moved)
    machine.log()
    machine.run("test")
    assert machine.log() == ["venv by python3", PIP_INSTALL, EVERY, "tox"]


def test_bootstrap_stops_with_the_status_of_a_failed_doctor(machine: Machine) -> None:
    machine.python()
    machine.run("test")
    (machine.checkout / ".venv/bin/rig").write_text("#!/bin/sh\nexit 3\n")
    machine.log()
    assert machine.run("test").returncode == 3
    assert machine.log() == []


def test_a_newer_python_beside_an_old_one_is_found(machine: Machine) -> None:
    machine.python(version="9")
    machine.python("python3.13", version="none")  # pyenv's shim of a version that is not installed
    machine.python("python3.12", version="12")
    assert machine.run("test").returncode == 0
    assert machine.log()[0] == "venv by python3.12"


def test_a_python_with_venv_is_preferred(machine: Machine) -> None:
    machine.python(venv="no")
    machine.python("python3.12", version="12")
    assert machine.run("test").returncode == 0
    assert machine.log()[0] == "venv by python3.12"


def test_a_python_that_is_too_old_is_an_error(machine: Machine) -> None:
    machine.python(version="10")
    result = machine.run("test")
    assert result.returncode == 3
    assert "needs python3 >= 3.11; found: Python 3.10.1" in result.stderr
    assert machine.log() == []


def test_a_missing_python_is_installed_by_apt(machine: Machine) -> None:
    machine.apt(offers="11")
    result = machine.run("test")
    assert result.returncode == 0, result.stderr
    assert "python3 and its venv module are missing" in result.stderr
    log = [line for line in machine.log() if not line.startswith("sudo")]
    assert log[0].startswith("apt-get update")
    assert log[1].startswith("apt-get install") and log[1].endswith(" python3 python3-venv")
    assert log[2:] == ["venv by python3", PIP_INSTALL, EVERY, "tox"]


def test_a_missing_venv_module_is_installed_by_apt(machine: Machine) -> None:
    machine.python(venv="no")
    machine.apt(offers="11")
    result = machine.run("test")
    assert result.returncode == 0, result.stderr
    assert "the venv module of python3 is missing" in result.stderr
    log = [line for line in machine.log() if not line.startswith("sudo")]
    assert log[1].startswith("apt-get install") and log[1].endswith(" python3.11-venv")


def test_a_python_package_that_is_too_old_is_not_installed(machine: Machine) -> None:
    machine.apt(offers="10")
    result = machine.run("test")
    assert result.returncode == 3
    assert "needs python3 >= 3.11; found: python3 3.10.2-1+b1" in result.stderr
    assert not [line for line in machine.log() if "install" in line]


def test_without_apt_the_requirement_is_named(machine: Machine) -> None:
    result = machine.run("test")
    assert result.returncode == 3
    assert "python3 >= 3.11 or its venv module is not installed" in result.stderr


def test_sudo_does_not_ask_without_a_terminal(machine: Machine) -> None:
    bootstrap = machine.checkout / "bootstrap"
    assert "((EUID == 0))" in bootstrap.read_text()
    bootstrap.write_text(bootstrap.read_text().replace("((EUID == 0))", "false"))
    machine.apt(offers="11")
    assert machine.run("test").returncode == 0
    assert "sudo env" in machine.log()
    (machine.root / "bin" / "sudo").unlink()
    (machine.root / "bin" / "python3").unlink()
    shutil.rmtree(machine.checkout / ".venv")
    result = machine.run("test")
    assert result.returncode == 3
    assert "this command needs root: apt-get update" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status"), [((), 2), (("dmeo",), 2), (("--help",), 0), (("-h",), 0)]
)
def test_usage(machine: Machine, arguments: tuple[str, ...], status: int) -> None:
    result = machine.run(*arguments)
    assert result.returncode == status
    assert "usage: ./bootstrap demo" in (result.stderr if status else result.stdout)
    assert machine.log() == []


def test_a_long_time_is_reported(machine: Machine) -> None:
    machine.python()
    lines = machine.run("test", SECONDS="70").stderr.splitlines()
    assert lines[-1].startswith("bootstrap: ready after 7")
    assert machine.run("test").stderr == ""


def test_ci_calls_exactly_bootstrap_test_in_a_bare_root(machine: Machine) -> None:
    ci = machine.checkout / ".ci"
    ci.mkdir()
    shutil.copy(TOP / ".ci" / "run", ci)
    (ci / "bare-root").write_text('#!/bin/sh\necho "$0 $*" >>"$LOG"\nexit 4\n')
    (ci / "bare-root").chmod(0o755)
    result = subprocess.run(
        ["bash", ci / "run"],
        cwd="/",
        env={"PATH": str(machine.root / "bin"), "LOG": str(machine.root / "log")},
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert result.returncode == 4
    (command,) = machine.log()
    assert command.endswith("/.ci/bare-root -- ./bootstrap test")
