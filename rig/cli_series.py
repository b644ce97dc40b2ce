# SPDX-License-Identifier: GPL-2.0-only
"""The verbs about series: adapters without logic."""

from typing import Annotated

import typer

from rig import intake
from rig.cli_app import QuietOpt, VerboseOpt, app
from rig.progress import reporter
from rig.run import Shelves


@app.command(
    epilog="Examples: `rig fetch 20260317-batch-tlb-flush-v2-0-5d0e93fa7b16@example.org`  \n"
    "`rig fetch https://lore.kernel.org/linux-mm/ID/ --all-revisions`  \n"
    "`rig fetch ./series.mbox --name batch-tlb`  \n`rig fetch git:~/linux v6.12..my-branch`"
)
def fetch(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="A message-id or lore link, an mbox (patchwork's too), a maildir, a directory of"
            " patches, or git:PATH BASE..TIP.",
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", help="Of the series; by default after its change-id.")
    ] = "",
    all_revisions: Annotated[
        bool, typer.Option("--all-revisions", help="Every revision, back to v1.")
    ] = False,
    with_trailers: Annotated[
        bool, typer.Option("--with-trailers", help="With the tags that were given in reply.")
    ] = False,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Put a series on the shelf, by b4: patches/SERIES/vN.mbx, never rewritten."""
    from rig.report import revisions

    shelf = Shelves.default().patches
    with reporter(verbose=verbose, quiet=quiet):
        done = intake.fetch(
            shelf, " ".join(source), name=name, all_revisions=all_revisions,
            with_trailers=with_trailers,
        )  # fmt: skip
    typer.echo(revisions.fetched(done, shelf), nl=False)
