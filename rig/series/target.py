# SPDX-License-Identifier: GPL-2.0-only
"""The target grammar, the same for all commands.

v6.12            a base
SERIES           its newest revision
SERIES@v2        a revision
SERIES@v2:3      its first three patches
./series.mbx     a series that is not in patches/ (`./series.mbx:3` too)
-                the same from stdin; a pipe works too: <(b4 am -o- ID)
MESSAGE-ID       a series on a mailing list, or a link to it, which is fetched first
"""

import re
import shlex
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from rig import printable
from rig.errors import ConfigError

# No real number has more digits, and int() raises for very many.
N = r"[0-9]{1,4}"
BASE = re.compile(rf"v{N}\.{N}(?:\.{N})?(?:-rc{N})?")
SERIES = re.compile(rf"(?P<name>[A-Za-z0-9][\w.-]*)(?:@v(?P<revision>{N}))?(?::(?P<upto>{N}))?")
FILE = re.compile(rf"(?P<path>.*(?:/.*?|\.(?:mbx|mbox|patch)))(?::(?P<upto>{N}))?")

# A host name has no comma, no brace and no empty part. These are no message-ids: s@v1,v2,
# branch@{upstream}, s@v1..v2.
HOST = r"(?!\S*\.\.)(?:[^\s<>@/:,{}]+\.[^\s<>@/:,{}]+|[^\s<>@/:,{}]{5,})"
# The part before the @ may hold a slash: X/1abc@kroah.com.
MESSAGE = re.compile(rf"<(?P<in>[^\s<>@]+@[^\s<>@/]+)>|(?P<id>[^\s<>@:]+@{HOST})")
LINK = re.compile(r"https?://[^\s/]+/(?:[^\s]+/)?(?P<id>[^\s/@]+@[^\s/@?#]+)(?:[/?#].*)?")
STDIN = re.compile(rf"-(?::(?P<upto>{N}))?")
ID_MAX = 4096
"""Characters; no mail has a longer message-id."""
PATH = re.compile(rf"\.{{0,2}}/.*|.*\.(?:mbx|mbox|patch)(?::{N})?")
"""A target of this form is a file, whether it exists or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Exactly one of `base`, `series` and `file` is set."""

    base: str = ""
    series: str = ""
    file: Path | None = None
    revision: int | None = None
    upto: int | None = None


def message(text: str) -> str:
    """The message-id in `text`, which is a message-id or a link to a mail; empty for other text."""
    if match := LINK.fullmatch(text):
        return _identifier(urllib.parse.unquote(match["id"]))
    match = MESSAGE.fullmatch(text)
    if not match or SERIES.fullmatch(text) or PATH.fullmatch(text) or _exists(text):
        return ""
    return _identifier(match["in"] or match["id"])


def typed(identifier: str) -> str:
    """A message-id as a word of a command line; empty for what is not a message-id.

    The mail's author chose it, so it may look like an option, a file or a series: then <> is put
    around it.
    """
    if not message(f"<{identifier}>"):
        return ""
    plain = message(identifier) == identifier and not identifier.startswith("-")
    return identifier if plain else f"<{identifier}>"


def _identifier(text: str) -> str:
    """The text, or nothing if it cannot be a message-id: with %0A in a link it has a line feed,
    and with %3A%2F%2F b4 would ask any server that the link names."""
    unfit = re.search(r"[\s<>]|://", text) or len(text) > ID_MAX
    return "" if unfit or printable.line(text) != text else text


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def parse(text: str) -> Target:
    if BASE.fullmatch(text):
        return Target(base=text)
    if message(text):
        raise ConfigError(
            f"{text} is a mail, which this command does not fetch",
            hint=f"fetch its series first: rig fetch {shlex.quote(text)}",
        )
    if (match := SERIES.fullmatch(text)) and not FILE.fullmatch(text):
        if BASE.fullmatch(match["name"]):
            raise ConfigError(
                f"{match['name']} is a base: it has no revisions and no patches",
                hint=f"write {match['name']}, or SERIES{text.removeprefix(match['name'])}",
            )
        return Target(
            series=match["name"],
            revision=int(match["revision"]) if match["revision"] else None,
            upto=int(match["upto"]) if match["upto"] else None,
        )
    if match := FILE.fullmatch(text):
        return Target(file=Path(match["path"]), upto=int(match["upto"]) if match["upto"] else None)
    if MESSAGE.fullmatch(text):  # it has the form of a message-id, but a file has this name
        return Target(file=Path(text))
    raise ConfigError(
        f"{text!r} is not a target",
        hint="a target is v6.12, SERIES, SERIES@v2, SERIES@v2:3 or ./series.mbx",
    )
