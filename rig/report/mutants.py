# SPDX-License-Identifier: GPL-2.0-only
"""The result of a mutation campaign: for each mutant and architecture, which case killed it."""

import statistics

from rig import printable
from rig.campaigns.mutation import Fate, Mutation, Row
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
    for case in dict.fromkeys(kill.case for kill in row.kills):
        kills = [kill for kill in row.kills if kill.case == case]
        tried = len(kills) + row.missed.count(case)
        share = f" {len(kills)}/{tried}" if tried > 1 else ""
        seconds = statistics.median(kill.seconds for kill in kills)
        writes = f", {kills[0].writes:,} writes" if kills[0].writes else ""
        seed = f", seed {row.seed}" if row.seed else ""
        lines.append(f"    {case}{share}{seed}, {seconds:.1f} s{writes}")
        lines += _fold(f"> {kills[0].how.splitlines()[0]}", 6)
    for case in dict.fromkeys(row.missed):
        if all(kill.case != case for kill in row.kills):
            lines.append(f"    {case} did not fail")
    if row.others:
        lines += _fold(f"also failed, not in Killed-By: {', '.join(row.others)}", 4)
    if row.reason:
        lines += _fold(row.reason, 4)
    return lines


def _tally(mutation: Mutation) -> list[str]:
    fates = [row.fate for row in mutation.rows]
    words = [f"{fates.count(fate)} {fate.lower()}" for fate in Fate if fate in fates]
    times = [min(kill.seconds for kill in row.kills) for row in mutation.rows if row.kills]
    if times:
        words.append(f"median {statistics.median(times):.1f} s, longest {max(times):.1f} s")
    return [", ".join(words)]


def _fold(text: str, indent: int = 2) -> list[str]:
    return f"{' ' * indent}{fold(text, indent + 2, indent)}".splitlines()
