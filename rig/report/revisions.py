# SPDX-License-Identifier: GPL-2.0-only
"""The output of `rig fetch` and `rig series`: the revisions in patches/."""

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


def fetched(result: Fetched, shelf: Path) -> str:
    lines = []
    for series in result.series:
        new = "" if series.revision in result.fresh else ", which was there already"
        base_text = f", base {series.base[:12]}" if series.base else ", no base named"
        lines.append(f"{series.label}: {len(series.patches)} patches{base_text}{new}")
        lines.append(f"  {shelf / series.name / f'v{series.revision}.mbx'}")
    return printable.page([*lines, "", f"rig run {result.series[-1].label}"])


def table(store: Store, shelf: Path, names: Sequence[str] = ()) -> str:
    """Every revision, and the verdict of its newest stored run on each architecture."""
    revisions = [
        (model.load(shelf, name, number), _bases(shelf, name, number))
        for name in names or model.names(shelf)
        for number in model.revisions(shelf, name)
    ]
    verdicts = _verdicts(store, [series.label for series, _ in revisions])
    arches = sorted({arch for by_arch in verdicts.values() for arch in by_arch}, reverse=True)
    rows = [["series", "patches", "base", "date", *arches]]
    for series, bases in revisions:
        outcomes = verdicts.get(series.label, {})
        row = [series.label, str(len(series.patches)), bases or _base(series), series.date or NONE]
        rows.append([*row, *(outcomes.get(arch, NONE) for arch in arches)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return printable.page(line.rstrip() for line in lines)


def _base(series: SeriesVersion) -> str:
    return base.named(series.base) or series.base[:12] or NONE


def _bases(shelf: Path, name: str, number: int) -> str:
    """Its base and the bases of its variants (vN.on-BASE.mbx); empty without variants."""
    variants = sorted((shelf / name).glob(f"v{number}.on-*.mbx"))
    if not variants:
        return ""
    others = [path.stem.partition(".on-")[2] for path in variants]
    return ", ".join(dict.fromkeys([_base(model.load(shelf, name, number)), *others]))


def _verdicts(store: Store, labels: Iterable[str]) -> dict[str, dict[str, str]]:
    """Label -> architecture -> outcome of the newest run."""
    listed = set(labels)
    names = {execute.SAFE.sub("-", label.partition("@")[0]) for label in listed}
    verdicts: dict[str, dict[str, str]] = {}
    for directory in reversed(execute.runs(store)):
        if not any(name in directory.name for name in names):
            continue
        fresh: dict[tuple[str, str], list[Outcome]] = {}
        for result in reply.whole(reply.readable_tests(directory)):
            label = result.provenance.subject.name
            if label in listed and not result.provenance.request.mutant:
                key = (label, result.machine.arch)
                fresh.setdefault(key, []).append(result.verdict.outcome)
        for (label, arch), outcomes in fresh.items():
            verdicts.setdefault(label, {}).setdefault(arch, Outcome.worst(outcomes))
    return verdicts
