# SPDX-License-Identifier: GPL-2.0-only
"""The shelf of series: what was fetched, and what there is."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from rig import printable
from rig.campaigns import execute
from rig.kernel import base
from rig.report import reply
from rig.series import model
from rig.series.fetch import Fetched
from rig.series.model import SeriesVersion
from rig.store import Store
from rig.verdict.rules import Outcome

NONE = "-"


def fetched(done: Fetched, shelf: Path) -> str:
    lines = []
    for one in done.series:
        new = "" if one.revision in done.fresh else ", which was there already"
        based = f", base {one.base[:12]}" if one.base else ", no base named"
        lines.append(f"{one.label}: {len(one.patches)} patches{based}{new}")
        lines.append(f"  {shelf / one.name / f'v{one.revision}.mbx'}")
    return printable.page([*lines, "", f"rig run {done.series[-1].label}"])


def table(store: Store, shelf: Path, names: Sequence[str] = ()) -> str:
    """Every revision, and its last verdict on each architecture from the stored runs."""
    found = [
        (model.load(shelf, name, number), _bases(shelf, name, number))
        for name in names or model.names(shelf)
        for number in model.revisions(shelf, name)
    ]
    verdicts = _verdicts(store, [one.label for one, _ in found])
    arches = sorted({arch for one in verdicts.values() for arch in one}, reverse=True)
    rows = [["series", "patches", "base", "date", *arches]]
    for one, bases in found:
        said = verdicts.get(one.label, {})
        row = [one.label, str(len(one.patches)), bases or _base(one), one.date or NONE]
        rows.append([*row, *(said.get(arch, NONE) for arch in arches)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return printable.page(line.rstrip() for line in lines)


def _base(one: SeriesVersion) -> str:
    return base.named(one.base) or one.base[:12] or NONE


def _bases(shelf: Path, name: str, number: int) -> str:
    """With the bases that it has another text for."""
    variants = sorted((shelf / name).glob(f"v{number}.on-*.mbx"))
    if not variants:
        return ""
    others = [path.stem.partition(".on-")[2] for path in variants]
    return ", ".join(dict.fromkeys([_base(model.load(shelf, name, number)), *others]))


def _verdicts(store: Store, labels: Iterable[str]) -> dict[str, dict[str, str]]:
    """Label -> architecture -> what the newest run of it there said."""
    wanted = set(labels)
    names = {execute.SAFE.sub("-", label.partition("@")[0]) for label in wanted}
    found: dict[str, dict[str, str]] = {}
    for directory in reversed(execute.runs(store)):
        if not any(name in directory.name for name in names):
            continue
        fresh: dict[tuple[str, str], list[Outcome]] = {}
        for one in reply.whole(reply.tests(directory)):
            label = one.provenance.subject.name
            if label in wanted and not one.provenance.request.mutant:
                fresh.setdefault((label, one.machine.arch), []).append(one.verdict.outcome)
        for (label, arch), outcomes in fresh.items():
            found.setdefault(label, {}).setdefault(arch, Outcome.worst(outcomes))
    return found
