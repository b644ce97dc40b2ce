# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from rig.campaigns.fates import CaseFate, Fate, Kill, Row
from rig.campaigns.mutation import Mutation
from rig.kernel import mutant
from rig.report import cases
from rig.shelves import Shelves
from rig.suites import suite

DOCS = Path(__file__).parents[3] / "docs" / "cases.md"
MUTANTS = mutant.load_all(Shelves.default().patches)


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("|", "## "))]


def test_the_document_says_what_the_suites_and_mutants_say() -> None:
    assert rows(DOCS.read_text()) == rows(cases.render(MUTANTS)), "rig list --cases >docs/cases.md"


def test_a_fail_is_shown_in_the_words_of_the_newest_campaign() -> None:
    def campaign(how: str) -> Mutation:
        kill = Kill(how=how, seconds=1, writes=2)
        case = CaseFate(case="stale_tlb/anon_lost_write", fate=Fate.KILLED, guests=1, kills=(kill,))
        row = Row(mutant="m", arch="arm64", fate=Fate.KILLED, cases=(case,))
        return Mutation(label="", origin="", repeat=1, clean=(), rows=(row,))

    output = cases.render(MUTANTS, [campaign("page 3: newer"), campaign("page 4: older")])
    assert "\nanon_lost_write: page 3: newer\n" in output
    assert "older" not in output


@pytest.mark.parametrize(
    "name",
    [f"{entry.name}/{case.name}" for entry in suite.standard().values() for case in entry.cases],
)
def test_every_case_is_proved_by_a_mutant(name: str) -> None:
    assert cases.proofs(MUTANTS, name), "a case counts when a mutant shows that it can fail"
