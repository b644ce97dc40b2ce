# SPDX-License-Identifier: GPL-2.0-only
"""What changed in one night: the findings of all lines, each with its share of false alarms."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rig.history import chance, changes, queries
from rig.history.changes import FALSE_ALARMS, Cell, Finding, Kind
from rig.history.queries import Line, Selected, Series

LOOK_BACK = chance.REFERENCE + max(chance.VALUE_WINDOWS) + changes.RECENT
"""Nights of numbers that are read: what is compared, and whether it was told before."""
NEWEST = 8
"""The last nights: a suite that was not run in them does not miss a case, and a counter that is not
lower in them does not drift."""
METRICS = 3
"""At most this many metrics of a benchmark are told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    tree: str
    source: str
    setup: str
    name: str
    """suite/case, a mutant, or a benchmark."""
    mutant: str = ""
    finding: Finding


def changed(
    connection: sqlite3.Connection, night: str = "", selected: Selected | None = None
) -> tuple[Change, ...]:
    """What is to be said of a night, the newest by default: new things first, worse things first.

    Lines that were not run in that night have no change, unless they are missed.
    """
    nights = [name for name in queries.nights(connection) if not night or name <= night]
    if not nights or (night and nights[-1] != night):
        return ()
    chosen, last = selected or Selected(), nights[-1]
    since = nights[max(0, len(nights) - LOOK_BACK)]
    recent = nights[-NEWEST:]
    # Some of the others, spread over those that are compared with.
    before = nights[max(0, len(nights) - LOOK_BACK) : -NEWEST]
    before = before[:: max(1, len(before) // (2 * NEWEST))]
    only = queries.falling(connection, recent, before)
    return judged(
        last,
        queries.lines(connection, chosen, last, recent=recent[0]),
        queries.mutants(connection, chosen, last),
        queries.evidence(connection, chosen, since, last, only=only),
        queries.benches(connection, chosen, since, last),
        _whole(connection, last),
        queries.margins(connection, last),
    )


def judged(
    night: str,
    lines: Sequence[Line],
    mutants: Sequence[Line] = (),
    evidence: Sequence[Series] = (),
    benches: Sequence[Series] = (),
    whole: frozenset["Group"] = frozenset(),
    counters: int = 0,
) -> tuple[Change, ...]:
    """The changes of the night, which is the last of these lines.

    `whole`: the suites of runs that --case did not narrow. `counters`: how many had a floor that
    night, of which `evidence` may be only those that fall.
    """
    found = [
        *_cases(lines, night, whole),
        *_mutants(mutants, night),
        *_drifts(evidence, night, counters),
        *_benches(benches, night),
    ]
    order = list(Kind)
    return tuple(sorted(found, key=lambda change: (
        not change.finding.new, order.index(change.finding.kind), change.tree, change.setup,
        change.name,
    )))  # fmt: skip


Group = tuple[str, str, str, str, str]
"""Tree, its source, setup, mutant and suite."""


def _whole(connection: sqlite3.Connection, night: str) -> frozenset[Group]:
    """The suites of runs that --case did not narrow. Other runs of the same kernel may have been
    narrowed: each benchmark has a run of its own."""
    return frozenset(connection.execute(
        "SELECT DISTINCT tree.label, source, setup.label, line.mutant, suite FROM run"
        " JOIN tree ON tree.id = run.tree JOIN setup ON setup.id = run.setup"
        " JOIN night ON night.id = run.night JOIN result ON result.run = run.id"
        " JOIN line ON line.id = result.line WHERE night.name = ? AND NOT selected", (night,)
    ))  # fmt: skip


def _group(line: Line) -> Group:
    return line.tree, line.source, line.setup, line.mutant, line.name.partition("/")[0]


def _cases(lines: Sequence[Line], night: str, whole: frozenset[Group]) -> Iterator[Change]:
    suites: dict[Group, list[Line]] = {}
    for line in lines:
        suites.setdefault(_group(line), []).append(line)
    ran = [line for line in lines if line.cells[-1].night == night]
    level = FALSE_ALARMS["rate"] / max(1, sum(changes.wavers(line.cells) for line in ran))
    for group, members in suites.items():
        now = [line for line in members if line.cells[-1].night == night]
        earlier = {cell.night for line in members for cell in line.cells} - {night}
        last = max(earlier, default="")
        then = [line for line in members if any(cell.night == last for cell in line.cells)]
        # Half a suite may be a selection of cases, and tells nothing about the others.
        both = [line for line in now if line in then]
        appears = 2 * len(both) >= len(now) > 0
        for line in now:
            found = changes.outcome(line.cells, level, appeared=appears)
            if found and not _consequence(line.cells[-1]):
                yield _change(line, line.name, found)
        if group in whole and 2 * len(both) >= len(then) and now:
            for line in then:
                if line not in now:
                    yield _change(line, line.name, _gone(line))


def _consequence(cell: Cell) -> bool:
    """A case that was not run, because the guest was lost. What lost it has a line of its own."""
    return not cell.decided and cell.reason.startswith("not run: ")


def _gone(line: Line) -> Finding:
    last = line.cells[-1]
    return Finding(kind=Kind.DISAPPEARED, new=True, since=last, before=None,
                   text=f"last run in {last.night}")  # fmt: skip


def _mutants(lines: Iterable[Line], night: str) -> Iterator[Change]:
    for line in lines:
        if line.cells[-1].night == night and (found := changes.mutant(line.cells)):
            yield _change(line, line.name, found)


def _drifts(series: Sequence[Series], night: str, counters: int) -> Iterator[Change]:
    ran = [one for one in series if one.points[-1].night == night]
    level = FALSE_ALARMS["evidence"] / max(1, len(ran), counters)
    for one in ran:
        if found := changes.evidence(one.number, one.points, level):
            yield _change(one, one.name, found)


def _benches(series: Sequence[Series], night: str) -> Iterator[Change]:
    """A change for each benchmark: its metrics often move together."""
    ran = [one for one in series if one.points[-1].night == night]
    level = FALSE_ALARMS["bench"] / max(1, sum(not one.seeded for one in ran))
    for _, group in groupby(ran, lambda one: (one.tree, one.source, one.setup, one.name)):
        found = [
            (one, finding)
            for one in group
            if (finding := _exact(one) if one.seeded else changes.bench(one.points, level))
        ]
        if found:
            found.sort(key=lambda pair: pair[1].size, reverse=True)
            texts = [f"{one.number} {finding.text}" for one, finding in found]
            more = f"; and {len(texts) - METRICS} more metrics" * (len(texts) > METRICS)
            one, finding = found[0]
            text = "; ".join(texts[:METRICS]) + more + f" ({finding.note})" * bool(finding.note)
            yield _change(one, one.name, replace(finding, text=text))


def _exact(series: Series) -> Finding | None:
    """Against the last night that had one of the same seeds."""
    *earlier, (_, now) = series.by_seed
    same = (values for _, values in reversed(earlier) if values.keys() & now.keys())
    old = next(same, None)
    return changes.exact(old, now) if old else None


def _change(line: Line | Series, name: str, finding: Finding) -> Change:
    return Change(
        tree=line.tree, source=line.source, setup=line.setup, name=name, finding=finding,
        mutant=line.mutant if isinstance(line, Line) else "",
    )  # fmt: skip
