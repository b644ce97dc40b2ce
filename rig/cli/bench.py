# SPDX-License-Identifier: GPL-2.0-only
"""The verb about two kernels: an adapter without logic."""

from pathlib import Path
from typing import Annotated

import typer

from rig.benches import benchmark
from rig.campaigns.options import Request, comma
from rig.cli.app import TEST, JsonOpt, QuietOpt, VerboseOpt, app, asks, say
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
    rich_help_panel=TEST,
    epilog="Examples: `rig bench batch-dirty-tlb-flush@v2 --schedule seeded`  \n"
    "`rig bench lazyfree-batched-unmap@v4 --bench lazyfree_reclaim --arch x86_64,arm64`  \n"
    "`rig bench v6.12 --against v6.12`",
)
@asks("mutant", "each_patch", "after", "cases", "promises", "seed", "iterations", "pages", "repeat",
      suites=(benchmark.SUITE,))  # fmt: skip
def bench(
    asked: Request,
    against: Annotated[
        str, typer.Option("--against", help="What to compare with [default: the series' own base].")
    ] = "",
    name: Annotated[
        str, typer.Option("--bench", help="Benchmarks, comma-separated [default: all].")
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
    json: JsonOpt = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="A picture of all rounds: FILE.svg or FILE.png.")
    ] = None,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Measure a kernel before and after a series, and check what its cover letter claims."""
    from rig.campaigns import compare
    from rig.report import comparison, files, picture

    chosen = [benchmark.pick(one) for one in comma(name)] or list(benchmark.known().values())
    files.check(json, plot)
    picture.check(plot)
    with reporter(verbose=verbose, quiet=quiet):
        found, directory = compare.compare(Context.default(), asked, against, chosen, rounds)
    files.copy(directory / compare.FILE, json)
    if plot:
        picture.draw(found, plot)
    say(comparison.render(found, directory.name))
    raise typer.Exit(Outcome.worst(one.outcome for one in found).exit_status)
