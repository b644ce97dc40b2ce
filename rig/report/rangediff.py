# SPDX-License-Identifier: GPL-2.0-only
"""What `git range-diff` says, in colour. git's own cannot be told from a colour in a subject."""

RESET = "\x1b[m"
BOLD, RED, GREEN, YELLOW, CYAN = (f"\x1b[{code}m" for code in (1, 31, 32, 33, 36))
PATCH = {" < ": RED, " > ": GREEN, " ! ": YELLOW, " = ": ""}
"""What became of a patch: it went, came, was changed, is the same."""
LINE = {"-": RED, "+": GREEN, "@": CYAN, " ##": BOLD}
INDENT = "    "


def painted(said: str) -> str:
    return "".join(map(_painted, said.splitlines(keepends=True)))


def _painted(line: str) -> str:
    body, end = line.removesuffix("\n"), line[len(line.removesuffix("\n")) :]
    if body.startswith(INDENT):
        inside = body.removeprefix(INDENT)
        colour = next((LINE[sign] for sign in LINE if inside.startswith(sign)), "")
    else:
        # The first of them: a subject may hold another.
        found = [(body.index(sign), colour) for sign, colour in PATCH.items() if sign in body]
        colour = min(found)[1] if found else ""
    return f"{colour}{body}{RESET}{end}" if colour else line
