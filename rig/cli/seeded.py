# SPDX-License-Identifier: GPL-2.0-only
"""The verbs of the seeded schedule, without logic: many seeds, and one of them again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rig.campaigns.options import Request, check_range, comma
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

if TYPE_CHECKING:  # what only one verb needs is imported there: `rig --help` starts sooner
    from collections.abc import Sequence

    from rig.campaigns.replay import Recorded
    from rig.store import Store


@app.command(
    rich_help_panel=TEST,
    epilog="Examples: `rig explore v6.12 --suite stale_tlb --case anon_lost_write --seeds 1..500`"
    "  \n`rig explore v6.12 --mutant no-remote-flush --case anon_lost_write --failures 3`",
)
@asks("explore", schedule="seeded")
def explore(
    request: Request,
    seeds: Annotated[str, typer.Option("--seeds", help="Like 1..500 or 3,7,10..20.")] = "1..64",
    minutes: Annotated[
        float, typer.Option("--minutes", help="Stop after this many minutes; 0: no limit.")
    ] = 0,
    failures: Annotated[
        int, typer.Option("--failures", help="Stop after this many failures; 0: no limit.")
    ] = 0,
    json: JsonOpt = None,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Run one case with many seeds in the seeded schedule, and list those that fail."""
    from rig.campaigns import explore as exploring
    from rig.campaigns import request as requests
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import files
    from rig.report import seeds as table
    from rig.verdict.rules import Outcome

    check_range("--minutes", minutes, 0, exploring.MINUTES_MAX)
    check_range("--failures", failures, 0, exploring.FAILURES_MAX)
    files.check(json)
    context, numbers = Context.default(), exploring.parse_seeds(seeds)
    with reporter(verbose=verbose, quiet=quiet):
        specs = requests.specs(context, request)
        exploring.check(specs)
        explorations = [
            exploring.explore(context, spec, numbers, minutes=minutes, failures=failures)
            for spec in specs
        ]
    say("".join(map(table.explored, explorations)))
    outcome = Outcome.worst(result.outcome for result in explorations)
    finish(outcome, lambda: files.write_explored(explorations, json))


@app.command(
    rich_help_panel=TEST,
    epilog="Examples: `rig replay`  \n`rig replay 20261120-1015 --case anon_lost_write`  \n"
    "`rig replay --trace try_to_unmap_one,swap_writepage`",
)
def replay(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A seeded run, or a part of its name [default: the newest]."
        ),
    ] = "",
    case: Annotated[str, typer.Option("--case", help="Only this case.")] = "",
    gdb: Annotated[
        bool, typer.Option("--gdb", help="Stop at the failing check, and wait for gdb.")
    ] = False,
    trace: Annotated[
        str,
        typer.Option(
            "--trace", help="Log the time and CPU of each call of these kernel functions."
        ),
    ] = "",
    verbose: VerboseOpt = False,
) -> None:
    """Run a stored seeded run again, and check that every byte is the same."""
    from rig.campaigns import execute
    from rig.campaigns import replay as replaying
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import seeds as table
    from rig.verdict.rules import Outcome

    context = Context.default()
    store = context.store
    directory = execute.find(store, name)
    records = replaying.recorded(directory, case)
    with reporter(verbose=verbose):
        for record in records:
            replaying.restore(context, record)
    if gdb:
        with store.scratch() as scratch, reporter(verbose=verbose):
            _wait_for_gdb(store, records, scratch)
        return
    if trace:
        from rig.campaigns import trace as tracing

        with reporter(verbose=verbose), store.scratch() as scratch:
            traced = [
                tracing.trace(store, record, comma(trace), scratch / str(number))
                for number, record in enumerate(records)
            ]
        say(table.traced(traced))
        raise typer.Exit(Outcome.worst(run.outcome for run in traced).exit_status)
    with reporter(verbose=verbose), store.scratch() as scratch:
        runs = [
            replaying.replay(store, record, scratch / str(number))
            for number, record in enumerate(records)
        ]
    say(table.replayed(runs))
    raise typer.Exit(Outcome.worst(run.outcome for run in runs).exit_status)


def _wait_for_gdb(store: "Store", records: "Sequence[Recorded]", scratch: Path) -> None:
    from rig.campaigns import replay as replaying

    if len(records) > 1:
        raise ConfigError(
            f"--gdb takes one case, and the run has {len(records)}", hint="--case NAME"
        )
    with replaying.stopped(store, records[0], scratch) as stopped:
        say(f"The guest is stopped at the failing check. In another terminal, run:\n"
            f"  {stopped.gdb}\n")  # fmt: skip
        say("Ctrl-C here, or `kill` in gdb, ends the guest.\n")
        stopped.process.wait()
