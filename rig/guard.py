# SPDX-License-Identifier: GPL-2.0-only
"""What a patch from a stranger must be: whole, and of text files of the tree, nothing beside it."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from rig.errors import ConfigError

HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
STAT = re.compile(
    r"^ (\d+) files? changed(?:, (\d+) insertions?\(\+\))?(?:, (\d+) deletions?\(-\))?$", re.M
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
NAMES = re.compile(r"^(?:--- |\+\+\+ |rename from |rename to |copy from |copy to )(.+)$")
SYMLINK = re.compile(r"^(?:new file mode 120000|new mode 120000|index \S+ 120000)$")
BINARY = re.compile(r"^(?:GIT binary patch|Binary files .* differ)$")
HINT = "the mail is not what a kernel developer would send: look at it before you trust its author"


@dataclass(slots=True)
class _Seen:
    where: str = ""
    file: str = ""
    link: bool = False
    files: dict[str, str] = field(default_factory=dict)
    """Every path that is touched, and by which mail."""
    links: set[str] = field(default_factory=set)


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


def check(mails: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Raise ConfigError for a path outside the tree, a symlink that leads there, a binary patch.

    Each mail is what to call it and its lines.
    """
    seen = _Seen()
    for where, lines in mails:
        seen.where = where
        _check_one(seen, lines)
    for path, where in seen.files.items():
        if through := next((link for link in seen.links if path.startswith(f"{link}/")), ""):
            raise ConfigError(
                f"{where}: {path} is written through {through}, a symlink of the series", hint=HINT
            )


def _check_one(seen: _Seen, lines: Iterable[str]) -> None:
    old = new = 0
    began = False
    for line in lines:
        if old > 0 or new > 0:
            kind = line[:1] or " "
            old -= kind in " -"
            new -= kind in " +"
            if seen.link and kind == "+":
                _check_link(seen, line[1:])
        elif line.startswith("diff --git "):
            began, seen.link, seen.file = True, False, line.split(" b/", 1)[-1]
        elif not began:
            continue
        elif match := HUNK.match(line):
            old, new = int(match[2] or 1), int(match[4] or 1)
        elif SYMLINK.match(line):
            seen.link = True
            seen.links.add(seen.file)
        elif BINARY.match(line):
            raise ConfigError(
                f"{seen.where}: {seen.file} is a binary patch",
                hint="nobody can review it; ask for the series without it",
            )
        elif match := NAMES.match(line):
            _check_name(seen, line.split(" ")[0] in ("---", "+++"), match[1])


def _check_name(seen: _Seen, prefixed: bool, said: str) -> None:
    """`prefixed`: a/ or b/ comes first, which git takes away."""
    name = said.split("\t")[0].strip('"')
    if prefixed and name == "/dev/null":
        return
    path = name.split("/", 1)[-1] if prefixed else name
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise ConfigError(f"{seen.where}: {name} is a path outside the tree", hint=HINT)
    seen.files.setdefault(path, seen.where)


def _check_link(seen: _Seen, target: str) -> None:
    leads = posixpath.normpath(posixpath.join(posixpath.dirname(seen.file), target))
    if target.startswith("/") or leads == ".." or leads.startswith("../"):
        raise ConfigError(
            f"{seen.where}: {seen.file} is a symlink that leads out of the tree, to {target}",
            hint=HINT,
        )
