# SPDX-License-Identifier: GPL-2.0-only
"""The verbs of the command line, without logic. Results go to stdout, the rest to stderr."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rig.campaigns.options import Request, comma
from rig.cli import defaults
from rig.cli.app import (
    LOOK,
    TEST,
    JsonOpt,
    JunitOpt,
    QuietOpt,
    RunArg,
    VerboseOpt,
    app,
    asks,
    finish,
    say,
    version,
)
from rig.errors import ConfigError


@app.command("run", rich_help_panel=TEST,
             epilog="Examples: `rig run batch-dirty-tlb-flush@v2 --arch x86_64,arm64`  \n"
             "`rig run v6.12 --mutant no-remote-flush --suite stale_tlb`  \n"
             "`rig run my-branch --tree ~/linux --json out.json`  \n"
             "`rig run batch-dirty-tlb-flush@v1,v2 --suite stale_tlb`  \n"
             "`rig run batch-dirty-tlb-flush --each-patch --after 3`")  # fmt: skip
@asks("run")
def run_(
    request: Request,
    json: JsonOpt = None,
    junit: JunitOpt = None,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Apply, build, boot and test: a verdict on a series or a kernel."""
    from rig.campaigns import blame, earlier, execute
    from rig.campaigns import request as requests
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import files, text

    files.check(json, junit)
    context = Context.default()
    with reporter(verbose=verbose, quiet=quiet):
        specs = requests.specs(context, requests.fetched(context.shelves, request))
        directory = execute.new_directory(context.store, specs[-1].tree.label)
        results = execute.execute(context, specs, directory)
        results = earlier.look(context.store, specs, results, directory)
        results = blame.blame(context, specs, results, directory)
    say(text.render(results, directory.name))
    finish(text.overall(results), lambda: files.write(results, json, junit))


@app.command(
    rich_help_panel=TEST,
    epilog="Examples: `rig mutate v6.12 --arch x86_64,arm64`  \n"
    "`rig mutate batch-dirty-tlb-flush@v2 --mutant no-remote-flush --repeat 3`",
)
@asks("mutate")
def mutate(
    request: Request,
    mutant: Annotated[
        str, typer.Option("--mutant", help="Mutants, comma-separated [default: all].")
    ] = "",
    all_cases: Annotated[
        bool, typer.Option("--all-cases", help="Run all cases, not only those in its Killed-By.")
    ] = False,
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds",
            help="Like 1..16: run in the seeded schedule, one seed after the other, until killed.",
        ),
    ] = "",
    json: JsonOpt = None,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Break the kernel's rules one by one, and check that the suites fail."""
    from rig.campaigns import mutation
    from rig.campaigns.explore import parse_seeds
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import files, mutants

    if seeds:
        request = replace(request, schedule="seeded")
    numbers = parse_seeds(seeds) if seeds else ()
    names = comma(mutant)
    files.check(json)
    with reporter(verbose=verbose, quiet=quiet):
        result, directory = mutation.mutate(
            Context.default(), request, names, all_cases=all_cases, seeds=numbers
        )
    say(mutants.render(result, directory.name))
    finish(result.outcome, lambda: files.copy(directory / mutation.FILE, json))


@app.command(
    rich_help_panel=LOOK, epilog="Example: `rig build batch-dirty-tlb-flush@v2:3 --arch arm64`"
)
@asks("build")
def build(
    request: Request,
    verbose: VerboseOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Build a kernel, or reuse a stored one, and print where it is."""
    from rig.campaigns import request as requests
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.report import builds

    with reporter(verbose=verbose, quiet=quiet):
        built = requests.build(Context.default(), request)
    say(builds.render(built))


@app.command(
    rich_help_panel=LOOK,
    epilog="Examples: `rig shell v6.12`  \n`rig shell v6.12 --arch arm64 -- cat /proc/vmstat`",
)
@asks("shell")
def shell(
    request: Request,
    command: Annotated[
        list[str] | None, typer.Argument(help="Run this instead of a prompt.")
    ] = None,
    verbose: VerboseOpt = False,
) -> None:
    """Boot a guest and open a shell in it, or run COMMAND; PATH has the suites' programs.

    The shell gets your terminal, or reads its commands from stdin. A COMMAND gets your stdin; a
    file or a pipe gets its output unchanged, a terminal gets control characters as \\x1b. The exit
    status is that of the COMMAND or the shell.
    """
    from rig.campaigns import pipeline
    from rig.campaigns import request as requests
    from rig.cli.progress import reporter
    from rig.context import Context
    from rig.guest.session import Streams

    context = Context.default()
    with reporter(verbose=verbose):
        specs = requests.specs(context, request)
        if len(specs) != 1:
            raise ConfigError(
                f"rig shell boots one guest, and these options select {len(specs)}",
                hint="name one architecture, and one revision",
            )
        prepared = pipeline.prepare(context, specs[0])
    streams = Streams(stdin=0, out=sys.stdout.buffer, err=sys.stderr.buffer)
    raise typer.Exit(pipeline.interact(prepared, command or [], streams))


@app.command(
    rich_help_panel=LOOK,
    epilog="Examples: `rig report`  \n`rig report 20261120-1015 --junit out.xml --html out.html`",
)
def report(
    name: RunArg = "",
    json: JsonOpt = None,
    junit: JunitOpt = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the run as one HTML page.")
    ] = None,
    runs: Annotated[bool, typer.Option("--list", help="List the stored runs.")] = False,
) -> None:
    """Print the report of a stored run again. Boots nothing."""
    from rig.campaigns import execute, nightly
    from rig.report import campaign, digest, files, text
    from rig.report import html as pages
    from rig.store import Store

    store = Store.default()
    if runs:
        say("".join(f"{path.name}\n" for path in execute.runs(store)))
        return
    files.check(json, junit, html)
    directory = execute.find(store, name)
    if many := campaign.load(directory):
        files.again(many.file, json, junit)
        say(many.text)
        finish(many.outcome, lambda: pages.write(directory, html))
    results = execute.load_all(directory)
    shown, outcome = text.render(results, directory.name), text.overall(results)
    if night := nightly.load(directory):
        morning = nightly.morning(store, night, directory)
        shown, outcome = f"{digest.render(morning)}\n{shown}", morning.outcome
    say(shown)

    def write() -> None:
        files.write(results, json, junit)
        pages.write(directory, html)

    finish(outcome, write)


@app.command(
    "list", rich_help_panel=LOOK, epilog="Examples: `rig list`  \n`rig list --cases >docs/cases.md`"
)
def list_(
    cases: Annotated[
        bool,
        typer.Option("--cases", help="Each case with its rule and its mutants, in Markdown."),
    ] = False,
) -> None:
    """List bases, series, suites and their cases, mutants, architectures and flavours."""
    from rig.campaigns import execute, mutation
    from rig.kernel import mutant
    from rig.report import cases as table
    from rig.report import shelves
    from rig.shelves import Shelves
    from rig.store import Store

    if not cases:
        say(shelves.render(Shelves.default()))
        return
    stored = (mutation.load(path) for path in reversed(execute.runs(Store.default())))
    say(table.render(mutant.load_all(Shelves.default().patches), [*filter(None, stored)]))


@app.command(rich_help_panel=LOOK, epilog="Example: `rig man | man -l -`")
def man() -> None:
    """Print the manual page."""
    from rig.cli import manual

    say(manual.page(app, version()))


@app.command(
    rich_help_panel=LOOK,
    epilog="Examples: `rig doctor --fix`  \n`rig doctor --fix --arch riscv64`",
)
def doctor(
    arch: Annotated[
        str,
        typer.Option(
            "--arch", help="Architectures, comma-separated, or all; else those not on request."
        ),
    ] = "",
    fix: Annotated[
        bool, typer.Option("--fix", help="Install what is missing; says first what and why.")
    ] = False,
    verbose: VerboseOpt = False,
) -> None:
    """Check what this host lacks, and which accelerators work on it."""
    from rig.cli import doctor as checks
    from rig.cli.progress import reporter
    from rig.store import Store

    chosen = checks.architectures(comma(arch))
    with reporter(verbose=verbose):
        findings = checks.examine(Store.default(), chosen, fix=fix)
    say(checks.render(findings))
    raise typer.Exit(0 if findings.healthy else 3)


# These modules register the other verbs; `--help` lists verbs in the order of registration.
from rig.cli import bench, bisect, gc, history, nightly, seeded, series  # noqa: E402

__all__ = ["app", "bench", "bisect", "gc", "history", "nightly", "program", "seeded", "series"]


def program() -> None:
    """Run `rig`, with the user's defaults from config.toml."""
    verbs: Any = typer.main.get_command(app)  # typer's own click has no types
    verbs(default_map=defaults.load(verbs.commands))
