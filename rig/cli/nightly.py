# SPDX-License-Identifier: GPL-2.0-only
"""The verb that runs every night, without logic."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rig.cli import bugs
from rig.cli.app import TEST, QuietOpt, VerboseOpt, app, say
from rig.errors import ConfigError

INSTALL = "install"


@app.command(
    rich_help_panel=TEST,
    epilog="Examples: `rig nightly --check nightly.toml`  \n`rig nightly nightly.toml`  \n"
    "`rig nightly install nightly.toml`  \n"
    "docs/nightly.toml is an example of the file.  \n"
    "Exit status: 0 nothing got worse, 1 a new failure, 2 bad input, 3 broken (host or rig), "
    "4 nothing was run. The same command again goes on where one was interrupted.",
)
def nightly(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[install] FILE", help="The file of the night; `install` runs it every night."
        ),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Say what would run and how long; fetches nothing.")
    ] = False,
    bisect: Annotated[
        bool,
        typer.Option("--bisect", help="Bisect what is new, if the budget has time left for it."),
    ] = False,
    cron: Annotated[
        bool, typer.Option("--cron", help="With install: a crontab line, no systemd timer.")
    ] = False,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Run the matrix of trees and machines that a file names, and say what changed."""
    from rig.campaigns import execute, gc, handover, nightfile, nightplan, record
    from rig.campaigns import nightly as nights
    from rig.cli import timer
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.history import database
    from rig.report import digest, site

    install = words[0] == INSTALL and len(words) > 1
    if len(words) != 1 + install:
        raise ConfigError("rig nightly takes one file", hint="rig nightly [install] FILE")
    context, path = Context.default(), Path(words[-1])
    file = nightfile.load(path, context.shelves)
    if install:
        say(timer.install(file, path.absolute(), bisect=bisect, cron=cron))
        return
    with reporter(verbose=verbose, quiet=quiet):
        if check:
            record.import_new(context.store)
            plan = nightplan.make(context, file, file.name, look=True)
            specs = [nightplan.spec_of(context, row) for row in plan.rows]
            width = execute.side_by_side(specs) if specs else 1
            say(digest.preview(file, plan, width))
            return
        try:
            with nights.run(context, file) as morning:
                found = handover.run(context, morning) if bisect else ()
                say(digest.render(morning, found))
                digest.deliver(morning, file.mail, found)
        except KeyboardInterrupt:
            again = shlex.join(["rig", *sys.argv[1:]])
            bugs.write(f"the same command goes on from here: {again}\n")
            raise
        if file.site:
            with database.reading(context.store) as connection:
                site.write(context.store, connection, file.site)
        if file.gc:
            gc.collect(context, days=file.gc.keep_days, gib=file.gc.max_size)
    raise typer.Exit(morning.outcome.exit_status)
