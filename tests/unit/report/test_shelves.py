# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

from rig import arch
from rig.kernel import mutant
from rig.report import shelves
from rig.series import model
from rig.shelves import Shelves
from rig.suites import suite

TOP = Path(__file__).parents[3]


def sections(text: str) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("  "):
            listed[title].append(line.strip())  # noqa: F821 (a title comes first)
        else:
            title = line
            listed[title] = []
    return listed


def test_everything_that_can_be_named_is_listed() -> None:
    here = Shelves.default()
    assert here.patches == TOP / "patches"
    listed = sections(shelves.render(here))
    assert listed["bases"][0].startswith("v6.12 (default)")
    assert [line.split("@")[0] for line in listed["series"]] == list(model.names(here.patches))
    assert "batch-dirty-tlb-flush@v1 batch-dirty-tlb-flush@v2" in listed["series"]
    assert listed["architectures"] == list(arch.known())
    assert {"base", "debug"} <= set(listed["flavours"])
    assert listed["mutants"] == [entry.name for entry in mutant.load_all(here.patches)]
    cases = [
        f"{entry.name}/{case.name}" for entry in suite.standard().values() for case in entry.cases
    ]
    assert listed["cases"] == cases
    (rest,) = [
        listed[title] for title in listed if title.startswith("cases of suites that run only")
    ]
    others = [entry for entry in suite.known().values() if entry.on_request]
    assert rest == [f"{entry.name}/{case.name}" for entry in others for case in entry.cases] != []


def test_empty_shelves_are_no_trouble(tmp_path: Path) -> None:
    empty = Shelves(kconfigs=tmp_path, patches=tmp_path, images=tmp_path)
    listed = sections(shelves.render(empty))
    assert listed["series"] == listed["mutants"] == listed["flavours"] == []
