# SPDX-License-Identifier: GPL-2.0-only
"""What the pages of a site show of a line, of many lines, and of a change; and their URLs."""

import hashlib
import re
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from rig.history.changes import Cell
from rig.history.night import Change
from rig.history.queries import Line, Series
from rig.report import chart
from rig.report.evidence import Marked
from rig.report.history import Place, place_of
from rig.verdict.rules import Outcome

RUNS = "runs"
"""The directory of the pages of runs."""
NIGHTS, FEW = 120, 14
"""Nights of a chart, and of the small charts in the tables."""
CURVES = 3
"""Counters of a case that are drawn: those that came nearest to their floors."""
BAD = 5
"""Nights of a case that did not pass, and are listed."""
SAFE = re.compile(r"[^A-Za-z0-9@._-]+")
NAME_MAX = 80

T = TypeVar("T", Line, Series)
V = TypeVar("V")
K = TypeVar("K")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A line in one place, as a page shows it."""

    name: str
    tree: str
    setup: str
    outcome: str
    night: str
    """Of the outcome: the last in which it was run."""
    counts: str
    url: str
    chart: Marked
    bad: tuple[tuple[str, str, str], ...] = ()
    """Night, reason and URL of its last runs that did not pass."""
    curves: tuple[tuple[str, Marked], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """Many lines in one cell: `29 passed, 1 failed`."""

    outcome: str
    text: str
    night: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """All that the pages are made from."""

    nights: tuple[str, ...]
    lines: tuple[Line, ...]
    mutants: tuple[Line, ...]
    evidence: tuple[Series, ...]
    benches: tuple[Series, ...]
    changes: tuple[Change, ...]
    runs: frozenset[str]
    """Names of the runs that have a page."""

    def link(self, path: str, up: str = "../") -> str:
        """The URL of the page of a run, from its directory in the store; empty without a page."""
        kind, _, rest = path.partition("/")
        name = rest.partition("/")[0]
        if kind != "runs" or name not in self.runs:
            return ""
        return f"{up}{RUNS}/{urllib.parse.quote(name)}.html"

    @property
    def shown(self) -> tuple[str, ...]:
        return self.nights[-NIGHTS:]


def slug(name: str) -> str:
    """A file's name: SUITE--CASE; a part of the digest is in it if other characters are changed."""
    plain = name.replace("/", "--", 1)
    safe = SAFE.sub("-", plain).strip("-.")[:NAME_MAX]
    if name and safe == plain and "--" not in name:
        return safe
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:10]
    return f"{safe or 'x'}-{digest}"


def tree_slug(tree: str, source: str) -> str:
    return slug(f"{tree}\n{source}" if source else tree)


def changed(site: Site, change: Change) -> dict[str, str]:
    finding = change.finding
    old, new = finding.commits
    kind = "benches" if finding.kind.name == "BENCH" else "cases"
    if "/" not in change.name and kind == "cases":
        kind = "mutants"
    return {
        "kind": finding.kind.value,
        "name": f"{change.name} (instrumented)" if change.mutant else change.name,
        "url": f"{kind}/{slug(change.name)}.html",
        "tree": change.tree,
        "tree_url": f"trees/{tree_slug(change.tree, change.source)}.html",
        "setup": change.setup,
        "since": finding.since.night,
        "text": finding.text,
        "commits": f"{old[:12]}..{new[:12]}" if old and new and old != new else "",
        "run": site.link(finding.since.path, ""),
        "worse": "1" if finding.kind.worse else "",
    }


def by_kind(changes: Sequence[dict[str, str]]) -> list[tuple[str, list[dict[str, str]]]]:
    return [(kind, list(group)) for kind, group in groupby(changes, lambda one: one["kind"])]


def told(site: Site, line: Line, evidence: Sequence[Series] = (), *, few: bool = False) -> Told:
    last, every = line.cells[-1], site.shown[-FEW:] if few else site.shown
    passed, runs = (sum(getattr(cell, name) for cell in line.cells) for name in ("passed", "runs"))
    counts = f"{passed:,} of {runs:,} runs passed" if runs else last.other
    label = f"{line.name} on {line.tree}, {line.setup}: {counts}"
    height = 14 if few else chart.HEIGHT
    bad = [cell for cell in line.cells if cell.failed or not cell.passed]
    nearest = sorted(evidence, key=lambda series: series.lowest)[:CURVES]
    return Told(
        name=line.name,
        tree=f"{line.tree} of {line.source}" if line.source else line.tree,
        setup=line.setup,
        outcome=state(last),
        night=last.night,
        counts=counts,
        url=site.link(last.path),
        chart=chart.bars(line.cells, every, label, site.link, height=height),
        bad=tuple(
            (cell.night, cell.reason or cell.other, site.link(cell.path))
            for cell in reversed(bad[-BAD:])
        ),
        curves=tuple(
            (label, chart.curve(series.points, site.shown, label, floor=1))
            for series in nearest
            if (label := f"{series.number}: {series.points[-1].value:.1f} times its floor of "
                         f"{series.floor:,}, lowest {series.lowest:.1f}")
        ),
    )  # fmt: skip


def total(lines: Sequence[Line], url: str) -> Sum | None:
    """The last state of each line; None for no line."""
    if not lines:
        return None
    outcomes = [state(line.cells[-1]) for line in lines]
    worst = Outcome.worst(Outcome(outcome) for outcome in outcomes)
    return Sum(
        outcome=worst.value,
        text=f"{outcomes.count(worst.value)} of {len(outcomes)}",
        night=max(line.cells[-1].night for line in lines),
        url=url,
    )


def state(cell: Cell) -> str:
    """The outcome of a night; of one that the rig does not know, INCONCLUSIVE."""
    if cell.failed or cell.passed:
        return (Outcome.FAIL if cell.failed else Outcome.PASS).value
    return cell.other if cell.other in Outcome.__members__ else Outcome.INCONCLUSIVE.value


def at_setup(lines: Sequence[Line], setup: str) -> list[Line]:
    return [line for line in lines if line.setup == setup]


def places(site: Site) -> list[Place]:
    found: list[Line | Series] = [*site.lines, *site.mutants, *site.benches]
    return [place_of(one) for one in found]


def grouped(values: Iterable[V], key: Callable[[V], K]) -> list[tuple[K, list[V]]]:
    """Values with the same key, in the order of the keys."""
    groups: dict[K, list[V]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return sorted(groups.items(), key=lambda group: str(group[0]))
