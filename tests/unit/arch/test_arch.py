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
    assert set(arch.known()) == {"x86_64", "arm64", "riscv64"}
    assert set(arch.standard()) == {"x86_64", "arm64"}, "what is looked at unless others are named"


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        *(("x86_64", "x86_64"), ("amd64", "x86_64"), ("arm64", "arm64"), ("aarch64", "arm64")),
        *(("riscv64", "riscv64"), ("riscv", "riscv64")),
    ],
)
def test_names_and_aliases(name: str, canonical: str) -> None:
    assert arch.pick(name).name == canonical


def test_an_unknown_name() -> None:
    with pytest.raises(ConfigError, match="no architecture named 'x86_46'") as error:
        arch.pick("x86_46")
    assert error.value.hint == "did you mean x86_64?"


def test_no_two_architectures_share_a_name() -> None:
    names = [name for target in arch.known().values() for name in (target.name, *target.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("target", arch.known().values(), ids=arch.known())
def test_every_field_has_a_valid_value(target: Arch) -> None:
    may_be_empty = ("cmdline", "seeded_cmdline", "seeded_options", "deb_instead", "on_request")
    for field in fields(target):
        if field.name not in may_be_empty:
            assert getattr(target, field.name), field.name
    assert target.cross.endswith("-linux-gnu-")
    assert target.image == f"arch/{target.image.split('/')[1]}/boot/{target.target}"
    assert re.search(r"\{cpus\}", target.smp)
    assert not set(target.deb_instead) & set(target.deb_instead.values())
    assert sum("{}" in word for word in target.probe) == 1
    directory = Path(rig.arch.__file__).parent
    assert (directory / f"{target.name}.S").is_file(), "its minimal guest"


def test_the_hosts_own_tools_have_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    arm64 = arch.pick("arm64")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert not arm64.is_host()
    assert arm64.tool("gcc") == "aarch64-linux-gnu-gcc"
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert arm64.is_host()
    assert arm64.tool("gcc") == "gcc"


def test_a_tcg_guest_gets_the_frequency_of_an_x86_hosts_tsc() -> None:
    cpuinfo = "processor\t: 0\nbogomips\t: 5192.30\nprocessor\t: 1\nbogomips\t: 1.0\n"
    x86 = arch.pick("x86_64")
    assert x86.tcg_cmdline(cpuinfo) == ("tsc_early_khz=2596150", "lpj=10384600")
    assert x86.tcg_cmdline("BogoMIPS : 50.00\n") == ()
    assert arch.pick("arm64").tcg_cmdline(cpuinfo) == ()
