# SPDX-License-Identifier: GPL-2.0-only
"""The manual page: all that --help has, in a form that man(1) reads."""

import re

import typer

from rig.campaigns.options import OPTIONS
from rig.cli import manual, run

PAGE = manual.page(run.app, "0.1.0")


def test_every_verb_and_option_is_in_it() -> None:
    verbs = re.findall(r"^\.SS rig (\S+)", PAGE, re.MULTILINE)
    assert sorted(verbs) == sorted(
        (verb.name or f"{verb.callback and verb.callback.__name__}").replace("-", "\\-").rstrip("_")
        for verb in run.app.registered_commands
    )
    for entry in OPTIONS.values():
        assert f".B {entry.flag}".replace("-", "\\-") in PAGE


def test_no_line_is_taken_for_a_macro_or_an_escape() -> None:
    app = typer.Typer(help="Main.")
    app.callback()(lambda: None)

    @app.command(epilog="`x`  \nlast")
    def verb() -> None:
        """.TH is \\fIno\\fR macro here.

        'tis.
        """

    page = manual.page(app, "1")
    assert "\\&.TH is \\efIno\\efR macro here." in page
    assert "\\&'tis." in page
    assert "\\fBx\\fR\n.br\nlast" in page
