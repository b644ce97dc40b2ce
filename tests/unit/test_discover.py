# SPDX-License-Identifier: GPL-2.0-only
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from rig import discover
from rig.errors import ConfigError, InfraError


@dataclass(frozen=True)
class Fruit:
    name: str


Maker = Callable[[dict[str, str]], ModuleType]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maker]:
    """Makes an importable package of the given modules."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(modules: dict[str, str]) -> ModuleType:
        top = tmp_path / "orchard"
        top.mkdir()
        (top / "__init__.py").touch()
        for name, text in modules.items():
            (top / name).parent.mkdir(exist_ok=True)
            (top / name).write_text(text)
        return importlib.import_module("orchard")

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] == "orchard"]:
        del sys.modules[name]


def fruit(name: str) -> str:
    return f"from {__name__} import Fruit\nFRUIT = Fruit({name!r})\n"


def test_modules_and_packages_are_found_by_name(package: Maker) -> None:
    fruits = discover.constants(
        package({"pear.py": fruit("pear"), "plum/__init__.py": fruit("plum")}), "FRUIT", Fruit
    )
    assert fruits == {"pear": Fruit("pear"), "plum": Fruit("plum")}


def test_private_modules_are_left_alone(package: Maker) -> None:
    orchard = package({"pear.py": fruit("pear"), "_tools.py": "raise RuntimeError('imported')\n"})
    assert list(discover.constants(orchard, "FRUIT", Fruit)) == ["pear"]


@pytest.mark.parametrize("text", ["", "FRUIT = 3\n"])
def test_a_module_without_its_constant_is_named(package: Maker, text: str) -> None:
    with pytest.raises(InfraError, match=r"orchard\.pear must define FRUIT = Fruit"):
        discover.constants(package({"pear.py": text}), "FRUIT", Fruit)


def test_a_constant_under_another_name_is_refused(package: Maker) -> None:
    with pytest.raises(InfraError, match=r"orchard\.pear\.FRUIT has the name 'peer'"):
        discover.constants(package({"pear.py": fruit("peer")}), "FRUIT", Fruit)


def test_pick_gives_one_or_the_nearest_names(package: Maker) -> None:
    orchard = package({"pear.py": fruit("pear"), "plum.py": fruit("plum")})
    assert discover.pick(orchard, "FRUIT", Fruit, "plum", "fruit") == Fruit("plum")
    with pytest.raises(ConfigError) as caught:
        discover.pick(orchard, "FRUIT", Fruit, "plumm", "fruit")
    assert caught.value.message == "there is no fruit named 'plumm'"
    assert caught.value.hint == "did you mean plum?"
