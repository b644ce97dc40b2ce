# SPDX-License-Identifier: GPL-2.0-only
"""pyproject.toml: what is imported is declared, and the lower bounds are those that are tested."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

from rig import log, shelves
from rig.errors import ConfigError, needs_extra
from rig.shelves import Shelves

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
EXTRA = PROJECT["optional-dependencies"]
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)>=(?P<low>[\d.]+)(,<[\d.]+)?")
MODULES = {"qemu": "qemu.qmp"}
"""Module -> distribution, where the names differ."""


def lowest(requirements: list[str]) -> dict[str, str]:
    matches = [REQUIREMENT.fullmatch(requirement) for requirement in requirements]
    assert all(matches), f"without a lower bound: {requirements}"
    return {match["name"]: match["low"] for match in matches if match}


def imported() -> set[str]:
    names = set()
    for path in (TOP / "rig").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return {MODULES.get(name, name) for name in names - {*sys.stdlib_module_names, "rig"}}


def test_whatever_is_imported_is_declared_and_the_other_way_round() -> None:
    declared = {*lowest(PROJECT["dependencies"]), *lowest(EXTRA["bench"])}
    assert imported() == declared


def test_the_lowest_versions_are_those_that_are_tested() -> None:
    pinned = dict(
        line.split("==")
        for line in (TOP / ".ci" / "lowest.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    declared = {**lowest(PROJECT["dependencies"]), **lowest(EXTRA["bench"])}
    assert set(pinned) == set(declared)
    for name, low in declared.items():
        padded = f"{low}.0" if low.count(".") == 1 else low
        assert pinned[name] == padded, name


def test_extras_are_installed_by_the_projects_own_name() -> None:
    """`pip install rig` is another project."""
    with pytest.raises(ConfigError) as error, needs_extra("bench"):
        raise ImportError(name="scipy")
    assert "'.[bench]'" in error.value.hint
    for path in (TOP / "rig").rglob("*.py"):
        assert "pip install rig" not in path.read_text().replace("'", ""), path


def test_the_package_has_its_types_and_says_what_it_is() -> None:
    assert (TOP / "rig" / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert importlib.metadata.version("mm-rig") == PROJECT["version"]


# Whose patches/ it is


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in site-packages; returns the user's data directory."""
    package = tmp_path / "site-packages" / "rig"
    data = package / "_data"
    (data / "kconfigs").mkdir(parents=True)
    for name in ("batch/v1.mbx", "mutants/flush.cocci"):
        (data / "patches" / name).parent.mkdir(parents=True)
        (data / "patches" / name).write_text("packaged")
    monkeypatch.setattr(shelves, "__file__", str(package / "shelves.py"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("RIG_PATCHES", raising=False)
    return tmp_path / "data"


def test_an_installed_rig_keeps_series_in_the_users_data_directory(installed: Path) -> None:
    own = installed / "rig" / "patches"
    assert Shelves.default().patches == own
    assert (own / "batch" / "v1.mbx").read_text() == "packaged"
    (own / "batch" / "v2.mbx").write_text("mine")
    (own / "batch" / "v1.mbx").write_text("mine")
    (own / "mutants" / "flush.cocci").write_text("old")
    (own / "mutants" / "mine.cocci").write_text("mine")
    Shelves.default()
    assert (own / "batch" / "v1.mbx").read_text() == "mine", "nothing is overwritten"
    assert (own / "mutants" / "flush.cocci").read_text() == "packaged", "they are the package's"
    assert (own / "mutants" / "mine.cocci").read_text() == "mine"
    assert sorted(path.name for path in own.iterdir()) == ["batch", "mutants"]


def test_a_data_directory_that_cannot_be_made_leaves_the_packages_own(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.write_text("a file")
    assert Shelves.default().patches.parent.name == "_data"


def test_the_user_can_name_another(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RIG_PATCHES", str(tmp_path / "mine"))
    assert Shelves.default().patches == tmp_path / "mine"
    (tmp_path / "mine" / "mutants" / "flush.cocci").write_text("edited")
    Shelves.default()
    assert (tmp_path / "mine" / "mutants" / "flush.cocci").read_text() == "edited"


@pytest.mark.parametrize("wrong", ["gone/mine", "file", "file/mine"])
def test_a_mistyped_directory_is_not_replaced_by_the_packages_own(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RIG_PATCHES", str(tmp_path / wrong))
    with pytest.raises(ConfigError, match="RIG_PATCHES is "):
        Shelves.default()
    assert not (tmp_path / "gone").exists()


def test_a_new_directory_is_made_with_a_note(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, events: list[log.Event]
) -> None:
    monkeypatch.setenv("RIG_PATCHES", str(tmp_path / "mine"))
    Shelves.default()
    Shelves.default()
    notes = [event.text for event in events if event.kind == "note"]
    assert notes == [f"making {tmp_path / 'mine'}, which RIG_PATCHES names"]


def test_a_checkout_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIG_PATCHES", raising=False)
    assert Shelves.default().patches == TOP / "patches"
