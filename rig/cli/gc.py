# SPDX-License-Identifier: GPL-2.0-only
"""The verb that keeps the store small, without logic."""

from typing import Annotated

import typer

from rig.cli.app import LOOK, QuietOpt, VerboseOpt, app, say


@app.command(
    rich_help_panel=LOOK,
    epilog="Examples: `rig gc`  \n`rig gc --keep-days 7 --max-size 20 --remove`",
)
def gc(
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove it; without this it is only listed.")
    ] = False,
    keep_days: Annotated[
        float, typer.Option("--keep-days", help="Keep what was used in this many days.")
    ] = 30,
    max_size: Annotated[
        float,
        typer.Option(
            "--max-size",
            help="GiB: remove the oldest until the store is no larger; results stay [default: no"
            " limit].",
            show_default=False,
        ),
    ] = 0,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Remove from the store what was not used for long. It is made again when it is needed.

    Results older than that go too, except for the newest of what is on the shelf. What a rig is
    using stays, and what bisections and replays need.
    """
    from rig.campaigns import gc as collector
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import gc as report

    collector.check(keep_days, max_size)
    context = Context.default()
    with reporter(verbose=verbose, quiet=quiet):
        work = collector.collect if remove else collector.plan
        plan = work(context, days=keep_days, gib=max_size)
    say(report.render(plan, verbose=verbose))
