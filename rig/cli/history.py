# SPDX-License-Identifier: GPL-2.0-only
"""The verb that prints history, without logic."""

from typing import Annotated

import typer

from rig.cli.app import LOOK, QuietOpt, VerboseOpt, app, say


@app.command(
    rich_help_panel=LOOK,
    epilog="Examples: `rig history`  \n`rig history stale_tlb/anon_lost_write`  \n"
    "`rig history batch-dirty-tlb-flush`  \n`rig history v6.12 --night 2026-11-27`",
)
def history(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A case, suite, series, revision, tree, benchmark or mutant"
            " [default: what changed in the newest night].",
        ),
    ] = "",
    night: Annotated[
        str, typer.Option("--night", help="What changed in this night [default: the newest].")
    ] = "",
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Print what all stored runs say about a case, a series or a tree, and what changed."""
    from rig.history import database, queries, unread
    from rig.report import history as table
    from rig.store import Store

    store = Store.default()
    if new := unread.campaigns(store):
        from rig.campaigns import record
        from rig.cli.progress import reporter

        with reporter(verbose=verbose, quiet=quiet):
            record.import_all(store, new)
    with database.reading(store) as connection:
        queries.check_night(connection, night)
        if name:
            text = table.render(connection, queries.select(connection, name), name, night)
        else:
            text = table.overview(connection, night)
    say(text)
