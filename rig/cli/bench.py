# SPDX-License-Identifier: GPL-2.0-only
"""The verb that compares two kernels, without logic."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from rig.campaigns.options import Request, comma
from rig.cli.app import (
    TEST,
    JsonOpt,
    QuietOpt,
    VerboseOpt,
    app,
    asks,
    finish,
    read_once,
    say,
)

ROUNDS_MAX = 10_000


def _rounds(text: str) -> int:
    """The number of rounds; 0 for `auto`."""
    if text == "auto":
        return 0
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= ROUNDS_MAX:
        shown = text if len(text) < 40 else f"{text[:40]}…"
        raise typer.BadParameter(f"{shown!r} is neither 1 to {ROUNDS_MAX:,} nor auto")
    return int(text)


@app.command(
    rich_help_panel=TEST,
    epilog="Examples: `rig bench batch-dirty-tlb-flush@v2 --schedule seeded`  \n"
    "`rig bench lazyfree-batched-unmap@v4 --bench lazyfree_reclaim --arch x86_64,arm64`  \n"
    "`rig bench v6.12 --against v6.12`",
)
@asks("bench")
def bench(
    request: Request,
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
            help="Pairs of guests; auto: enough for the noise, in at most 8 minutes.",
        ),
    ] = "auto",  # type: ignore[assignment] # typer calls the parser with it
    json: JsonOpt = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="A picture of all rounds: FILE.svg or FILE.png.")
    ] = None,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Measure a kernel before and after a series, and check the claims of its cover letter."""
    from rig.benches import benchmark
    from rig.campaigns import compare
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import comparison, files, picture
    from rig.store import host_trouble
    from rig.verdict.rules import Outcome

    benchmarks = [benchmark.pick(word) for word in comma(name)] or [*benchmark.known().values()]
    files.check(json, plot)
    picture.check(plot)
    context = Context.default()
    against = read_once(against)
    request = replace(request, suites=(benchmark.SUITE,))
    with reporter(verbose=verbose, quiet=quiet):
        results, directory = compare.compare(context, request, against, benchmarks, rounds)
    say(comparison.render(results, directory.name))

    def write() -> None:
        files.copy(directory / compare.FILE, json)
        if plot:
            with host_trouble(f"writing {plot}"):
                picture.draw(results, plot)

    finish(Outcome.worst(result.outcome for result in results), write)
