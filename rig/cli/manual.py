# SPDX-License-Identifier: GPL-2.0-only
"""The manual page, from the texts of `--help`: roff(7) with the macros of man(7)."""

import re
from collections.abc import Iterator
from typing import Any

import typer

BACKTICKS = re.compile(r"`([^`]*)`")


def page(app: typer.Typer, version: str) -> str:
    """The page rig(1)."""
    # typer's click has no types.
    program: Any = typer.main.get_command(app)
    lines = [
        f'.TH RIG 1 "" "mm-rig {version}" "User Commands"',
        ".SH NAME",
        "rig \\- test a Linux mm patch series on emulated SMP machines",
        ".SH SYNOPSIS",
        ".B rig",
        "VERB [OPTION...] [ARGUMENT...]",
        ".SH DESCRIPTION",
        *_text(program.help),
        *_text(program.epilog),
        ".SH VERBS",
    ]
    for name, verb in sorted(program.commands.items()):
        if not verb.hidden:
            lines += _verb(name, verb)
    return "\n".join(lines) + "\n"


def _verb(name: str, verb: Any) -> Iterator[str]:
    arguments = [entry for entry in verb.params if entry.param_type_name == "argument"]
    usage = " ".join(_shown(entry) for entry in arguments)
    yield f".SS rig {_escaped(name)} {_escaped(usage)}".rstrip()
    yield from _text(verb.help)
    for entry in verb.params:
        if entry.param_type_name == "option" and entry.help:
            flags = ", ".join((*entry.opts, *entry.secondary_opts))
            yield ".TP"
            yield f".B {_escaped(flags)}"
            yield from _text(entry.help)
    if verb.epilog:
        yield ".PP"
        yield from _text(verb.epilog)


def _shown(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _text(text: str | None) -> Iterator[str]:
    """roff for the Markdown that the help uses: backticks, and two spaces for a line break."""
    for line in (text or "").splitlines():
        if not line.strip():
            yield ".PP"
            continue
        yield BACKTICKS.sub(r"\\fB\1\\fR", _escaped(line.strip()))
        if line.endswith("  "):
            yield ".br"


def _escaped(text: str) -> str:
    """roff gives a meaning to a backslash, to a minus, and to a dot at the start of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text[:1] in (".", "'") else text
