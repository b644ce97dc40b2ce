# SPDX-License-Identifier: GPL-2.0-only
"""The verb about two kernels: an adapter without logic."""

from pathlib import Path
from typing import Annotated

import typer

from rig.campaigns.request import Request, comma
from rig.cli.app import (
    AccelOpt,
    ArchOpt,
    BaseOpt,
    CpusOpt,
    JsonOpt,
    QuietOpt,
    ScheduleOpt,
    TargetArg,
    TreeOpt,
    UnconfinedOpt,
    VerboseOpt,
    app,
    say,
)
from rig.cli.progress import reporter
from rig.context import Context
from rig.verdict.rules import Outcome


def _rounds(said: str) -> int:
    """0 is auto."""
    if said == "auto":
        return 0
    if not said.isdecimal() or not int(said):
        raise typer.BadParameter("neither a number nor auto")
    return int(said)


@app.command(
    epilog="Examples: `rig bench batch-dirty-tlb-flush@v2 --schedule seeded`  \n"
    "`rig bench lazyfree-batched-unmap@v4 --bench lazyfree_reclaim --arch x86_64,arm64`  \n"
    "`rig bench v6.12 --against v6.12`"
)
def bench(
    target: TargetArg,
    against: Annotated[
        str, typer.Option("--against", help="What it is compared with; a series' own base.")
    ] = "",
    arch: ArchOpt = "x86_64",
    name: Annotated[
        str, typer.Option("--bench", help="Benchmarks, comma-separated; all by default.")
    ] = "",
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds",
            metavar="N|auto",
            parser=_rounds,
            show_default="auto",
            help="Pairs of guests; auto goes on until the intervals are narrow, or eight minutes.",
        ),
    ] = "auto",  # type: ignore[assignment] # what the parser is given
    base: BaseOpt = "",
    tree: TreeOpt = None,
    accel: AccelOpt = "auto",
    schedule: ScheduleOpt = "live",
    cpus: CpusOpt = 4,
    json: JsonOpt = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="A picture of all rounds: FILE.svg or FILE.png.")
    ] = None,
    unconfined: UnconfinedOpt = False,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Measure a kernel before and after a series, and check what its cover letter claims."""
    from rig.benches import benchmark as benches
    from rig.campaigns import compare
    from rig.report import comparison, files, picture

    chosen = [benches.pick(one) for one in comma(name)] or list(benches.known().values())
    asked = Request(
        target=target, arch=comma(arch), base=base, tree=tree, accel=accel, schedule=schedule,
        cpus=cpus, suites=(benches.SUITE,), unconfined=unconfined,
    )  # fmt: skip
    files.check(json, plot)
    picture.check(plot)
    with reporter(verbose=verbose, quiet=quiet):
        found, directory = compare.compare(Context.default(), asked, against, chosen, rounds)
    files.copy(directory / compare.FILE, json)
    if plot:
        picture.draw(found, plot)
    say(comparison.render(found, directory.name))
    raise typer.Exit(Outcome.worst(one.outcome for one in found).exit_status)
