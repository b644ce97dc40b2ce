# SPDX-License-Identifier: GPL-2.0-only
"""Looks for the failures of the revision before in the runs of this one: `v2's failure: gone`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rig import log
from rig.campaigns import execute, failures
from rig.campaigns.failures import Failure
from rig.campaigns.results import RunResult, RunSpec
from rig.errors import InfraError
from rig.series.model import SeriesVersion
from rig.store import Store
from rig.verdict.blame import Earlier, Since, Tally


def look(
    store: Store, specs: Sequence[RunSpec], results: Sequence[RunResult], directory: Path
) -> tuple[RunResult, ...]:
    """The results of `execute.execute()`, each whole series with the failures of the newest earlier
    revision that was run on its architecture, stored again."""
    looked = list(results)
    for number, (spec, slot) in enumerate(zip(specs, execute.slots(specs), strict=True)):
        asked, series = spec.request, spec.tree.series
        if series is None or spec.tree.upto or asked.mutant or spec.step:
            continue
        before = _before(store, series).get(spec.machine.arch)
        same = [
            result
            for other, result in zip(specs, results, strict=True)
            if other.machine == spec.machine and other.tree is spec.tree
        ]
        if before and (found := tuple(_compared(before, same))):
            looked[number] = replace(results[number], earlier=found)
            execute.store_result(looked[number], directory / slot)
    return tuple(looked)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Before:
    """The stored runs of the newest earlier revision that has any, newest first."""

    revision: str
    results: tuple[RunResult, ...]


def _before(store: Store, series: SeriesVersion) -> dict[str, _Before]:
    """For each architecture."""
    runs: dict[str, dict[int, list[RunResult]]] = {}
    name = execute.SAFE.sub("-", series.name)
    for directory in reversed(execute.runs(store)):
        if name not in directory.name:
            continue
        for result in _results(directory):
            subject = result.provenance.subject
            label, _, revision = subject.name.rpartition("@v")
            if label != series.name or not revision.isdecimal() or subject.upto:
                continue
            if int(revision) < series.revision and not result.provenance.request.mutant:
                of_arch = runs.setdefault(result.machine.arch, {})
                of_arch.setdefault(int(revision), []).append(result)
    return {
        arch: _Before(revision=f"v{max(of_arch)}", results=tuple(of_arch[max(of_arch)]))
        for arch, of_arch in runs.items()
    }


def _results(directory: Path) -> tuple[RunResult, ...]:
    """Of a run; a damaged one must not end this run."""
    try:
        return execute.load_all(directory)
    except InfraError as error:
        log.note(error.message)
        return ()


def _compared(before: _Before, now: Sequence[RunResult]) -> Iterator[Earlier]:
    for failure in _open(before.results):
        tally, excused = _counted(failure, before.results)
        if excused:
            continue
        count = _tally(failure, now)
        yield Earlier(
            revision=before.revision,
            failure=failure.name,
            since=_since(failure, count, now),
            before=tally,
            now=count,
        )


def _open(results: Sequence[RunResult]) -> tuple[Failure, ...]:
    """The failures that the newest run of their case still had."""
    found: dict[Failure, bool] = {}
    every = dict.fromkeys(each for result in results for each in failures.of(result))
    for failure in every:
        for result in results:
            if (seen := failures.seen(failure, result)) is not None:
                found.setdefault(failure, seen)
    return tuple(failure for failure in every if found[failure])


def _counted(failure: Failure, results: Sequence[RunResult]) -> tuple[Tally, bool]:
    """How often it failed then, and whether that was the base's failure: from its blame, if it has
    one."""
    for result in results:
        for blame in result.blame:
            if (blame.failure, blame.shows) == (failure.name, failure.shows):
                return blame.series, blame.excused
    return _tally(failure, results), False


def _tally(failure: Failure, results: Iterable[RunResult]) -> Tally:
    told = [seen for each in results if (seen := failures.seen(failure, each)) is not None]
    return Tally(failed=sum(told), runs=len(told))


def _since(failure: Failure, count: Tally, now: Sequence[RunResult]) -> Since:
    if count.failed:
        return Since.STILL
    if any(other.name == failure.name for each in now for other in failures.of(each)):
        return Since.OTHER
    return Since.GONE if count.runs else Since.UNKNOWN
