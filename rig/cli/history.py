# SPDX-License-Identifier: GPL-2.0-only
"""The verbs that show history, without logic."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rig.cli.app import LOOK, QuietOpt, VerboseOpt, app, say

if TYPE_CHECKING:
    from rig.store import Store


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
    kcidb: Annotated[
        Path | None,
        typer.Option("--kcidb", help="Write the night as KCIDB JSON, for kernel CI systems."),
    ] = None,
    origin: Annotated[
        str, typer.Option("--origin", help="With --kcidb: the name of your CI system there.")
    ] = "rig",
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Print what all stored runs say about a case, a series or a tree, and what changed."""
    from rig.history import database, queries
    from rig.report import files
    from rig.report import history as table
    from rig.report import kcidb as exchange
    from rig.store import Store

    files.check(kcidb)
    store = Store.default()
    _import(store, verbose=verbose, quiet=quiet)
    with database.reading(store) as connection:
        queries.check_night(connection, night)
        if name:
            text = table.render(connection, queries.select(connection, name), name, night)
        else:
            text = table.overview(connection, night)
        if kcidb:
            files.put(kcidb, exchange.render(connection, night, origin))
    say(text)


@app.command(
    rich_help_panel=LOOK,
    epilog="Example: `rig site ~/public/nightly`, then open index.html in it",
)
def site(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new directory, or that of an older site.")
    ],
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Write the history as static HTML: what changed, the matrix, a page for each case and run."""
    from rig.cli.progress import reporter
    from rig.history import database
    from rig.report import history as table
    from rig.report import site as pages
    from rig.store import Store

    store = Store.default()
    _import(store, verbose=verbose, quiet=quiet)
    with reporter(verbose=verbose, quiet=quiet), database.reading(store) as connection:
        written = pages.write(store, connection, directory)
    runs = table.counted(len(written.pages), "run")
    say(f"{directory / 'index.html'}: {runs}, {written.new:,} of them new\n")


def _import(store: "Store", *, verbose: bool, quiet: bool) -> None:
    """Import what is stored and not in the history yet."""
    from rig.history import unread

    if new := unread.campaigns(store):
        from rig.campaigns import record
        from rig.cli.progress import reporter

        with reporter(verbose=verbose, quiet=quiet):
            record.import_all(store, new)
