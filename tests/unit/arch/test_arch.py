# SPDX-License-Identifier: GPL-2.0-only
import re
from dataclasses import fields
from pathlib import Path

import pytest

import rig.arch
from rig import arch
from rig.arch import Arch
from rig.errors import ConfigError


def test_the_architectures() -> None:
    assert set(arch.known()) == {"x86_64", "arm64"}


@pytest.mark.parametrize(
    ("name", "found"),
    [("x86_64", "x86_64"), ("amd64", "x86_64"), ("arm64", "arm64"), ("aarch64", "arm64")],
)
def test_names_and_what_else_people_say(name: str, found: str) -> None:
    assert arch.pick(name).name == found


def test_a_name_that_is_none() -> None:
    with pytest.raises(ConfigError, match="no architecture named 'x86_46'") as bad:
        arch.pick("x86_46")
    assert bad.value.hint == "did you mean x86_64?"


def test_no_two_architectures_share_a_name() -> None:
    names = [name for one in arch.known().values() for name in (one.name, *one.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("one", arch.known().values(), ids=arch.known())
def test_every_fact_is_there_and_of_its_form(one: Arch) -> None:
    for field in fields(one):
        if field.name not in ("cmdline", "seeded_cmdline"):
            assert getattr(one, field.name), field.name
    assert one.cross.endswith("-linux-gnu-")
    assert one.image == f"arch/{one.image.split('/')[1]}/boot/{one.target}"
    assert re.search(r"\{cpus\}", one.smp)
    assert sum("{}" in word for word in one.probe) == 1
    directory = Path(rig.arch.__file__).parent
    assert (directory / f"{one.name}.S").is_file(), "its smallest guest"


def test_the_hosts_own_tools_have_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    arm64 = arch.pick("arm64")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert not arm64.is_host()
    assert arm64.tool("gcc") == "aarch64-linux-gnu-gcc"
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert arm64.is_host()
    assert arm64.tool("gcc") == "gcc"


def test_the_tsc_of_an_x86_host_is_said_to_a_tcg_guest() -> None:
    cpuinfo = "processor\t: 0\nbogomips\t: 5192.30\nprocessor\t: 1\nbogomips\t: 1.0\n"
    x86 = arch.pick("x86_64")
    assert x86.tcg_cmdline(cpuinfo) == ("tsc_early_khz=2596150", "lpj=10384600")
    assert x86.tcg_cmdline("BogoMIPS : 50.00\n") == ()
    assert arch.pick("arm64").tcg_cmdline(cpuinfo) == ()
