# SPDX-License-Identifier: GPL-2.0-only
"""Checks a patch by its mail alone: is it complete, and is it text?

rig/kernel/applied.py checks where its changes go, after git has applied it.
"""

import re

from rig.errors import ConfigError

HUNK = re.compile(r"^@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
STAT = re.compile(
    r"^ (\d{1,9}) files? changed"
    r"(?:, (\d{1,9}) insertions?\(\+\))?(?:, (\d{1,9}) deletions?\(-\))?$",
    re.M,
)
QUOTED = r'"(?:[^"\\]|\\.)*"'
SIDES = re.compile(rf"({QUOTED}|\S.*?) ({QUOTED}|\S.*)")
ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
ESCAPES = dict(zip(b"abtnvfr", b"\a\b\t\n\v\f\r", strict=True))
EXTENDED = re.compile(
    r"(?P<what>old mode|new mode|deleted file mode|new file mode|copy from|copy to|rename from"
    r"|rename to|similarity index|dissimilarity index|index) (?P<value>.*)"
)
"""The lines after a `diff --git` line (git-diff(1), "Generating patch text with -p")."""
NAMES_MAX = 4 * 2 * 4096
"""Characters of two paths (PATH_MAX), each byte written as an octal escape."""
BINARY = re.compile(r"^(?:GIT binary patch|Binary files .* differ)$")
NOT_TO_REVIEW = "nobody can review a binary file; ask the author for the series without it"
HINT = "kernel developers do not send such patches: read the mail before you trust its author"


def lines(body: str) -> list[str]:
    """The lines as git sees them. Unlike str.splitlines(), a form feed, which source code may have,
    does not end a line."""
    return [line.removesuffix("\r") for line in body.removesuffix("\n").split("\n")]


def unquoted(name: str) -> str:
    """A file name without git's quotes, which are there if it has unusual bytes
    (core.quotePath)."""
    if not (len(name) > 1 and name[0] == name[-1] == '"'):
        return name

    def byte(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        return bytes(
            [int(escape, 8) & 255 if len(escape) == 3 else ESCAPES.get(escape[0], escape[0])]
        )

    data = ESCAPE.sub(byte, name[1:-1].encode(errors="replace"))
    return data.decode(errors="surrogateescape")


def named(line: str) -> str:
    """The file that a `diff --git` line names; the new name if there are two."""
    names = line.removeprefix("diff --git ")
    if len(names) > NAMES_MAX:  # the loop below would take hours for a line of some MiB
        return names
    if '"' in names and (match := SIDES.fullmatch(names)):
        return unquoted(match[2]).partition("/")[2]
    for space in re.finditer(" ", names):
        old, new = names[: space.start()], names[space.end() :]
        if old.partition("/")[2] == new.partition("/")[2] != "":
            return new.partition("/")[2]
    return names.split(" b/", 1)[-1]


def whole(body: str, where: str, last: bool) -> tuple[str, ...]:
    """The files that a mail's patch touches. Raises ConfigError if a hunk lacks lines.

    In the last mail the diff is compared with the diffstat as well: nothing else shows that whole
    hunks are missing at its end.
    """
    files: list[str] = []
    old = new = diffs = added = removed = 0
    in_header = False
    for line in lines(body):
        if old > 0 or new > 0:
            kind = line[:1] or " "
            if kind not in " +-\\":
                break
            old -= kind in " -"
            new -= kind in " +"
            added += kind == "+"
            removed += kind == "-"
        elif line.startswith("diff --git "):
            files.append(named(line))
            diffs += 1
            in_header = True
        elif match := HUNK.match(line):
            old, new = int(match[2] or 1), int(match[4] or 1)
        elif files and BINARY.match(line):
            raise ConfigError(f"{where}: {files[-1]!a} is a binary patch", hint=NOT_TO_REVIEW)
        elif in_header and (match := EXTENDED.fullmatch(line)):
            if match["what"] == "rename from":
                files.insert(-1, unquoted(match["value"]))
            elif match["what"] in ("rename to", "copy to"):
                files.append(unquoted(match["value"]))
        else:
            in_header = False
    if not files:
        raise ConfigError(
            f"{where}: there is no diff in the mail",
            hint="`b4 am` leaves out mails without a patch; or the mail is truncated",
        )
    if old > 0 or new > 0:
        raise ConfigError(
            f"{where} is truncated: lines missing in the last hunk of {files[-1]}: {max(old, new)}",
            hint="fetch the series again",
        )
    if last and not body.endswith("\n"):
        raise ConfigError(
            f"{where} is truncated: no newline after its last line", hint="fetch the series again"
        )
    if last and (stat := STAT.search(body.split("\ndiff --git ", 1)[0])):
        promised = (int(number or 0) for number in stat.groups())
        if any(a > b for a, b in zip(promised, (diffs, added, removed), strict=True)):
            raise ConfigError(
                f"{where} is truncated: its diff has less than its diffstat says,"
                f" {stat[0].strip()!r}",
                hint="fetch the series again, or correct the diffstat if you edited the patch",
            )
    return tuple(dict.fromkeys(files))
