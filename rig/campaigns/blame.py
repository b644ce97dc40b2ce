# SPDX-License-Identifier: GPL-2.0-only
"""After a FAIL of a series: does the base fail as well, and which patch is the first to fail?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rig import log
from rig.campaigns import execute, failures
from rig.campaigns.failures import BUILD, Failure
from rig.campaigns.results import RunResult, RunSpec
from rig.campaigns.trial import Trial
from rig.context import Context
from rig.errors import RigError
from rig.kernel import tree as trees
from rig.kernel.tree import TreeSpec
from rig.store import Store
from rig.verdict.blame import Blame, attributed

DIRECTORY = "blame"
"""In the directory of a run: the runs that the blame is from."""


def blame(
    context: Context,
    specs: Sequence[RunSpec],
    results: Sequence[RunResult],
    directory: Path,
    *,
    search: bool = True,
) -> tuple[RunResult, ...]:
    """The results of `execute.execute()`, each FAIL of a series with its blame, stored again.

    Without `search` the first bad patch is not looked for: that needs builds.
    An interrupt leaves the results as they are stored. An error leaves a failure undecided.
    """
    blamed = list(results)
    slots = execute.slots(specs)
    for numbers in _groups(specs):
        spec, group = specs[numbers[0]], [results[number] for number in numbers]
        try:
            whys = _blames(context, spec, group, directory / DIRECTORY, search=search)
        except KeyboardInterrupt:
            log.note(f"the verdict is stored, without blame: rig report {directory.name}")
            raise
        for number in numbers:
            own = tuple(whys[each] for each in failures.of(results[number]) if each in whys)
            if own:
                blamed[number] = with_blame(results[number], own)
                execute.store_result(blamed[number], directory / slots[number])
    return tuple(blamed)


def with_blame(result: RunResult, own: tuple[Blame, ...]) -> RunResult:
    verdict = attributed(result.verdict, result.suites, result.splats, own, result.idle)
    return replace(result, blame=own, verdict=verdict)


def _groups(specs: Sequence[RunSpec]) -> list[list[int]]:
    """The numbers of the specs that are runs of one kernel on one machine.

    Without a series there is nobody to blame. --each-patch names the patch itself, and a kernel
    with a mutant is broken on purpose.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for number, spec in enumerate(specs):
        asked = spec.request
        if asked.blame and spec.tree.series and not asked.mutant and not spec.step:
            groups.setdefault((spec.machine.arch, spec.tree.label), []).append(number)
    return list(groups.values())


def _blames(
    context: Context, spec: RunSpec, results: Sequence[RunResult], directory: Path, *, search: bool
) -> dict[Failure, Blame]:
    wanted = tuple(dict.fromkeys(each for result in results for each in failures.of(result)))
    if not wanted or (wanted[0].name == BUILD and not _applies(context.store, spec.tree)):
        return {}  # a patch that does not apply is named in the verdict
    trial = Trial(context, spec, results, wanted, directory)
    try:
        trial.compare()
        if search:
            trial.search()
    except RigError as error:
        trial.broken = error.message
        log.note(f"the search for what broke it ends: {error.message}")
    return {failure: trial.blame(failure) for failure in wanted}


def _applies(store: Store, tree: TreeSpec) -> bool:
    try:
        return trees.applies(store, tree)
    except RigError:
        return False
