# SPDX-License-Identifier: GPL-2.0-only
"""The target grammar, the one thing every verb takes.

v6.12            a base
SERIES           its newest revision
SERIES@v2        a revision
SERIES@v2:3      its first three patches
./series.mbx     a series that is not on the shelf (`./series.mbx:3` too)
MESSAGE-ID       a series on a mailing list, or a link to it: it is fetched first
"""

import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from rig import printable
from rig.errors import ConfigError

# More digits than these are nobody's, and int() has a limit of its own.
N = r"[0-9]{1,4}"
BASE = re.compile(rf"v{N}\.{N}(?:\.{N})?(?:-rc{N})?")
SERIES = re.compile(rf"(?P<name>[A-Za-z0-9][\w.-]*)(?:@v(?P<revision>{N}))?(?::(?P<upto>{N}))?")
FILE = re.compile(rf"(?P<path>.*(?:/.*?|\.(?:mbx|mbox|patch)))(?::(?P<upto>{N}))?")

# No host's name has a comma, a brace or an empty part: s@v1,v2, branch@{upstream}, s@v1..v2.
HOST = r"(?!\S*\.\.)(?:[^\s<>@/:,{}]+\.[^\s<>@/:,{}]+|[^\s<>@/:,{}]{5,})"
# The part before the @ may hold a slash: X/1abc@kroah.com.
MESSAGE = re.compile(rf"<(?P<in>[^\s<>@]+@[^\s<>@/]+)>|(?P<id>[^\s<>@:]+@{HOST})")
LINK = re.compile(r"https?://[^\s/]+/(?:[^\s]+/)?(?P<id>[^\s/@]+@[^\s/@?#]+)(?:[/?#].*)?")
ID_MAX = 4096
"""Of a word that a command is given; no mail has one that long."""
PATH = re.compile(rf"\.{{0,2}}/.*|.*\.(?:mbx|mbox|patch)(?::{N})?")
"""What is a file, there or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Exactly one of `base`, `series` and `file` is set."""

    base: str = ""
    series: str = ""
    file: Path | None = None
    revision: int | None = None
    upto: int | None = None


def message(text: str) -> str:
    """The message-id that a text is, or that a link leads to; empty if it is neither."""
    if match := LINK.fullmatch(text):
        return _identifier(urllib.parse.unquote(match["id"]))
    match = MESSAGE.fullmatch(text)
    if not match or SERIES.fullmatch(text) or PATH.fullmatch(text) or _exists(text):
        return ""
    return _identifier(match["in"] or match["id"])


def typed(identifier: str) -> str:
    """A message-id as a word of a command; nothing for what is none. A stranger has chosen it, and
    it may look like an option, a file, or a series: then it is in <>."""
    if not message(f"<{identifier}>"):
        return ""
    itself = message(identifier) == identifier and not identifier.startswith("-")
    return identifier if itself else f"<{identifier}>"


def _identifier(said: str) -> str:
    """Nothing for what is none: %0A, and %2F%2F, which leads b4 to any server."""
    none = re.search(r"[\s<>]|://", said) or len(said) > ID_MAX
    return "" if none or printable.line(said) != said else said


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a name, for one
        return False


def parse(text: str) -> Target:
    if BASE.fullmatch(text):
        return Target(base=text)
    if message(text):
        raise ConfigError(f"{text} is a mail", hint=f"it becomes a series by: rig fetch {text}")
    if (match := SERIES.fullmatch(text)) and not FILE.fullmatch(text):
        if BASE.fullmatch(match["name"]):
            raise ConfigError(
                f"{match['name']} is a base, which has neither revisions nor patches",
                hint=f"{match['name']}, or SERIES{text.removeprefix(match['name'])}",
            )
        return Target(
            series=match["name"],
            revision=int(match["revision"]) if match["revision"] else None,
            upto=int(match["upto"]) if match["upto"] else None,
        )
    if match := FILE.fullmatch(text):
        return Target(file=Path(match["path"]), upto=int(match["upto"]) if match["upto"] else None)
    if MESSAGE.fullmatch(text):  # by its form, but there is a file that is named so
        return Target(file=Path(text))
    raise ConfigError(
        f"{text!r} is no target",
        hint="a target is v6.12, SERIES, SERIES@v2, SERIES@v2:3 or ./series.mbx",
    )
