#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""How often the blame of `rig run` names a wrong patch: no kernels, no guests. See docs/bisect.md.

python tests/simulated/blame.py --trials 200

The code is that of rig/campaigns/blame.py and trial.py; only the runs are drawn at random. A kernel
with the culprit fails with the rate P, another one with the rate Q. The run that failed first, for
which somebody is blamed, has failed in any case. Each patch is the culprit equally often.

named       the culprit alone is named
several     it is named beside others
wrong       another patch is named, or the failure is called "already there"
undecided   nobody is named
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from rig.campaigns import blame, execute
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult, RunSpec, provenance
from rig.context import Context
from rig.guest.qemu import Accel, Machine
from rig.kernel.base import Base
from rig.kernel.tree import TreeSpec
from rig.series import model
from rig.shelves import Shelves
from rig.store import Store
from rig.suites.suite import Selection
from rig.verdict.blame import Blame, Mark
from rig.verdict.rules import CaseResult, Outcome, Shows, SuiteResult, conclude

TOP = Path(__file__).parent.parent.parent
SERIES = model.load(TOP / "patches", "lazyfree-batched-unmap", 4, "")
BASE = Base(name="v6.12", commit="c0ffee", origin="a simulation")
SIDE_BY_SIDE = 2
CASE = Selection(suite="madv_free", cases=("straddle_page_table",))


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """A series, what its kernels do, and what they take."""

    patches: int
    culprit: int
    """Number of the patch; 0: the base fails as well."""
    bad: float
    good: float = 0.0
    guest: float = 6.0
    """Seconds."""
    build: float = 200.0


def blamed(world: World, chance: random.Random) -> tuple[Blame, int, int]:
    """The blame, the guests and the kernels that it took."""
    patches = tuple(SERIES.patches[number % len(SERIES.patches)] for number in range(world.patches))
    tree = TreeSpec(base=BASE, series=replace(SERIES, patches=patches))
    asked = Request(target=SERIES.label, base="v6.12", arch=("x86_64",))
    machine = Machine(arch="x86_64", accel=Accel.TCG)
    spec = RunSpec(request=asked, tree=tree, machine=machine, suites=(CASE,))
    guests, kernels = 0, set[int]()

    def runs(_: Context, specs: Sequence[RunSpec], *words: Any, **rest: Any) -> list[RunResult]:
        nonlocal guests
        guests += len(specs)
        results = []
        for each in specs:
            upto = len(each.tree.own) if each.tree.series else 0
            kernels.add(upto)
            rate = world.bad if upto >= world.culprit else world.good
            results.append(_result(each, world, failed=chance.random() < rate))
        return results

    first = _result(spec, world, failed=True)
    context = Context(Store(Path("/nowhere")), Shelves(kconfigs=TOP, patches=TOP, images=TOP))
    with (
        mock.patch.object(execute, "execute", runs),
        mock.patch.object(execute, "side_by_side", lambda specs: min(SIDE_BY_SIDE, len(specs))),
        mock.patch.object(Store, "manifest", lambda *words: {"seconds": world.build}),
    ):
        (found,) = blame._blames(context, spec, [first], Path("/nowhere"), search=True).values()
    return found, guests, len(kernels)


def _result(spec: RunSpec, world: World, *, failed: bool) -> RunResult:
    case = CaseResult(
        name=CASE.cases[0],
        outcome=Outcome.FAIL if failed else Outcome.PASS,
        reason="page 17: CPU 2 wrote 42, read back 41" if failed else "",
        shows=Shows.WRONG_DATA,
        seconds=world.guest,
    )
    suites = (SuiteResult(suite=CASE.suite, cases=(case,)),)
    return RunResult(
        machine=spec.machine,
        provenance=replace(provenance(spec), build="a build"),
        suites=suites,
        verdict=conclude(suites, (), None),
        boot_seconds=2.0,
        seconds=world.guest,
    )


def judged(found: Blame, world: World) -> str:
    numbers = [culprit.number for culprit in found.culprits]
    if found.mark is Mark.UNDECIDED:
        return "undecided"
    if found.mark is Mark.THERE:
        return "wrong" if world.culprit else "named"
    if not numbers:
        return "undecided" if world.culprit else "wrong"
    if world.culprit not in numbers:
        return "wrong"
    return "named" if len(numbers) == 1 else "several"


def table(options: argparse.Namespace) -> Iterator[str]:
    for good in options.unrelated:
        for bad in options.rates:
            counts, guests, kernels = Counter[str](), 0, 0
            for number in range(options.first, options.first + options.trials):
                chance = random.Random(f"{number} {bad} {good} {options.base}")
                patches = options.patches[number % len(options.patches)]
                culprit = 0 if options.base else chance.randint(1, patches)
                world = World(
                    patches=patches, culprit=culprit, bad=bad, good=good,
                    guest=options.guest, build=options.build,
                )  # fmt: skip
                found, ran, built = blamed(world, chance)
                counts[judged(found, world)] += 1
                guests, kernels = guests + ran, kernels + built
                if options.verbose and judged(found, world) == "wrong":
                    yield f"  {number}: culprit {culprit} of {patches}: {found}"
            shares = (
                f"{kind} {100 * counts[kind] / options.trials:5.1f} %"
                for kind in ("named", "several", "undecided", "wrong")
            )
            yield (
                f"P {bad:<5} Q {good:<5} {'  '.join(shares)}  guests {guests / options.trials:6.1f}"
                f"  kernels {kernels / options.trials:4.2f}  of {options.trials}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--patches", type=int, nargs="+", default=[3, 4, 5, 6, 7, 8])
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 0.5, 0.2, 0.1])
    parser.add_argument("--unrelated", type=float, nargs="+", default=[0.0])
    parser.add_argument("--guest", type=float, default=6.0, help="seconds of a guest")
    parser.add_argument("--build", type=float, default=200.0, help="seconds of the first build")
    parser.add_argument("--base", action="store_true", help="the base has the failure as well")
    parser.add_argument("--verbose", action="store_true", help="print each wrong blame")
    for line in table(parser.parse_args()):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
