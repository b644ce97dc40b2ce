# SPDX-License-Identifier: GPL-2.0-only
"""The program `rig`, and the options that several verbs share."""

import functools
import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from rig import printable
from rig.campaigns.options import LEFT_OUT, OPTIONS, Option, Request, check_limits
from rig.cli import bugs
from rig.errors import InfraError

if TYPE_CHECKING:
    from rig.verdict.rules import Outcome

app = typer.Typer(
    name="rig",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Runs a Linux mm patch series on emulated SMP machines and checks whether it loses data.",
    epilog="A TARGET is `v6.12`, `SERIES`, `SERIES@v2`, `SERIES@v2:3` (its first three patches), a "
    "path to an mbox, `-` for an mbox on stdin, or with `--tree` any git revision; `rig run` takes "
    "a message-id and `SERIES@v1,v2` too.  \n"
    "Exit status: 0 pass, 1 fail, 2 bad input, "
    "3 broken (host or rig), 4 inconclusive.",
)


TEST, SERIES, LOOK = "Test a kernel or a series", "Series and mail", "Inspect and prepare"
"""Headings of the verbs in `--help`."""


def version() -> str:
    return importlib.metadata.version("mm-rig")


def _version(requested: bool) -> None:
    if requested:
        say(f"rig {version()}\n")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Runs a Linux mm patch series on emulated SMP machines and checks whether it loses data."""


KEYWORD = inspect.Parameter.KEYWORD_ONLY

TargetArg = Annotated[
    str, typer.Argument(metavar="TARGET", help="v6.12, SERIES, SERIES@v2:3, ./series.mbx")
]
JsonOpt = Annotated[Path | None, typer.Option("--json", help="Write the results as JSON.")]
JunitOpt = Annotated[Path | None, typer.Option("--junit", help="Write the results as JUnit XML.")]
RunArg = Annotated[
    str, typer.Argument(metavar="RUN", help="A run, or a part of its name [default: the newest].")
]
VerboseOpt = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show every command that is run.")
]
QuietOpt = Annotated[bool, typer.Option("--quiet", "-q", help="Results only.")]


def asks(
    name: str, *, argument: Any = TargetArg, **fixed: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a verb: adds TARGET and its options of a Request, and calls it with the Request.

    Options in `fixed` have this value. The verb's own options follow. `argument` describes another
    argument instead of TARGET.
    """
    shared = [entry for entry in OPTIONS.values() if entry.name not in LEFT_OUT[name]]

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]
        own = [entry.replace(kind=KEYWORD) for entry in own]
        target = inspect.Parameter("target", KEYWORD, annotation=argument)
        unset = [entry for entry in shared if entry.unset]
        parameters = [target, *map(_parameter, shared), *map(_unset, unset), *own]

        @functools.wraps(verb)
        def call(**values: Any) -> None:
            given = {entry.name: entry.parsed(values.pop(entry.name)) for entry in shared}
            given |= {entry.name: None for entry in unset if values.pop(_name_of_unset(entry))}
            request = Request(target=values.pop("target"), **given, **fixed)
            # Verbs replace some numbers by their own, so that the pipeline would not see these.
            check_limits(request)
            verb(replace(request, target=read_once(request.target)), **values)

        # typer reads a verb's options from these.
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {entry.name: entry.annotation for entry in parameters}
        return call

    return decorate


def read_once(target: str) -> str:
    """The target; a file for `-` and for a pipe."""
    from rig.campaigns import request as requests
    from rig.store import Store

    return requests.kept(target, Store.default)


def option(name: str, panel: str | None = None) -> Any:
    """typer's description of an option of a Request: flag and help."""
    entry = OPTIONS[name]
    default = entry.written(entry.default)
    return typer.Option(
        f"{entry.flag}/{entry.off}" if entry.off else entry.flag,
        parser=_path_or_none if entry.kind is Path else None,
        metavar="PATH" if entry.kind is Path else None,
        help=entry.help,
        rich_help_panel=panel,
        # Some help texts name the default themselves.
        show_default="[default:" not in entry.help and default not in ("", None, False),
    )


def _path_or_none(text: str) -> Path | None:
    """The empty text sets it back, if config.toml has another default."""
    return Path(text) if text else None


def _name_of_unset(entry: Option) -> str:
    return f"{entry.name}_unset"


def _unset(entry: Option) -> inspect.Parameter:
    """The flag that sets an option back to None."""
    details = typer.Option(
        entry.unset,
        help="The kernel's choice, if your config.toml has another.",
        rich_help_panel=entry.group,
    )
    kind = Annotated[bool, details]
    return inspect.Parameter(_name_of_unset(entry), KEYWORD, default=False, annotation=kind)


def _parameter(entry: Option) -> inspect.Parameter:
    default = entry.written(entry.default)
    details = option(entry.name, entry.group)
    kind: Any = entry.kind if default is not None else entry.kind | None
    return inspect.Parameter(
        entry.name, KEYWORD, default=default, annotation=Annotated[kind, details]
    )


def finish(outcome: "Outcome", write: Callable[[], None]) -> NoReturn:
    """End a verb whose result is printed and stored: write the files that the user named.

    A file that cannot be written is BROKEN; a FAIL stays a FAIL.
    """
    try:
        write()
    except InfraError as error:
        if outcome.exit_status != 1:
            raise
        bugs.write(bugs.explained(error))
    raise typer.Exit(outcome.exit_status)


def say(result: str | bytes, paint: Callable[[str], str] | None = None) -> None:
    """Print a result to stdout; every verb prints its result with this.

    Control characters are escaped, as a result may hold a stranger's text. A mail (bytes) is
    printable already. `paint` adds the rig's own colours.
    """
    try:
        if isinstance(result, bytes):
            typer.echo(result, nl=False)
        else:
            shown = printable.text(result)
            typer.echo(paint(shown) if paint else shown, nl=False, color=paint is not None)
    except BrokenPipeError:  # `rig list | head -1`
        raise
    except OSError as error:
        raise InfraError(
            f"stdout cannot be written: {error.strerror}",
            hint="a run is stored all the same: rig report",
        ) from error
