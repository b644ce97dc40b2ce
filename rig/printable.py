# SPDX-License-Identifier: GPL-2.0-only
"""Escapes harmful characters in foreign text (subjects, names, output of compilers and kernels).

A terminal obeys control characters. Other characters mislead a reader because they are invisible or
change the order of the text (CVE-2021-42574). Both are shown as Python and JSON write them:
`\\x1b`, `\\u202e`, `\\U000e0001`. This form exists for every character, unlike `^[`; it names the
character; and it is ASCII, so every terminal and every mail shows it. Stored text is not escaped.

The command line, the reports and the pytest plugin escape text when they print it.
"""

import re
from collections.abc import Iterable

# Not escaped: line feed, tab, and format characters (category Cf) that are visible, such as the
# Arabic number sign. The joiners U+200C and U+200D have a use in Persian and in emoji. They are
# escaped nevertheless: a name with one looks like the same name without.
_HARMFUL = re.compile(
    "["
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # C0, DEL, C1: CSI and OSC in one byte
    "\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e"  # invisible
    "\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f"  # invisible, line separators, bidirectional
    "\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb"  # fillers, byte order mark, annotations
    "\\ud800-\\udfff"  # bytes that are not UTF-8
    "\\ufdd0-\\ufdef\\ufffe\\uffff"  # not characters; XML cannot write the last two
    + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(1, 17))
    + "\\U00013430-\\U0001343f\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a"  # layout of scripts
    "\\U000e0000-\\U000e00ff\\U000e01f0-\\U000e0fff"  # tags: a second, invisible text
    "]"
)


_CONTROL = bytes(code for code in (*range(32), 127) if code not in b"\t\n")


def text(string: str) -> str:
    """Escape a text of several lines. Escaped text does not change when it is escaped again."""
    if string.isascii():  # most texts, and pages of HTML: ten times faster
        plain = string.encode()
        if len(plain.translate(None, _CONTROL)) == len(plain):
            return string
    return _HARMFUL.sub(_shown, string.replace("\r\n", "\n"))


def line(string: str) -> str:
    """Escape a text and join its lines, so that it cannot add a line that looks like the rig's."""
    shown = text(string)
    if "\n" not in shown:
        return shown
    first, *rest = shown.split("\n")
    return " ".join(filter(None, (first.rstrip(), *map(str.strip, rest))))


def page(lines: Iterable[str]) -> str:
    """A text of these lines; each is escaped and stays one line."""
    return "".join(f"{line(entry)}\n" for entry in lines)


def json(document: bytes) -> bytes:
    """Escape these characters in a JSON document. A program reads the same values as before."""
    return _HARMFUL.sub(_escaped, document.decode()).encode()


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
