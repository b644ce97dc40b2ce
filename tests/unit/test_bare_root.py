# SPDX-License-Identifier: GPL-2.0-only
"""What `.ci/bare-root` takes from the host, and what it does not.

Making and entering the root needs Debian's archive and root privileges; `.ci/run` tests that.
"""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / ".ci" / "bare-root"

APT = """#!/bin/sh
echo 'Debian bookworm http://d.example/debian/'
echo 'Debian bookworm-security http://s.example/debian-security/'
echo 'Debian bookworm-updates http://d.example/debian/'
echo 'Vendor nodistro http://v.example/'
"""


def call(line: str, tmp_path: Path, **environment: str) -> str:
    """The output of a line of bash that may call the script's functions."""
    path = f"{tmp_path / 'bin'}:{os.defpath}"
    result = subprocess.run(
        ["bash", "-c", f'. "$1"; {line}', "bash", SCRIPT],
        env={"PATH": path, "HOME": str(tmp_path), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def apt(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "apt-get").write_text(APT)
    (tmp_path / "bin" / "apt-get").chmod(0o755)


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_a_release_comes_from_the_hosts_mirrors(release: str, apt: None, tmp_path: Path) -> None:
    lines = call("sources", tmp_path, RIG_CI_RELEASE=release).splitlines()
    signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert lines == [
        f"deb {signed} http://d.example/debian/ {release} main",
        f"deb {signed} http://d.example/debian/ {release}-updates main",
        f"deb {signed} http://s.example/debian-security/ {release}-security main",
    ]


def test_pip_gets_the_indexes_and_no_path_of_the_hosts_disk(tmp_path: Path) -> None:
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://i.example/simple\n"
        "extra-index-url = file:///opt/a https://e.example/simple file:///opt/b\n"
        "constraint = /etc/xdg/pip/constraints.txt\nfind-links = /opt/wheels\n"
        "trusted-host = i.example\n"
    )
    lines = call("pip_configuration", tmp_path).splitlines()
    assert lines[0] == "[global]"
    assert {"index-url = https://i.example/simple", "trusted-host = i.example"} <= set(lines)
    (extra,) = (line.split() for line in lines if line.startswith("extra"))
    assert extra == ["extra-index-url", "=", "https://e.example/simple"]
    assert not [line for line in lines if "/opt" in line or "/etc" in line]


def test_the_root_gets_the_variables_that_are_useful_there(tmp_path: Path) -> None:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "ca.crt").touch()
    variables = call(
        f"root={tmp_path}/root store=/s cache=/s/ci; choose_environment;"
        " printf '%s\\n' \"${environment[@]}\"",
        tmp_path,
        CI="true",
        RIG_PATIENCE="2",
        RIG_STORE="/elsewhere",
        PIP_FIND_LINKS="/opt/wheels",
        PIP_EXTRA_INDEX_URL="https://e.example file:///opt/a",
        PIP_INDEX_URL="https://i.example/simple",
        SSL_CERT_FILE="/etc/ca.crt",
        REQUESTS_CA_BUNDLE="/etc/not-there.crt",
        https_proxy="http://p.example:3128",
        SOME_TOKEN="secret",
        PYTHONPATH="/elsewhere",
    ).splitlines()
    fixed = {name: value for name, _, value in (line.partition("=") for line in variables[:6])}
    assert list(fixed) == ["PATH", "HOME", "LANG", "TERM", "RIG_STORE", "PIP_CACHE_DIR"]
    assert (fixed["HOME"], fixed["RIG_STORE"]) == ("/root", "/s")
    assert sorted(variables[6:]) == [
        "CI=true",
        "PIP_INDEX_URL=https://i.example/simple",
        "RIG_PATIENCE=2",
        "SSL_CERT_FILE=/etc/ca.crt",
        "https_proxy=http://p.example:3128",
    ]


@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), ([], 2), (["--"], 2)])
def test_usage(words: list[str], status: int) -> None:
    result = subprocess.run(
        [SCRIPT, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert result.returncode == status
    assert "usage: .ci/bare-root" in (result.stderr if status else result.stdout)
