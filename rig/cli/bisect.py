# SPDX-License-Identifier: GPL-2.0-only
"""The verb that finds the commit that did it, without logic."""

import shlex
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from rig.campaigns.options import Request, check_range
from rig.cli import bugs
from rig.cli.app import (
    TEST,
    JsonOpt,
    QuietOpt,
    VerboseOpt,
    app,
    asks,
    finish,
    say,
)
from rig.errors import ConfigError

RUNS_MAX = 1_000_000
GoodArg: Any = Annotated[
    str, typer.Argument(metavar="GOOD|SERIES", help="A commit without the failure; or a series.")
]
MoreArg = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[BAD [-- PATH...]]",
        help="A later commit with the failure; with paths, only commits that change them. "
        "`rig bisect log [NAME]` prints a log for `git bisect replay`.",
    ),
]
FirstParentOpt = Annotated[
    bool, typer.Option("--first-parent", help="Only the first parent of each merge.")
]
SplatOpt = Annotated[str, typer.Option("--splat", help="Look for this splat: a part of its title.")]
BuildOpt = Annotated[bool, typer.Option("--build", help="Look for a compiler error; runs nothing.")]
BootOpt = Annotated[bool, typer.Option("--boot", help="Look for a kernel that does not boot.")]
MetricOpt = Annotated[
    str, typer.Option("--metric", help="Look for a higher count: BENCHMARK:COUNT, with --above.")
]
AboveOpt = Annotated[
    float, typer.Option("--above", help="Bad is above this multiple of GOOD's count, like 1.05.")
]
ConfidenceOpt = Annotated[
    float, typer.Option("--confidence", help="Stop when so sure of the culprit.")
]
RunsOpt = Annotated[
    int, typer.Option("--runs", help="Give up if BAD does not fail in so many runs.")
]


@app.command(
    rich_help_panel=TEST,
    epilog="Examples: `rig bisect v6.12 my-branch --tree ~/linux --case anon_lost_write`  \n"
    "`rig bisect v6.12 v7.2 --tree ~/linux --schedule seeded --splat 'BUG: Bad page' -- mm/`  \n"
    "`rig bisect v6.12 v7.2 --tree ~/linux --build --arch arm64`  \n"
    "`rig bisect v6.12 v7.2 --tree ~/linux --metric shared_dirty_reclaim:instructions "
    "--above 1.05`  \n"
    "`rig bisect lazyfree-batched-unmap@v4 --case straddle_page_table`  \n"
    "`rig bisect log | git -C ~/linux bisect replay -`  \n"
    "Exit status: 0 the culprit was found, 2 bad input, 3 broken (host or rig), 4 not found. "
    "The same command again goes on where one was interrupted.",
)
@asks("bisect", argument=GoodArg)
def bisect(
    request: Request,
    more: MoreArg = None,
    first_parent: FirstParentOpt = False,
    splat: SplatOpt = "",
    build: BuildOpt = False,
    boot: BootOpt = False,
    metric: MetricOpt = "",
    above: AboveOpt = 0,
    confidence: ConfidenceOpt = 0.99,
    runs: RunsOpt = 128,
    json: JsonOpt = None,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Find the commit or the patch that broke it, also if it fails only sometimes."""
    from rig.campaigns import bisect as bisecting
    from rig.campaigns import bisection, inquiry, suspects
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import bisect as report
    from rig.report import files

    context, words = Context.default(), list(more or ())
    if request.target == "log":
        if len(words) > 1:
            raise ConfigError("rig bisect log takes one name", hint="rig bisect log [NAME]")
        say(bisection.log(context.store, *words))
        return
    check_range("--confidence", confidence, 0.5, 0.99999)
    check_range("--runs", runs, 1, RUNS_MAX)
    asked = inquiry.question(splat=splat, build=build, boot=boot, metric=metric, above=above)
    files.check(json)
    if metric:  # where counts are exact
        request = replace(request, schedule="seeded")
    good = request.target
    if not words and ".." in good and request.tree is not None:
        good, _, last = good.partition("..")
        words = [last]
    options = bisecting.Options(confidence=confidence, runs=runs)
    with reporter(verbose=verbose, quiet=quiet):
        if words:
            range_ = suspects.of_tree(
                context,
                replace(request, target=words[0]),
                good,
                paths=words[1:],
                first_parent=first_parent,
            )
        else:
            range_ = suspects.of_series(context, request)
        try:
            result, directory = bisecting.bisect(context, range_, asked, options)
        except KeyboardInterrupt:
            bugs.write(
                f"the same command goes on from here: {shlex.join(['rig', *sys.argv[1:]])}\n"
            )
            raise
    say(report.render(result, directory.name))
    finish(result.outcome, lambda: files.copy(directory / bisection.FILE, json))
