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
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("  "):
            found[title].append(line.strip())  # noqa: F821 (a title comes first)
        else:
            title = line
            found[title] = []
    return found


def test_everything_that_can_be_named_is_listed() -> None:
    here = Shelves.default()
    assert here.patches == TOP / "patches"
    found = sections(shelves.render(here))
    assert found["bases"][0].startswith("v6.12 (default)")
    assert [line.split("@")[0] for line in found["series"]] == list(model.names(here.patches))
    assert "batch-dirty-tlb-flush@v1 batch-dirty-tlb-flush@v2" in found["series"]
    assert found["architectures"] == list(arch.known())
    assert {"base", "debug"} <= set(found["flavours"])
    assert found["mutants"] == [one.name for one in mutant.load_all(here.patches)]
    cases = [f"{one.name}/{case.name}" for one in suite.standard().values() for case in one.cases]
    assert found["cases"] == cases
    (rest,) = [found[title] for title in found if title.startswith("cases of suites that run only")]
    others = [one for one in suite.known().values() if one.on_request]
    assert rest == [f"{one.name}/{case.name}" for one in others for case in one.cases] != []


def test_empty_shelves_are_no_trouble(tmp_path: Path) -> None:
    empty = Shelves(kconfigs=tmp_path, patches=tmp_path, images=tmp_path)
    found = sections(shelves.render(empty))
    assert found["series"] == found["mutants"] == found["flavours"] == []
