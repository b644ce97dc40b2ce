# SPDX-License-Identifier: GPL-2.0-only
"""docs/cases.md: every case, the rule it guards, its mutants, and what a FAIL looks like.

Run `rig list --cases >docs/cases.md` after a mutation campaign; tests/unit/report/test_cases.py
compares the two.
"""

from collections.abc import Iterable, Sequence

from rig import printable
from rig.campaigns.fates import Kill
from rig.campaigns.mutation import Mutation
from rig.kernel.mutant import Mutant
from rig.suites import suite as suites
from rig.suites.suite import Case, Suite

INTRODUCTION = """\
<!-- SPDX-License-Identifier: GPL-2.0-only -->
<!-- Written by `rig list --cases` from the suites, the mutants and the newest `rig mutate`. -->
# The cases

Each case guards one rule of the kernel, counts what it did, and is known to fail: each mutant
beside it breaks the rule, and `rig mutate` sees the case FAIL on it.

How pages get reclaimed decides what is tested. Freshly swapped-in folios sit in per-CPU LRU
batches, where MADV_PAGEOUT cannot isolate them; x86 does not flush when it clears the accessed bit,
so busy pages look idle, and arm64 does, so they look busy. A loop that never reclaims anything
passes on any kernel. So every case has floors for its counters, and below one of them the answer is
INCONCLUSIVE.
"""


def render(mutants: Sequence[Mutant], mutations: Sequence[Mutation] = ()) -> str:
    """The page. `mutations`, newest first, have the examples of a FAIL."""
    kills = {
        case.case: kill
        for mutation in reversed(mutations)
        for row in mutation.rows
        for case in reversed(row.cases)
        for kill in reversed(case.kills)
    }
    parts = [INTRODUCTION]
    for suite in suites.standard().values():
        if suite.cases:
            parts.append(printable.page(_suite(suite, mutants, kills)))
    parts += [_on_request(suite) for suite in suites.known().values() if suite.on_request]
    return "\n".join(parts)


def proofs(mutants: Iterable[Mutant], name: str) -> tuple[str, ...]:
    """The mutants whose Killed-By names a case (`suite/case`)."""
    return tuple(mutant.name for mutant in mutants if name in mutant.killed_by)


def _suite(suite: Suite, mutants: Sequence[Mutant], kills: dict[str, Kill]) -> Iterable[str]:
    yield f"## {suite.name}: {suite.summary}"
    yield ""
    yield "| case | the rule, and where it comes from | floors | mutants that prove it |"
    yield "|---|---|---|---|"
    for case in suite.cases:
        proved = ", ".join(f"`{name}`" for name in proofs(mutants, f"{suite.name}/{case.name}"))
        yield f"| `{case.name}` | {_cell(case.guards)} | {_floors(case)} | {proved} |"
    seen = [(case, kills[f"{suite.name}/{case.name}"]) for case in suite.cases
            if f"{suite.name}/{case.name}" in kills]  # fmt: skip
    if seen:
        yield ""
        yield "What a FAIL looks like:"
        yield ""
        yield "```"
        for case, kill in seen:
            yield f"{case.name}: {(kill.how.splitlines() or [''])[0]}"
        yield "```"


def _on_request(suite: Suite) -> str:
    """Only the names of cases from elsewhere: there are no mutants for them."""
    cases = ", ".join(f"`{case.name}`" for case in suite.cases)
    named = f"Run only where `--suite {suite.name}` names it."
    return f"## {suite.name}: {suite.summary}\n\n{named} {cases}.\n"


def _floors(case: Case) -> str:
    return ", ".join(
        f"{floor.counter} {floor.at_least:,}{f' (unless {floor.unless})' if floor.unless else ''}"
        for floor in case.floors
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
