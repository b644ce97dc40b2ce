# SPDX-License-Identifier: GPL-2.0-only
"""The result of a mutation campaign: for each mutant and architecture, which cases killed it."""

import statistics

from rig import printable
from rig.campaigns.fates import CaseFate, Fate, Row
from rig.campaigns.mutation import Mutation
from rig.report.text import fold

COLUMNS = "{:<30} {:<8} {}"


def render(mutation: Mutation, name: str = "") -> str:
    """The clean kernel first: a case that fails there proves nothing about the mutants."""
    lines = [f"{mutation.label}: mutants {mutation.outcome}", f"  {mutation.origin}", ""]
    for arch, suite, case in mutation.clean_failures:
        lines += _fold(f"{case.outcome} on the clean {arch}: {suite}/{case.name}: {case.reason}")
    for result in mutation.clean:
        if result.verdict.outcome.exit_status and not any(suite.cases for suite in result.suites):
            lines += _fold(f"{result.machine.arch}, no mutant on: {result.verdict.reason}")
    if not mutation.clean_failures:
        cases = sum(len(suite.cases) for result in mutation.clean for suite in result.suites)
        lines += [f"no mutant on: {cases} cases, none fails"]
    lines.append("")
    for row in sorted(mutation.rows, key=lambda row: (row.mutant, row.arch)):
        lines += _row(row)
    lines += ["", *_tally(mutation)]
    if name:
        lines += ["", f"rig report {name}"]
    return printable.page(lines)


def _row(row: Row) -> list[str]:
    lines = [COLUMNS.format(row.mutant, row.arch, row.fate)]
    for case in row.cases:
        lines += _case(case)
    if row.others:
        lines += _fold(f"also failed, not in Killed-By: {', '.join(row.others)}", 4)
    if row.reason:
        lines += _fold(row.reason, 4)
    return lines


def _case(case: CaseFate) -> list[str]:
    """In how many guests the case has killed the mutant, and the evidence of the first."""
    if case.fate is Fate.NOT_APPLICABLE:
        return _fold(f"{case.case} was not run: {case.reason}", 4)
    share = f"{len(case.kills)} of {case.guests} {'seed' if case.seeds else 'guest'}"
    share = f"fails in {share}{'s' * (case.guests > 1)}"
    if not case.kills:
        lines = _fold(f"{case.case}: {case.fate.lower()}, {share}", 4)
    else:
        survived = "" if case.fate is Fate.KILLED else f": {case.fate.lower()}"
        seeds = "".join(f", seed {kill.seed}" for kill in case.kills if kill.seed)
        seconds = statistics.median(kill.seconds for kill in case.kills)
        writes = f", {case.kills[0].writes:,} writes" if case.kills[0].writes else ""
        lines = [f"    {case.case}{survived}, {share}{seeds}, {seconds:.1f} s{writes}"]
        lines += _fold(f"> {(case.kills[0].how.splitlines() or [''])[0]}", 6)
    if case.reason:
        lines += _fold(case.reason, 6)
    return lines


def _tally(mutation: Mutation) -> list[str]:
    fates = [row.fate for row in mutation.rows]
    words = [f"{fates.count(fate)} {fate.lower()}" for fate in Fate if fate in fates]
    run = [case for row in mutation.rows for case in row.cases if case.guests]
    if run:
        killing = sum(case.fate is Fate.KILLED for case in run)
        words.append(f"{killing} of {len(run)} named cases fail")
    times = [kill.seconds for row in mutation.rows for kill in row.kills]
    if times:
        words.append(f"median {statistics.median(times):.1f} s, longest {max(times):.1f} s")
    return [", ".join(words)]


def _fold(text: str, indent: int = 2) -> list[str]:
    return f"{' ' * indent}{fold(text, indent + 2, indent)}".splitlines()
