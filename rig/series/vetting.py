# SPDX-License-Identifier: GPL-2.0-only
"""What a mail alone can tell of a patch: whether it is whole, and whether it is text.

Where its changes go is seen by what git makes of them (rig/kernel/applied.py).
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
    r"|rename to|similarity index|dissimilarity index|index) (?P<said>.*)"
)
"""What follows a `diff --git` line (git-diff(1), "Generating patch text with -p")."""
BINARY = re.compile(r"^(?:GIT binary patch|Binary files .* differ)$")
NOT_TO_REVIEW = "nobody can review it; ask for the series without it"
HINT = "the mail is not what a kernel developer would send: look at it before you trust its author"


def lines(body: str) -> list[str]:
    """As git sees them: a form feed, which source code may hold, is not the end of one."""
    return [line.removesuffix("\r") for line in body.removesuffix("\n").split("\n")]


def unquoted(name: str) -> str:
    """A name as git writes it, in quotes if it has unusual bytes (core.quotePath)."""
    if not (len(name) > 1 and name[0] == name[-1] == '"'):
        return name

    def byte(match: re.Match[bytes]) -> bytes:
        said = match[1]
        return bytes([int(said, 8) & 255 if len(said) == 3 else ESCAPES.get(said[0], said[0])])

    data = ESCAPE.sub(byte, name[1:-1].encode(errors="replace"))
    return data.decode(errors="surrogateescape")


def named(line: str) -> str:
    """The file of a `diff --git` line, the new name if there are two."""
    said = line.removeprefix("diff --git ")
    if '"' in said and (match := SIDES.fullmatch(said)):
        return unquoted(match[2]).partition("/")[2]
    for space in re.finditer(" ", said):
        old, new = said[: space.start()], said[space.end() :]
        if old.partition("/")[2] == new.partition("/")[2] != "":
            return new.partition("/")[2]
    return said.split(" b/", 1)[-1]


def whole(body: str, where: str, last: bool) -> tuple[str, ...]:
    """The files a mail's patch touches, once every hunk has the lines its header promises.

    Of the last mail the diffstat is held against the diff as well: nothing else tells that whole
    hunks are missing at its end.
    """
    files: list[str] = []
    old = new = diffs = added = removed = 0
    header = False
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
            header = True
        elif match := HUNK.match(line):
            old, new = int(match[2] or 1), int(match[4] or 1)
        elif files and BINARY.match(line):
            raise ConfigError(f"{where}: {files[-1]!a} is a binary patch", hint=NOT_TO_REVIEW)
        elif header and (match := EXTENDED.fullmatch(line)):
            if match["what"] == "rename from":
                files.insert(-1, unquoted(match["said"]))
            elif match["what"] in ("rename to", "copy to"):
                files.append(unquoted(match["said"]))
        else:
            header = False
    if not files:
        raise ConfigError(
            f"{where}: there is no diff in the mail",
            hint="`b4 am` leaves out what is no patch; a mail may also be cut short",
        )
    if old > 0 or new > 0:
        raise ConfigError(
            f"{where} is truncated: the last hunk of {files[-1]} lacks lines: {max(old, new)}",
            hint="fetch the series again",
        )
    if last and not body.endswith("\n"):
        raise ConfigError(f"{where} is truncated: its last line has no end", hint="fetch it again")
    if last and (stat := STAT.search(body.split("\ndiff --git ", 1)[0])):
        promised = (int(number or 0) for number in stat.groups())
        if any(a > b for a, b in zip(promised, (diffs, added, removed), strict=True)):
            raise ConfigError(
                f"{where} is truncated: it has less than its diffstat says, {stat[0].strip()!r}",
                hint="fetch the series again, or correct the diffstat if it was edited by hand",
            )
    return tuple(dict.fromkeys(files))
