# SPDX-License-Identifier: GPL-2.0-only
"""The report of a stored campaign of many runs: `rig mutate`, `rig bench`, `rig bisect`."""

from dataclasses import dataclass
from pathlib import Path

from rig.campaigns import bisection, compare, mutation
from rig.report import bisect, comparison, mutants
from rig.verdict.rules import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    file: Path
    """Its stored result."""
    text: str
    outcome: Outcome


def load(directory: Path) -> Campaign | None:
    """None for a `rig run`, whose results are all there is."""
    name = directory.name
    if mutated := mutation.load(directory):
        text, outcome = mutants.render(mutated, name), mutated.outcome
        return Campaign(file=directory / mutation.FILE, text=text, outcome=outcome)
    if compared := compare.load(directory):
        text = comparison.render(compared, name)
        worst = Outcome.worst(entry.outcome for entry in compared)
        return Campaign(file=directory / compare.FILE, text=text, outcome=worst)
    if bisected := bisection.load(directory):
        text, outcome = bisect.render(bisected, name), bisected.outcome
        return Campaign(file=directory / bisection.FILE, text=text, outcome=outcome)
    return None
