# SPDX-License-Identifier: GPL-2.0-only
"""The command line's frame: the program, and the options that several verbs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from rig import printable

app = typer.Typer(
    name="rig",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Runs a Linux mm patch series on emulated SMP machines and says whether it loses data.",
    epilog="A TARGET is `v6.12`, `SERIES`, `SERIES@v2`, `SERIES@v2:3` (its first three patches), a "
    "path to an mbox, or with `--tree` any git revision; `rig run` takes a message-id and "
    "`SERIES@v1,v2` too.  \n"
    "Exit status: 0 pass, 1 fail, 2 bad input, "
    "3 broken (host or rig), 4 inconclusive.",
)

TargetArg = Annotated[
    str, typer.Argument(metavar="TARGET", help="v6.12, SERIES, SERIES@v2:3, ./series.mbx")
]
ArchOpt = Annotated[str, typer.Option("--arch", help="Architectures, comma-separated.")]
SuiteOpt = Annotated[
    str, typer.Option("--suite", help="Suites, comma-separated; all that are not on request.")
]
CaseOpt = Annotated[str, typer.Option("--case", help="Cases, comma-separated: CASE or SUITE/CASE.")]
MutantOpt = Annotated[str, typer.Option("--mutant", help="Break this rule of the kernel first.")]
JsonOpt = Annotated[Path | None, typer.Option("--json", help="Write the results as JSON.")]
JunitOpt = Annotated[Path | None, typer.Option("--junit", help="Write the results as JUnit XML.")]
RunArg = Annotated[
    str, typer.Argument(metavar="[RUN]", help="A run, or a part of its name; the newest.")
]
BaseOpt = Annotated[
    str, typer.Option("--base", help="Base to apply the series to, rather than its own.")
]
TreeOpt = Annotated[
    Path | None,
    typer.Option("--tree", help="Your git tree; bases are its revisions. It is never modified."),
]
FlavourOpt = Annotated[str, typer.Option("--flavour", help="Kernel flavour, of kconfigs/flavour/.")]
SeedOpt = Annotated[
    int,
    typer.Option("--seed", help="Of the programs' random choices; if seeded, of everything."),
]
IterationsOpt = Annotated[
    int, typer.Option("--iterations", help="Of every case, rather than its own number.")
]
PagesOpt = Annotated[
    int, typer.Option("--pages", help="Of the memory of those cases that can do with less.")
]
ScheduleOpt = Annotated[
    str, typer.Option("--schedule", help="live, or seeded: of a seed, bit for bit the same.")
]
AccelOpt = Annotated[str, typer.Option("--accel", help="auto, kvm or tcg.")]
CpusOpt = Annotated[int, typer.Option("--cpus", help="The guest's CPUs.")]
MemoryOpt = Annotated[int, typer.Option("--memory", help="The guest's memory, MiB.")]
ZramOpt = Annotated[int, typer.Option("--zram", help="Swap on zram, MiB.")]
DiskOpt = Annotated[int, typer.Option("--swap-disk", help="Swap on a virtio disk, MiB.")]
LruOpt = Annotated[
    bool | None, typer.Option("--lru-gen/--no-lru-gen", help="MGLRU or the classic LRU.")
]
UnconfinedOpt = Annotated[
    bool,
    typer.Option(
        "--unconfined", help="Run a series where the sandbox does not work (docs/security.md)."
    ),
]
VerboseOpt = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show every command that is run.")
]
QuietOpt = Annotated[bool, typer.Option("--quiet", "-q", help="Results only.")]


def say(result: str | bytes, paint: Callable[[str], str] | None = None) -> None:
    """A result to stdout, which no verb writes to by another way: whoever's words are in it, they
    are shown and not obeyed. A mail, in bytes, is that already; colours are the rig's own."""
    if isinstance(result, bytes):
        typer.echo(result, nl=False)
    else:
        shown = printable.text(result)
        typer.echo(paint(shown) if paint else shown, nl=False, color=paint is not None)
