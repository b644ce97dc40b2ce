# SPDX-License-Identifier: GPL-2.0-only
"""How many of the default cases a run has run: a PASS of three of thirty must say so."""

import functools
from collections.abc import Sequence

from rig.campaigns.results import RunResult
from rig.suites import suite as suites
from rig.verdict.rules import Outcome

NAMED = 2
"""Up to this many cases are named in a Tested-by."""


@functools.cache
def default() -> frozenset[str]:
    """SUITE/CASE of a run without --suite and --case."""
    return frozenset(suites.case_names(suites.standard().values()))


def not_run(result: RunResult) -> str:
    """`27 of the 30 default cases`; empty if all were run, or none because of the build or boot."""
    if not result.suites:
        return ""
    absent = default() - {
        f"{suite.suite}/{case.name}"
        for suite in result.suites
        for case in suite.cases
        if not case.reason.startswith("not run: ")
    }
    return f"{len(absent)} of the {len(default())} default cases" if absent else ""


def tested(results: Sequence[RunResult]) -> str:
    """The comment of a Tested-by: what passed in every result; empty for all default cases."""
    passed = frozenset.intersection(*map(_passed, results)) if results else frozenset()
    if default() <= passed:
        return ""
    if len(passed) <= NAMED:
        return f" # only {', '.join(sorted(passed))}"
    return f" # {len(passed)} of {len(default() | passed)} cases"


def _passed(result: RunResult) -> frozenset[str]:
    return frozenset(
        f"{suite.suite}/{case.name}"
        for suite in result.suites
        for case in suite.cases
        if case.outcome is Outcome.PASS
    )
