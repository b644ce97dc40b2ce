# SPDX-License-Identifier: GPL-2.0-only
"""Colours the output of `git range-diff`.

git's own colours are not used: a subject could hold the same escape sequences.
"""

RESET = "\x1b[m"
BOLD, RED, GREEN, YELLOW, CYAN = (f"\x1b[{code}m" for code in (1, 31, 32, 33, 36))
PATCH = {" < ": RED, " > ": GREEN, " ! ": YELLOW, " = ": ""}
"""The sign of a patch: removed, added, changed, the same."""
LINE = {"-": RED, "+": GREEN, "@": CYAN, " ##": BOLD}
INDENT = "    "


def painted(text: str) -> str:
    return "".join(map(_painted, text.splitlines(keepends=True)))


def _painted(line: str) -> str:
    body, end = line.removesuffix("\n"), line[len(line.removesuffix("\n")) :]
    if body.startswith(INDENT):
        inside = body.removeprefix(INDENT)
        colour = next((LINE[sign] for sign in LINE if inside.startswith(sign)), "")
    else:
        # The first sign in the line: the subject may hold another one.
        signs = [(body.index(sign), colour) for sign, colour in PATCH.items() if sign in body]
        colour = min(signs)[1] if signs else ""
    return f"{colour}{body}{RESET}{end}" if colour else line
