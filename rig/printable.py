# SPDX-License-Identifier: GPL-2.0-only
"""Text of strangers (subjects, names, the words of compilers and kernels) as a person may see it.

A terminal obeys control characters, and a reader is misled by characters that reorder what is
around them or cannot be seen (CVE-2021-42574). Each of them is shown as Python and JSON write it,
`\\x1b`, `\\u202e`, `\\U000e0001`: unlike `^[` there is such a form for every one, it names the
character, and it is ASCII, so that a mail and a terminal of any kind show the same. What is stored
keeps the character itself.

Every face calls this where text leaves, and not where it is made.
"""

import re
from collections.abc import Iterable

# Line feed and tab stay. Of the format characters (category Cf) those stay that are seen, such as
# the Arabic number sign. The joiners U+200C and U+200D are of Persian and of families of emoji, and
# are escaped all the same: a name with one cannot be told from one without.
_HARMFUL = re.compile(
    "["
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # C0, DEL, C1: CSI and OSC in one byte
    "\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e"  # unseen
    "\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f"  # unseen, separators of lines, bidi
    "\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb"  # fillers, byte order mark, annotations
    "\\ud800-\\udfff"  # bytes that were no UTF-8
    "\\ufdd0-\\ufdef\\ufffe\\uffff"  # no characters, and XML has no way to write the last two
    + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(1, 17))
    + "\\U00013430-\\U0001343f\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a"  # layout of scripts
    "\\U000e0000-\\U000e00ff\\U000e01f0-\\U000e0fff"  # tags: a second text, unseen
    "]"
)


def text(said: str) -> str:
    """Several lines. What was done once is not done again."""
    return _HARMFUL.sub(_shown, said.replace("\r\n", "\n"))


def line(said: str) -> str:
    """One line, so that nobody can add one that looks like the rig's."""
    shown = text(said)
    if "\n" not in shown:
        return shown
    first, *rest = shown.split("\n")
    return " ".join(filter(None, (first.rstrip(), *map(str.strip, rest))))


def page(lines: Iterable[str]) -> str:
    """A text of these lines, each of which stays one."""
    return "".join(f"{line(one)}\n" for one in lines)


def json(document: bytes) -> bytes:
    """The same JSON, with these characters escaped: a machine reads what it was, and a terminal
    shows it."""
    return _HARMFUL.sub(_escaped, document.decode()).encode()


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
