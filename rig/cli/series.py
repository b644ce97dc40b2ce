# SPDX-License-Identifier: GPL-2.0-only
"""The verbs for series, without logic."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from rig.campaigns.options import Request, comma
from rig.cli.app import SERIES, QuietOpt, RunArg, VerboseOpt, app, option, say
from rig.errors import RigError
from rig.store import host_trouble


@app.command(
    rich_help_panel=SERIES,
    epilog="Examples: `rig fetch 20260317-batch-tlb-flush-v2-0-5d0e93fa7b16@example.org`  \n"
    "`rig fetch https://lore.kernel.org/linux-mm/ID/ --all-revisions`  \n"
    "`rig fetch ./series.mbox --name batch-tlb`  \n`rig fetch git:~/linux v6.12..my-branch`",
)
def fetch(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="A message-id or lore link, an mbox (patchwork's too), a maildir, a directory of"
            " patches, git:PATH BASE..TIP, or - for an mbox on stdin.",
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", help="Name of the series [default: from its change-id].")
    ] = "",
    all_revisions: Annotated[
        bool, typer.Option("--all-revisions", help="Every revision, back to v1.")
    ] = False,
    with_trailers: Annotated[
        bool, typer.Option("--with-trailers", help="Add the tags from replies (Reviewed-by, …).")
    ] = False,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Fetch a series with b4 to patches/SERIES/vN.mbx. Existing files are never overwritten."""
    from rig.cli.progress import reporter
    from rig.report import revisions
    from rig.series import fetch as fetching
    from rig.shelves import Shelves

    shelf = Shelves.default().patches
    with reporter(verbose=verbose, quiet=quiet):
        result = fetching.fetch(
            shelf, " ".join(source), name=name, all_revisions=all_revisions,
            with_trailers=with_trailers,
        )  # fmt: skip
    say(revisions.fetched(result, shelf))


@app.command(
    rich_help_panel=SERIES,
    epilog="Examples: `rig reply`  \n"
    "`rig reply 20261120-1015 --name 'Ann Example <ann@example.org>' --output reply.eml`",
)
def reply(
    name: RunArg = "",
    who: Annotated[
        str,
        typer.Option(
            "--name", help="Your name and address, for From and, after a PASS, Tested-by."
        ),
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the mail to a file.")
    ] = None,
    verbose: VerboseOpt = False,
) -> None:
    """Write a mail that answers the cover letter of a series, or a culprit. Sends nothing."""
    from rig.campaigns import execute
    from rig.cli.progress import reporter
    from rig.report import files
    from rig.report import reply as answer
    from rig.store import Store

    files.check(output)
    with reporter(verbose=verbose):
        mail = answer.reply(execute.find(Store.default(), name), who)
    if output:
        files.put(output, mail)
    else:
        say(mail)


@app.command(
    rich_help_panel=SERIES,
    epilog="Examples: `rig diff batch-dirty-tlb-flush`  \n"
    "`rig diff batch-dirty-tlb-flush v1 v2 --base v7.2`",
)
def diff(
    name: Annotated[str, typer.Argument(metavar="SERIES", help="A series in patches/.")],
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="A revision [default: the second newest].")
    ] = "",
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="A revision [default: the newest].")
    ] = "",
    base: Annotated[str, option("base")] = "",
    tree: Annotated[Path | None, option("tree")] = None,
    verbose: VerboseOpt = False,
) -> None:
    """Compare two revisions of a series patch by patch: git range-diff."""
    from rig.campaigns import range_diff
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import rangediff as painted

    request = Request(target=name, base=base, tree=tree)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    with reporter(verbose=verbose):
        text = range_diff.diff(Context.default(), request, old, new)
    say(text, painted.painted if colour else None)


@app.command(
    "series",
    rich_help_panel=SERIES,
    epilog="Examples: `rig series`  \n`rig series batch-dirty-tlb-flush`",
)
def series_(
    names: Annotated[list[str] | None, typer.Argument(metavar="SERIES", help="Only these.")] = None,
) -> None:
    """List the revisions of every series: patches, base, date, newest verdicts."""
    from rig.report import revisions
    from rig.shelves import Shelves
    from rig.store import Store

    shelf = Shelves.default().patches
    say(revisions.table(Store.default(), shelf, names or ()))


@app.command(
    "b4-check",
    rich_help_panel=SERIES,
    epilog="Examples: `rig b4-check --run --arch x86_64,arm64 <cover.eml`  \n"
    "`rig b4-check --config --tree ~/linux | sh`",
)
def b4_check(
    run: Annotated[
        bool, typer.Option("--run", help="Run the series if it has no stored run.")
    ] = False,
    arch: Annotated[str, option("arch")] = "x86_64",
    tree: Annotated[Path | None, option("tree")] = None,
    config: Annotated[
        bool,
        typer.Option(
            "--config", help="Print the git command that makes `b4 review` use this, and end."
        ),
    ] = False,
) -> None:
    """For `b4 review`: reads a cover letter on stdin, prints the stored verdict as JSON."""
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import review
    from rig.series import intake

    if config:
        say(f"{review.configuration(comma(arch), tree, run=run)}\n")
        return
    try:
        identifier = review.message_id(intake.stdin())
        with reporter(), host_trouble("reading the stored runs"):
            entries = review.check(Context.default(), identifier, comma(arch), tree, run=run)
    except RigError as error:
        entries = review.trouble(error)
    say(review.render(entries))
